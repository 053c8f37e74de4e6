package protocol_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/edgecache/edgecache/gossip/protocol"
)

const (
	second      = protocol.Second
	millisecond = protocol.Millisecond
)

func TestFirstNodeBeginsAlone(t *testing.T) {
	c := newCluster(t)
	a := c.start(1, protocol.Config{})
	c.run(0)
	if want := []protocol.Member{{ID: 1, Entry: 1, In: true, Name: "edge-1", Address: "edge-1:7946"}}; !slices.Equal(a.core.Members(), want) {
		t.Errorf("members are %+v, want %+v", a.core.Members(), want)
	}
	if a.until != protocol.Forever {
		t.Errorf("synced until %d, want for ever: there is nobody to hear from", a.until)
	}
}

func TestSecondNodeEnters(t *testing.T) {
	c := newCluster(t)
	a := c.start(1, protocol.Config{})
	b := c.start(2, protocol.Config{Join: true, Alone: protocol.Forever})
	c.run(second)
	if b.until != 0 || len(b.core.Members()) != 0 {
		t.Errorf("before it found the first: synced until %d, members %+v", b.until, b.core.Members())
	}
	c.connect(b, a)
	c.run(100 * millisecond) // it asks for the first one's entry after 50
	for _, n := range []*node{a, b} {
		m := n.core.Members()
		if len(m) != 2 || !m[0].In || !m[1].In || n.until <= c.now || n.until > c.now+4*second {
			t.Errorf("%s: members %+v, synced for another %d", n.self.Name, m, n.until-c.now)
		}
	}
}

func TestInvalidationIsConfirmedOnceLogged(t *testing.T) {
	c, a, b := pair(t)
	b.holds = true
	id := a.issue()
	a.step(protocol.Await{Token: 7, ID: id, Level: protocol.LevelQuorum})
	c.run(0)
	if e, ok := last[protocol.Log](b); !ok || e.Records[0].ID != id {
		t.Fatalf("the second node logs %+v, want %s", e, id)
	}
	if e, ok := last[protocol.Reached](a); ok {
		t.Errorf("confirmed before it is on disk: %+v", e)
	}
	b.release()
	c.run(0)
	want := protocol.Reached{Token: 7, Confirmation: protocol.Confirmation{Confirmed: []protocol.NodeID{1, 2}}}
	if e, _ := last[protocol.Reached](a); !reflect.DeepEqual(e, want) {
		t.Errorf("reached %+v, want %+v", e, want)
	}
}

func TestNodeThatIsCutOffKnows(t *testing.T) {
	c, a, b := pair(t)
	c.run(10*second + 300*millisecond)
	asked := a.asked
	c.cut = true
	for range 50 {
		c.run(100 * millisecond)
		if a.until > asked+3800*millisecond {
			t.Fatalf("synced until %d, %d after the last beacon that was answered", a.until, a.until-asked)
		}
		if c.now < asked+2*second && a.until <= c.now {
			t.Errorf("not synced any more %d after the last beacon", c.now-asked)
		}
	}
	c.cut = false
	c.connect(a, b)
	c.run(0)
	if a.until <= c.now {
		t.Error("not synced after the other is back")
	}
}

func TestHoleIsPulled(t *testing.T) {
	c, a, b := pair(t)
	b.effects, c.cut = nil, true
	lost := a.issue()
	c.run(0)
	c.cut = false
	a.issue()
	c.run(40 * millisecond)
	if e, ok := sent[protocol.Pull](b); ok || b.journal[lost].Raw != nil {
		t.Errorf("it asks for %+v at once: what is under way on another stream would come twice", e)
	}
	c.run(10 * millisecond)
	want := protocol.Pull{EpochID: lost.EpochID, Range: protocol.Range{From: lost.Seq, To: lost.Seq}}
	if e, _ := sent[protocol.Pull](b); e != want {
		t.Errorf("it asks for %+v, want %+v", e, want)
	}
	if b.journal[lost].Raw == nil {
		t.Error("it has not got what was lost")
	}
}

// Whichever epoch is lower, the one that is synced stays.
func TestTwinIsRefused(t *testing.T) {
	for _, epoch := range []uint64{1, 1 << 60} {
		c := newCluster(t)
		a := c.start(1, protocol.Config{})
		c.run(0)
		twin := c.start(1, protocol.Config{Self: protocol.Hello{Epoch: epoch}, Join: true, Alone: protocol.Forever})
		c.connect(twin, a)
		c.run(0)
		if e, _ := sent[protocol.Refused](a); e.Reason != protocol.ReasonDuplicate && epoch == 1 {
			t.Errorf("the twin is told that %s", e.Reason)
		}
		if e, _ := last[protocol.Renew](twin); e != (protocol.Renew{Identity: true, Reason: protocol.ReasonDuplicate}) {
			t.Errorf("the twin begins anew as %+v", e)
		}
		if e, ok := last[protocol.Renew](a); ok || a.until != protocol.Forever {
			t.Errorf("the first begins anew as %+v, synced until %d", e, a.until)
		}
	}
}

func TestNewerMajorVersionIsRefused(t *testing.T) {
	c := newCluster(t)
	a := c.start(1, protocol.Config{})
	a.step(protocol.Connected{Conn: 1, Peer: protocol.Hello{Major: protocol.Major + 1}})
	if e, _ := sent[protocol.Refused](a); e.Reason != protocol.ReasonVersion {
		t.Errorf("the peer is told that %s", e.Reason)
	}
	if e, _ := last[protocol.Close](a); e != (protocol.Close{Conn: 1, Reason: protocol.ReasonVersion}) {
		t.Errorf("closed with %+v", e)
	}
}

func TestWhatIsRaisedAnywayIsNotAskedFor(t *testing.T) {
	old := protocol.EpochID{Origin: 9, Epoch: 9}
	members := []protocol.Member{{ID: 1, Entry: 1, In: true}, {ID: 2, Entry: 1, In: true}}
	for _, test := range []struct {
		name         string
		hard, newest uint64
		want         protocol.Raise
	}{
		{"nothing is hard that is missed", 2, 2, protocol.Raise{Mode: protocol.ModeVerify, Adopt: []protocol.Adoption{{EpochID: old, Upto: 90, Hard: 2}}}},
		{"some is that is kept", 2, 50, protocol.Raise{Mode: protocol.ModeVerify, Adopt: []protocol.Adoption{{EpochID: old, Upto: 10, Hard: 2}}}},
		{"some is that is gone", 5, 50, protocol.Raise{Mode: protocol.ModeHard, Adopt: []protocol.Adoption{{EpochID: old, Upto: 90, Hard: 50}}}},
		{"a later one may be", 5, 95, protocol.Raise{Mode: protocol.ModeHard, Adopt: []protocol.Adoption{{EpochID: old, Upto: 90, Hard: 90}}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCluster(t)
			a := c.start(1, protocol.Config{Members: members, Marks: []protocol.Mark{
				{EpochID: old, Start: 11, Hard: test.hard, Newest: test.newest, Logged: protocol.Ranges{{From: 1, To: 90}, {From: 95, To: 95}}}}})
			b := c.start(2, protocol.Config{Members: members, Marks: []protocol.Mark{
				{EpochID: old, Start: 1, Logged: protocol.Ranges{{From: 1, To: 3}}}}})
			c.connect(a, b)
			c.run(1500 * millisecond)
			if got, _ := last[protocol.Raise](b); !reflect.DeepEqual(got, test.want) {
				t.Errorf("raised %+v, want %+v", got, test.want)
			}
			c.run(500 * millisecond)
			asked := uint64(0)
			for _, e := range b.effects {
				s, _ := e.(protocol.Send)
				if p, ok := s.Frame.(protocol.Pull); ok && (asked == 0 || p.From < asked) {
					asked = p.From
				}
			}
			if want := test.want.Adopt[0].Upto + 1; asked != 0 && asked < want || asked == 0 && want <= 90 {
				t.Errorf("asked from %d on, want %d at the earliest", asked, want)
			}
		})
	}
}

func TestEverythingIsRaisedForWhatIsGone(t *testing.T) {
	c := newCluster(t)
	old := protocol.EpochID{Origin: 9, Epoch: 9}
	members := []protocol.Member{{ID: 1, Entry: 1, In: true}, {ID: 2, Entry: 1, In: true}}
	a := c.start(1, protocol.Config{Members: members, Marks: []protocol.Mark{
		{EpochID: old, Start: 11, Hard: 5, Logged: protocol.Ranges{{From: 1, To: 12}}}}})
	b := c.start(2, protocol.Config{Members: members, Marks: []protocol.Mark{
		{EpochID: old, Start: 1, Logged: protocol.Ranges{{From: 1, To: 3}, {From: 11, To: 12}}}}})
	c.connect(a, b)
	c.run(990 * millisecond)
	if e, ok := last[protocol.Raise](b); ok {
		t.Errorf("%+v before anybody else had time to be heard", e)
	}
	if b.until > second {
		t.Errorf("synced until %d with a hole", b.until)
	}
	c.run(2 * second)
	want := protocol.Raise{Mode: protocol.ModeHard, Adopt: []protocol.Adoption{{EpochID: old, Upto: 10, Hard: 5}}}
	if e, _ := last[protocol.Raise](b); !reflect.DeepEqual(e, want) {
		t.Errorf("raised %+v, want %+v: 5 is hard, and not on its disk", e, want)
	}
	if b.until <= c.now {
		t.Error("not synced although everything was raised")
	}
}

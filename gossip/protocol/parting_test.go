package protocol_test

import (
	"reflect"
	"testing"

	"github.com/edgecache/edgecache/gossip/protocol"
)

// out is a member as somebody has it who calls it gone.
func out(id protocol.NodeID) protocol.Member {
	return protocol.Member{ID: id, Entry: 1, In: true, Out: true}
}

// saysOut has a peer show that it has a member out.
func (c *crowd) saysOut(peer int, id protocol.NodeID) []protocol.Reached {
	return c.reached(protocol.Received{Conn: protocol.Conn(peer + 1), Frame: protocol.State{Entered: true, Members: []protocol.Member{out(id)}}})
}

// parting is a crowd of five, of whom one is called gone, and whose core waits
// until all the others have confirmed its first record.
func parting(t *testing.T) *crowd {
	t.Helper()
	c := newCrowd(4)
	c.issues()
	answered := c.saysOut(0, 5)
	answered = append(answered, c.reached(protocol.Await{Token: 1, ID: record(5, 1), Level: protocol.LevelAll})...)
	for peer := range 3 {
		answered = append(answered, c.logs(peer, 5)...)
	}
	if len(answered) > 0 {
		t.Fatalf("answered without the fifth: %+v", answered)
	}
	return c
}

func (c *crowd) wantAnswer(t *testing.T, got []protocol.Reached, want protocol.Confirmation) {
	t.Helper()
	if len(got) != 1 || !reflect.DeepEqual(got[0].Confirmation, want) {
		t.Errorf("answered is %+v, want %+v", got, want)
	}
}

// A member that another calls gone may live on and be synced: all is not all
// without it, until it confirmed, or is fenced, or left by its own word.
func TestAllWaitsForWhoIsCalledGone(t *testing.T) {
	four := []protocol.NodeID{1, 2, 3, 4}
	t.Run("it confirms", func(t *testing.T) {
		c := parting(t)
		got := c.logs(3, 5)
		if len(got) != 1 || len(got[0].Fenced)+len(got[0].Pending) > 0 {
			t.Errorf("answered is %+v", got)
		}
	})
	t.Run("it is silent", func(t *testing.T) {
		c := parting(t)
		c.now += 4*second - 1
		if got := c.reached(protocol.Tick{}); len(got) > 0 {
			t.Errorf("answered before the fence: %+v", got)
		}
		c.now++
		c.wantAnswer(t, c.reached(protocol.Tick{}), protocol.Confirmation{Confirmed: four, Fenced: []protocol.NodeID{5}})
	})
	t.Run("it left", func(t *testing.T) {
		c := parting(t)
		change := out(5)
		left := protocol.Record{ID: protocol.RecordID{EpochID: protocol.EpochID{Origin: 5, Epoch: 5}, Seq: 1}, Change: &change}
		c.wantAnswer(t, c.reached(protocol.Received{Conn: 1, Frame: protocol.Records{Records: []protocol.Record{left}}}),
			protocol.Confirmation{Confirmed: four})
	})
	t.Run("it left at another time", func(t *testing.T) {
		c := parting(t)
		c.saysOut(1, 5)
		before := out(5)
		before.Entry = 0
		left := protocol.Record{ID: protocol.RecordID{EpochID: protocol.EpochID{Origin: 5, Epoch: 5}, Seq: 1}, Change: &before}
		if got := c.reached(protocol.Received{Conn: 1, Frame: protocol.Records{Records: []protocol.Record{left}}}); len(got) > 0 {
			t.Errorf("answered is %+v", got)
		}
	})
	t.Run("it enters anew", func(t *testing.T) {
		c := parting(t)
		again := protocol.Member{ID: 5, Entry: 2, In: true}
		if got := c.reached(protocol.Received{Conn: 1, Frame: protocol.State{Entered: true, Members: []protocol.Member{again}}}); len(got) > 0 {
			t.Errorf("answered without it: %+v", got)
		}
		if got := c.logs(3, 5); len(got) != 1 || len(got[0].Confirmed) != 5 {
			t.Errorf("answered is %+v, want with all five", got)
		}
	})
}

// Who is called gone is waited for until a majority has shown that it knows that,
// and those who asked nobody of them since are not synced any more.
func TestWhoIsKnownToBeGoneIsNotWaitedFor(t *testing.T) {
	c := newCrowd(4)
	all := func(token, seq uint64) (got []protocol.Reached) {
		c.step(protocol.Issued{Records: []protocol.Record{{ID: record(5, seq)}}, Durable: true})
		got = c.reached(protocol.Await{Token: token, ID: record(5, seq), Level: protocol.LevelAll})
		mark := protocol.Mark{EpochID: record(5, 1).EpochID, Start: 1, Logged: protocol.Ranges{{From: 1, To: seq}}}
		for peer := range 3 {
			got = append(got, c.reached(protocol.Received{Conn: protocol.Conn(peer + 1), Frame: protocol.State{Entered: true, Marks: []protocol.Mark{mark}}})...)
		}
		return got
	}
	pass := func(t protocol.Time) {
		for range t / second { // nobody falls silent
			c.now += second
			for peer := range 4 {
				c.state(peer, protocol.State{})
			}
			c.step(protocol.Tick{})
		}
	}
	c.saysOut(0, 5)
	pass(10 * second) // the core and one of four know
	if got := all(1, 1); len(got) > 0 {
		t.Fatalf("answered, and no majority is known to know: %+v", got)
	}
	c.saysOut(1, 5)
	pass(3 * second)
	if got := all(2, 2); len(got) > 0 {
		t.Fatalf("answered, and it may be synced still: %+v", got)
	}
	pass(2 * second)
	c.wantAnswer(t, all(3, 3), protocol.Confirmation{Confirmed: []protocol.NodeID{1, 2, 3, 4}})
}

// Of whom its disk has out, a core cannot tell how long ago that was; who waits
// is not told of those.
func TestWhoWasGoneBeforeIsWaitedForUnnamed(t *testing.T) {
	self := protocol.Hello{Major: protocol.Major, Minor: protocol.Minor, Node: 1, Epoch: 5, Name: "edge-1", Address: "edge-1:7402"}
	me := protocol.Member{ID: 1, Entry: 1, In: true, Name: self.Name, Address: self.Address}
	c := &crowd{now: second, core: protocol.New(second, protocol.Config{Self: self, Members: []protocol.Member{me, out(5)}})}
	c.step(protocol.Tick{})
	c.issues()
	if got := c.reached(protocol.Await{Token: 1, ID: record(5, 1), Level: protocol.LevelAll}); len(got) > 0 {
		t.Fatalf("answered at once: %+v", got)
	}
	c.now += 4 * second
	c.wantAnswer(t, c.reached(protocol.Tick{}), protocol.Confirmation{Confirmed: []protocol.NodeID{1}})
	c.step(protocol.Issued{Records: []protocol.Record{{ID: record(5, 2)}}, Durable: true})
	c.wantAnswer(t, c.reached(protocol.Await{Token: 2, ID: record(5, 2), Level: protocol.LevelAll}), protocol.Confirmation{Confirmed: []protocol.NodeID{1}})
}

// A node on a copy of another's disk may have another name, which is not to be
// the other's: it is told to the members once it is synced, which the copy is not.
func TestANewNameIsToldOnceSynced(t *testing.T) {
	c := newCrowd(2)
	self := protocol.Hello{Major: protocol.Major, Minor: protocol.Minor, Node: 1, Epoch: 6, Name: "edge-9", Address: "edge-9:7402"}
	c.core = protocol.New(c.now, protocol.Config{Self: self, Members: c.core.Members()})
	issued := func(e protocol.Event) (names []string) {
		for _, e := range c.core.Step(c.now, e) {
			switch e := e.(type) {
			case protocol.Issue:
				names = append(names, e.Change.Name)
			case protocol.Synced:
				c.synced = e.Until
			case protocol.Send:
				if s, ok := e.Frame.(protocol.State); ok && s.Beacon != 0 {
					c.asked[e.Conn-1] = s.Beacon
				}
			}
		}
		return names
	}
	names := issued(protocol.Tick{})
	names = append(names, issued(protocol.Connected{Conn: 1, Peer: protocol.Hello{Major: protocol.Major, Minor: protocol.Minor, Node: 2, Epoch: 5}})...)
	if c.synced > c.now || len(names) > 0 {
		t.Fatalf("not synced, it tells that it is %q", names)
	}
	names = issued(protocol.Received{Conn: 1, Frame: protocol.State{Full: true, Entered: true, Echo: c.asked[0]}})
	names = append(names, issued(protocol.Tick{})...)
	if c.synced <= c.now || !reflect.DeepEqual(names, []string{"edge-9"}) {
		t.Errorf("synced %t, it tells that it is %q, want once edge-9", c.synced > c.now, names)
	}
}

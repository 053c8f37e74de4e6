package protocol_test

import (
	"reflect"
	"testing"

	"github.com/edgecache/edgecache/gossip/protocol"
)

func TestWhatIsShownByAnotherWayIsPulled(t *testing.T) {
	c, a, b := pair(t)
	b.effects, c.cut = nil, true
	lost := a.issue()
	c.run(0)
	c.cut = false
	b.step(protocol.Shown{ID: lost})
	c.run(40 * millisecond)
	if e, ok := sent[protocol.Pull](b); ok {
		t.Fatalf("asks for %+v after 40 ms", e)
	}
	c.run(20 * millisecond)
	if b.journal[lost].Raw == nil {
		t.Error("what somebody showed was not asked for")
	}
	own := protocol.EpochID{Origin: b.self.Node, Epoch: b.self.Epoch}
	b.step(protocol.Shown{ID: protocol.RecordID{EpochID: own, Seq: 1 << 40}})
	if e, ok := last[protocol.Renew](b); ok {
		t.Errorf("a stranger's word of this node's own record: %+v", e)
	}
	c.run(2 * second)
	if b.until <= c.now {
		t.Error("a stranger's word of this node's own record makes it unsynced")
	}
}

// givenUp returns a pair of which b knows of a record that nobody had for half a
// minute.
func givenUp(t *testing.T) (c *cluster, a, b *node, lost protocol.RecordID) {
	c, a, b = pair(t)
	lost = protocol.RecordID{EpochID: protocol.EpochID{Origin: 9, Epoch: 9}, Seq: 1}
	b.step(protocol.Shown{ID: lost})
	c.run(31 * second)
	if _, ok := last[protocol.Raise](b); !ok || b.until <= c.now {
		t.Fatalf("after 31 s everything raised: %t; synced until %d at %d", ok, b.until, c.now)
	}
	if upto := b.core.LoggedBy(a.self.Node, lost.EpochID); upto != lost.Seq {
		t.Errorf("of what nobody has, the other one has all up to %d, want %d", upto, lost.Seq)
	}
	return c, a, b, lost
}

// What nobody had for half a minute is given up, but not for good: it may be on
// the disk of a node that was away, and confirmed by it.
func TestWhatWasGivenUpIsPulledWhenSomebodyHasIt(t *testing.T) {
	c, _, b, lost := givenUp(t)
	back := c.start(3, protocol.Config{Join: true, Alone: protocol.Forever, Marks: []protocol.Mark{
		{EpochID: lost.EpochID, Start: 1, Logged: protocol.Ranges{{From: 1, To: 1}}}}})
	back.journal[lost] = invalidation(lost, "web")
	c.connect(back, b)
	c.run(200 * millisecond)
	if b.journal[lost].Raw == nil {
		t.Error("it is not asked for")
	}
	if b.until <= c.now {
		t.Error("not synced")
	}
}

// Once a record that was given up comes, a peer that shows none of it lacks it.
func TestWhatWasGivenUpAndCameIsLackedByOthers(t *testing.T) {
	c, a, b, lost := givenUp(t)
	late := c.start(9, protocol.Config{Self: protocol.Hello{Epoch: 9}, Join: true, Alone: protocol.Forever})
	c.connect(late, b)
	c.run(0)
	late.write(invalidation(lost, "web"))
	c.run(0)
	if b.journal[lost].Raw == nil {
		t.Fatal("it has not come")
	}
	if upto := b.core.LoggedBy(a.self.Node, lost.EpochID); upto != 0 {
		t.Errorf("the other one, which lacks it, has all up to %d", upto)
	}
}

// What a process applied and its journal lost is never older than what a peer
// holds that lacks it, though it was given up.
func TestWhatWasAppliedAndIsLostIsNotExcused(t *testing.T) {
	epoch := protocol.EpochID{Origin: 3, Epoch: 3}
	start := func(c *cluster, config protocol.Config) *node {
		config.Self.Epoch, config.Join, config.Alone = 5, true, protocol.Forever
		return c.start(3, config)
	}
	c := newCluster(t)
	a := c.start(1, protocol.Config{})
	b := start(c, protocol.Config{Applied: map[protocol.EpochID]protocol.Ranges{epoch: {{From: 1, To: 2}, {From: 5, To: 9}}}})
	c.connect(a, b)
	c.run(2 * second)
	for seq := uint64(1); seq <= 9; seq++ {
		b.step(protocol.Shown{ID: protocol.RecordID{EpochID: epoch, Seq: seq}})
	}
	c.run(31 * second)
	if b.until <= c.now {
		t.Fatal("not synced: it was not given up")
	}
	if upto := b.core.LoggedBy(a.self.Node, epoch); upto != 0 {
		t.Errorf("the other one, which lacks the first, has all up to %d", upto)
	}
	marks := []protocol.Mark{{EpochID: epoch, Start: 1, Logged: protocol.Ranges{{From: 1, To: 6}}}}
	if got := b.core.Unlogged(marks)[epoch]; !reflect.DeepEqual(got, protocol.Ranges{{From: 7, To: 9}}) {
		t.Errorf("the next core is told of %v as applied and lost", got)
	}
	own := b.issue()
	c.run(0)
	if got := b.core.Unlogged(nil)[own.EpochID]; !got.Contains(own.Seq) {
		t.Errorf("the next core is told of %v of what this one issued, which holds %v", got, own)
	}
}

// A journal at its cap lets go of holes as well. Who begins anew with it in a
// running process has entries from before.
func TestWhatTheJournalLetGoOfIsRaisedByWhoBeginsAnew(t *testing.T) {
	other := protocol.EpochID{Origin: 9, Epoch: 9}
	c := newCluster(t)
	a := c.start(1, protocol.Config{Marks: []protocol.Mark{
		{EpochID: other, Start: 3, Hard: 2, Logged: protocol.Ranges{{From: 1, To: 4}, {From: 6, To: 9}}}}})
	for start, want := range map[uint64]protocol.Mode{3: 0, 5: 0, 6: protocol.ModeVerify, 8: protocol.ModeVerify} {
		marks := []protocol.Mark{{EpochID: other, Start: start, Hard: 4, Logged: protocol.Ranges{{From: 1, To: 9}}}}
		if r, ok := a.core.Instead(marks); ok != (want > 0) || r.Mode != want || ok && r.Adopt[0].Upto != start-1 {
			t.Errorf("start %d: %t, %+v; want mode %d", start, ok, r, want)
		}
	}
	marks := []protocol.Mark{{EpochID: other, Start: 8, Hard: 5, Logged: protocol.Ranges{{From: 1, To: 9}}}}
	if r, _ := a.core.Instead(marks); r.Mode != protocol.ModeHard {
		t.Errorf("mode %d although what it never had may be hard", r.Mode)
	}
}

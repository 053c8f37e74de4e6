package protocol_test

import (
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

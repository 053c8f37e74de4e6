package protocol_test

import (
	"testing"

	"github.com/edgecache/edgecache/gossip/protocol"
)

// Whoever asked a cluster to let it in, of which then nobody is left, begins one.
func TestWhoAskedThoseWhoWereForgottenBegins(t *testing.T) {
	c := newCluster(t)
	a := c.start(1, protocol.Config{})
	b := c.start(2, protocol.Config{Join: true, Alone: protocol.Forever})
	c.run(0)
	c.connect(b, a)
	a.holds = true // it never logs the other's entry
	c.run(second)
	if e, ok := last[protocol.Issue](b); !ok || e.Change.In || b.until != 0 {
		t.Fatalf("it issued %+v, and is synced until %d", e, b.until)
	}
	for conn := range b.streams {
		b.step(protocol.Disconnected{Conn: conn})
	}
	b.step(protocol.Searched{All: true})
	c.run(2 * second)
	if b.until != 0 {
		t.Error("it is synced though a member is left that may have confirmed anything")
	}
	b.step(protocol.Forget{Node: a.self.Node})
	c.run(second)
	if b.until != protocol.Forever {
		t.Errorf("synced until %d though nobody else is left", b.until)
	}
}

package gossip

import (
	"context"

	"github.com/edgecache/edgecache/gossip/protocol"
)

// Leave ends the membership, so that nobody waits for this node any more. It
// reports whether that was possible; otherwise the node is still a member.
func (n *Node) Leave(ctx context.Context) bool {
	n.post(protocol.Leave{})
	select {
	case done := <-n.left:
		return done
	case <-ctx.Done():
	case <-n.ctx.Done():
	}
	return false
}

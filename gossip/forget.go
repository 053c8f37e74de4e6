package gossip

import (
	"time"

	"github.com/edgecache/edgecache/gossip/protocol"
)

// forgetSilent forgets members that were not heard for Options.Forget, as far as
// this node knows since its start. Only a node that is synced does: a part of
// the cluster that is cut off must not forget the others.
func (n *Node) forgetSilent() {
	if n.opts.Forget == 0 || !n.Synced() {
		clear(n.silent)
		return
	}
	now := time.Now()
	for _, v := range n.core.View() {
		since, known := n.silent[v.ID]
		switch {
		case v.Self || v.Heard || v.Out:
			delete(n.silent, v.ID)
		case !known:
			n.silent[v.ID] = now
		case now.Sub(since) >= n.opts.Forget:
			delete(n.silent, v.ID)
			n.log.Warn("gossip: a member was silent for too long and is forgotten", "member", v.Name, "id", v.ID.String(), "silent", now.Sub(since).Round(time.Second))
			n.step(protocol.Forget{Node: v.ID})
		}
	}
}

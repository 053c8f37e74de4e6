package gossip

import (
	"strings"
	"sync"
	"time"

	"github.com/edgecache/edgecache/gossip/protocol"
)

// sayAgain is how often it is logged that an address is still not reached.
const sayAgain = time.Minute

// unreached are the addresses at which nobody answers.
type unreached struct {
	mu   sync.Mutex // protects the field below
	said map[string]time.Time
}

// failed logs, not too often, that an address was not reached.
func (n *Node) failed(address string, err error) {
	u := &n.unreached
	u.mu.Lock()
	defer u.mu.Unlock()
	if last, ok := u.said[address]; ok && time.Since(last) < sayAgain {
		return
	}
	if u.said == nil {
		u.said = map[string]time.Time{}
	}
	u.said[address] = time.Now()
	n.log.Warn("gossip: peer not reached; it is tried again", "address", address, "err", err)
}

// reached notes that somebody answers at an address.
func (n *Node) reached(address string) {
	u := &n.unreached
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, ok := u.said[address]; ok {
		delete(u.said, address)
		n.log.Info("gossip: peer reached", "address", address)
	}
}

// lonely returns what is wrong with gossip.join, "" if another node answered at
// any of its addresses.
func (n *Node) lonely() string {
	if len(n.opts.Join) == 0 {
		return ""
	}
	self := protocol.NodeID(n.opts.Log.Node())
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, id := range n.answered {
		if id != self {
			return ""
		}
	}
	if len(n.byPeer) > 0 {
		return "" // they found this one
	}
	return "no other node answers at the addresses of gossip.join: " + strings.Join(n.opts.Join, ", ")
}

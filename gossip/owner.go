package gossip

import (
	"hash/fnv"
	"slices"
	"time"

	"github.com/edgecache/edgecache/gossip/protocol"
	"github.com/edgecache/edgecache/registry"
)

// lookEvery is how often it is looked at who may own keys.
const lookEvery = 100 * time.Millisecond

func (n *Node) self() protocol.NodeID { return protocol.NodeID(n.opts.Log.Node()) }

// noteOwners takes over who may own keys: those who are synced, as far as this
// node hears.
func (n *Node) noteOwners() {
	list := n.core.Alive()
	if old := n.owners.Load(); old == nil || !slices.Equal(*old, list) {
		n.owners.Store(&list)
	}
}

// owner returns who owns a key, by rendezvous hashing (Thaler, Ravishankar: Using
// name-based mappings to increase hit rates, 1998): as nodes come and go, only
// their keys move. 0: nobody is known to be synced.
func (n *Node) owner(k registry.Key) (owner protocol.NodeID) {
	list := n.owners.Load()
	if list == nil {
		return 0
	}
	most := uint64(0)
	for _, id := range *list {
		if w := weight(id, k); owner == 0 || w > most || w == most && id < owner {
			owner, most = id, w
		}
	}
	return owner
}

// weight is the same on all nodes.
func weight(id protocol.NodeID, k registry.Key) uint64 {
	h := fnv.New64a()
	var b [8]byte
	for i := range b {
		b[i] = byte(id >> (8 * i))
	}
	h.Write(b[:])
	h.Write([]byte(k.Registry))
	h.Write([]byte{0})
	h.Write([]byte(k.Name))
	// FNV leaves much of the last bytes in the low bits: mix, as MurmurHash3 does.
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

package protocol

import "slices"

// Up to directPeers streams, the origin sends its records on all of them. Above,
// it sends them to fanOut peers, and whoever receives one first sends it on to
// as many: after a few hops nearly all have it. Who does not sees the hole.
const (
	directPeers = 64
	fanOut      = 8
)

// spread sends records of this node.
func (c *Core) spread(records []Record) {
	c.sendRecords(records, nil)
}

// forward sends on what came by a stream and is new.
func (c *Core) forward(fresh []Record, from *peer) {
	if len(fresh) == 0 || len(c.streams) <= directPeers {
		return
	}
	c.sendRecords(fresh, from)
}

func (c *Core) sendRecords(records []Record, but *peer) {
	var f Frame = Records{records}
	for _, p := range c.spreadTo(records, but) {
		c.do(Send{p.conn, f})
	}
}

// spreadTo returns the streams on which records are sent.
func (c *Core) spreadTo(records []Record, but *peer) []*peer {
	if len(c.streams) <= directPeers {
		return slices.DeleteFunc(slices.Clone(c.order), func(p *peer) bool { return !p.accepted || p == but })
	}
	first := records[0].ID
	salt := mix(uint64(c.config.Self.Node) ^ mix(first.Seq^first.Epoch))
	to, ranks := make([]*peer, 0, fanOut+1), make([]uint64, 0, fanOut+1) // the lowest ones
	for _, p := range c.order {
		if !p.accepted || p == but {
			continue
		}
		rank := mix(uint64(p.hello.Node) ^ salt)
		if i, _ := slices.BinarySearch(ranks, rank); i < fanOut {
			to, ranks = slices.Insert(to, i, p), slices.Insert(ranks, i, rank)
			to, ranks = to[:min(len(to), fanOut)], ranks[:min(len(ranks), fanOut)]
		}
	}
	return to
}

// mix is the finalizer of MurmurHash3.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

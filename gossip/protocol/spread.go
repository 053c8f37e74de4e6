package protocol

import (
	"cmp"
	"slices"
)

// Up to directPeers streams, the origin sends its records on all of them. Above,
// it sends them to fanOut peers, and whoever receives one first sends it on to
// as many: after a few hops nearly all have it. Who does not sees the hole.
const (
	directPeers = 64
	fanOut      = 8
)

// spread sends records of this node.
func (c *Core) spread(records []Record) {
	for _, p := range c.spreadTo(records, nil) {
		c.do(Send{p.conn, Records{records}})
	}
}

// forward sends on what came by a stream and is new.
func (c *Core) forward(fresh []Record, from *peer) {
	if len(fresh) == 0 || len(c.conns) <= directPeers {
		return
	}
	for _, p := range c.spreadTo(fresh, from) {
		c.do(Send{p.conn, Records{fresh}})
	}
}

// spreadTo returns the streams on which records are sent.
func (c *Core) spreadTo(records []Record, but *peer) []*peer {
	to := slices.DeleteFunc(c.inOrder(), func(p *peer) bool { return !p.accepted })
	direct := len(to) <= directPeers
	if to = slices.DeleteFunc(to, func(p *peer) bool { return p == but }); direct {
		return to
	}
	first := records[0].ID
	rank := func(p *peer) uint64 {
		return mix(uint64(p.hello.Node) ^ mix(uint64(c.config.Self.Node)^mix(first.Seq^first.Epoch)))
	}
	slices.SortFunc(to, func(a, b *peer) int { return cmp.Compare(rank(a), rank(b)) })
	return to[:fanOut]
}

// mix is the finalizer of MurmurHash3.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

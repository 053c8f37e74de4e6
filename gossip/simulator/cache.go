package simulator

import (
	"bytes"

	"github.com/edgecache/edgecache/gossip/protocol"
)

// A cache is the part of a node's cache that the protocol is for.
type cache struct {
	position uint64
	entries  map[string]entry
	keys     map[string]uint64 // position of the newest invalidation
	all      uint64            // likewise of everything
}

// An entry is what a fetch brought that began at a position.
type entry struct {
	version int
	began   uint64
}

func newCache() cache {
	return cache{position: 1, entries: map[string]entry{}, keys: map[string]uint64{}}
}

// The form of an invalidation here: its mode, then the name.
func encode(name string, hard bool) []byte {
	mode := byte('v')
	if hard {
		mode = 'h'
	}
	return append([]byte{mode}, name...)
}

func isHard(r protocol.Record) bool { return bytes.HasPrefix(r.Raw, []byte("h")) }

func (c *cache) invalidate(r protocol.Record) {
	c.position++
	c.keys[string(r.Raw[1:])] = c.position
}

func (c *cache) raiseAll(protocol.Mode) {
	c.position++
	c.all = c.position
}

// fresh reports whether what was fetched from a position on may be served as
// fresh.
func (c *cache) fresh(name string, began uint64) bool {
	return began >= c.keys[name] && began >= c.all
}

// read looks a name up on a node, and in the registry if need be, and checks
// the answer.
func (s *sim) read(n *node, name string) {
	began := s.now
	e, ok := n.cache.entries[name]
	if ok && (n.cache.fresh(name, e.began) || s.Break == BreakIgnoreGeneration && s.chance(20)) {
		s.check(n, name, e.version, began)
		return
	}
	life, position := n.life, n.cache.position
	s.after(s.upTo(20*protocol.Millisecond), func() {
		version := s.registry[name]
		s.after(s.upTo(20*protocol.Millisecond), func() {
			if !n.up || n.paused || n.life != life {
				return
			}
			if n.cache.fresh(name, position) || s.Break == BreakApplyAfterInsert {
				if s.Break == BreakApplyAfterInsert {
					position = n.cache.position
				}
				n.cache.entries[name] = entry{version, position}
				s.check(n, name, version, began)
			}
		})
	})
}

package protocol

import (
	"cmp"
	"slices"
)

// A parting is of a member that went out by another's word. It may be alive, not
// have heard that yet, and be synced: whoever has all members confirm a record
// waits for it too, as for a silent one, until it cannot be synced any more
// without knowing that it is out.
type parting struct {
	named bool            // it was a member in this life: who waits is told of it
	shown map[NodeID]bool // who show that they have it out
	since Time            // when these were a majority; 0: they are not
}

// partings are those that go on.
type partings struct {
	of      map[NodeID]*parting
	changed bool // who shows them, or who is a member: since may be another
	looked  Time // when that was looked at
}

// lookPartings is how often it is looked at who shows which: there may be many of both.
const lookPartings = Second / 5

// part begins a parting.
func (c *Core) part(id NodeID, named bool) {
	c.partings.of[id] = &parting{named: named, shown: map[NodeID]bool{}}
	c.partings.changed = true
}

// isNamed reports whether one that is out is waited for, and who waits is told.
func (c *Core) isNamed(id NodeID) bool {
	p := c.partings.of[id]
	return p != nil && p.named
}

// endParting ends one: the member is in again, or left by its own word, after
// which it is not synced, or has had its time.
func (c *Core) endParting(id NodeID) {
	if c.partings.of[id] != nil {
		delete(c.partings.of, id)
		c.roll.version, c.tally.valid = 0, false
	}
}

// notePartings notes which of those who part a peer's list has out.
func (c *Core) notePartings(of NodeID, list []Member) {
	for id, p := range c.partings.of {
		i, ok := slices.BinarySearchFunc(list, id, func(m Member, id NodeID) int { return cmp.Compare(m.ID, id) })
		if ok && list[i].Out && list[i].Entry >= c.members[id].Entry {
			p.shown[of] = true
		} else {
			delete(p.shown, of)
		}
	}
	c.partings.changed = true
}

// endPartings ends those of which a majority has known for longer than anybody
// stays synced who has not asked one of them since.
func (c *Core) endPartings() {
	s := &c.partings
	if s.changed && c.now-s.looked >= lookPartings {
		s.changed, s.looked = false, c.now
		for _, p := range s.of {
			if known := c.shownByMajority(p); !known {
				p.since = 0
			} else if p.since == 0 {
				p.since = c.now
			}
		}
	}
	for id, p := range s.of {
		if p.since > 0 && c.now-p.since >= fenceAfter {
			c.endParting(id)
		}
	}
}

// shownByMajority reports whether a majority has a member out, this node being one.
func (c *Core) shownByMajority(p *parting) bool {
	n := 0
	if me := c.members[c.config.Self.Node]; me.In && !me.Out {
		n++
	}
	for id := range p.shown {
		if m := c.members[id]; m.In && !m.Out {
			n++
		}
	}
	return n >= c.majority()
}

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

// part begins a parting.
func (c *Core) part(id NodeID, named bool) {
	c.partings[id] = &parting{named: named, shown: map[NodeID]bool{}}
}

// endParting ends one: the member is in again, or left by its own word, after
// which it is not synced, or has had its time.
func (c *Core) endParting(id NodeID) {
	if c.partings[id] != nil {
		delete(c.partings, id)
		c.roll.version, c.tally.valid = 0, false
	}
}

// notePartings notes which of those who part a peer's list has out.
func (c *Core) notePartings(of NodeID, list []Member) {
	for id, p := range c.partings {
		i, ok := slices.BinarySearchFunc(list, id, func(m Member, id NodeID) int { return cmp.Compare(m.ID, id) })
		if ok && list[i].Out && list[i].Entry >= c.members[id].Entry {
			p.shown[of] = true
		} else {
			delete(p.shown, of)
		}
	}
}

// endPartings ends those of which a majority has known for longer than anybody
// stays synced who has not asked one of them since.
func (c *Core) endPartings() {
	for id, p := range c.partings {
		switch {
		case !c.shownByMajority(p):
			p.since = 0
		case p.since == 0:
			p.since = c.now
		case c.now-p.since >= fenceAfter:
			c.endParting(id)
		}
	}
}

func (c *Core) shownByMajority(p *parting) bool {
	n := 0
	for id, m := range c.members {
		if m.In && !m.Out && (id == c.config.Self.Node || p.shown[id]) {
			n++
		}
	}
	return n >= c.majority()
}

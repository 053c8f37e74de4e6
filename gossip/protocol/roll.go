package protocol

import (
	"cmp"
	"slices"
)

// A roll is what follows from the members, and from who of them is known. It is
// made when it is asked for, once after each change of the members.
type roll struct {
	version uint64   // of the members, plus 1
	all     int      // members that are not out
	waited  int      // they, and those who part: for whom it takes to have all confirm
	others  []*known // they, but this one and those of whom nothing is known

	list   []Member // also those who are out, by id
	listed uint64   // their version, plus 1
}

// listed returns all that are or were members, by id. Nothing in it may be
// changed.
func (c *Core) listed() []Member {
	if c.roll.listed != c.version+1 {
		list := make([]Member, 0, len(c.members))
		for _, m := range c.members {
			list = append(list, m)
		}
		slices.SortFunc(list, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
		c.roll.list, c.roll.listed = list, c.version+1
	}
	return c.roll.list
}

// rolled returns the roll as it is now.
func (c *Core) rolled() *roll {
	r := &c.roll
	if r.version == c.version+1 {
		return r
	}
	for _, k := range c.known {
		k.member, k.in = false, false
	}
	r.version, r.all, r.waited, r.others = c.version+1, 0, 0, r.others[:0]
	for _, m := range c.listed() {
		if !c.waitedFor(m) {
			continue
		}
		if r.waited++; !m.Out {
			r.all++
		}
		if k := c.known[m.ID]; k != nil && m.ID != c.config.Self.Node {
			r.enrol(k, m)
		}
	}
	return r
}

// waitedFor reports whether it takes a member to have all confirm.
func (c *Core) waitedFor(m Member) bool { return !m.Out || c.partings.of[m.ID] != nil }

func (r *roll) enrol(k *known, m Member) {
	k.member, k.in = true, m.In && !m.Out
	r.others = append(r.others, k)
}

// enrol notes that something is known of a node.
func (c *Core) enrol(id NodeID, k *known) {
	m, ok := c.members[id]
	if ok && c.waitedFor(m) && id != c.config.Self.Node && c.roll.version == c.version+1 {
		c.roll.enrol(k, m)
	}
}

// majority returns how many of the members are more than half.
func (c *Core) majority() int { return c.rolled().all/2 + 1 }

// nth returns the nth greatest of a list, from 1 on, and puts the list in
// another order.
func nth[T cmp.Ordered](list []T, n int) T {
	n--
	for from, to := 0, len(list)-1; from < to; {
		pivot := list[from+(to-from)/2]
		i, j := from, to
		for i <= j {
			for list[i] > pivot {
				i++
			}
			for list[j] < pivot {
				j--
			}
			if i <= j {
				list[i], list[j] = list[j], list[i]
				i, j = i+1, j-1
			}
		}
		switch {
		case n <= j:
			to = j
		case n >= i:
			from = i
		default:
			return list[n]
		}
	}
	return list[n]
}

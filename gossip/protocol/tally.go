package protocol

// A tally is up to which record of this life a majority, counted of those who
// have entered, has confirmed all, and up to which every member has. It is
// counted anew only when one of them rises: a thousand confirmations of one
// record come one after the other.
type tally struct {
	quorum, all uint64
	valid       bool
	above       int      // who have entered, and confirmed more than quorum
	below       int      // members that have not confirmed more than all
	self        uint64   // what this node confirmed
	list        []uint64 // for recount
}

// count notes up to which record of this life a node has confirmed all.
func (c *Core) count(k *known, upto uint64) {
	was := k.confirmed
	k.confirmed = upto
	if k.member {
		c.rose(was, upto, k.in)
	}
}

// countSelf notes what this node confirmed.
func (c *Core) countSelf() {
	was := c.tally.self
	c.tally.self = c.own.logged.Upto()
	if me, ok := c.members[c.config.Self.Node]; ok && !me.Out {
		c.rose(was, c.tally.self, me.In)
	}
}

func (c *Core) rose(was, upto uint64, in bool) {
	t := &c.tally
	if in && was <= t.quorum && upto > t.quorum {
		t.above++
	}
	if was <= t.all && upto > t.all {
		t.below--
	}
	t.valid = t.valid && upto >= was && t.below > 0 && t.above < c.majority()
}

// recount counts the tally anew if it rose.
func (c *Core) recount() {
	t := &c.tally
	if t.valid {
		return
	}
	r := c.rolled()
	quorum, all, unknown := uint64(0), c.issued, r.waited-len(r.others)
	list := t.list[:0]
	t.self = c.own.logged.Upto()
	me, isMember := c.members[c.config.Self.Node]
	if isMember = isMember && !me.Out; isMember {
		unknown--
		all = min(all, t.self)
		if me.In {
			list = append(list, t.self)
		}
	}
	for _, k := range r.others {
		all = min(all, k.confirmed)
		if k.in {
			list = append(list, k.confirmed)
		}
	}
	if unknown > 0 {
		all = 0
	}
	if need := c.majority(); len(list) >= need {
		quorum = nth(list, need)
	}
	c.recheck = c.recheck || quorum != t.quorum || all != t.all
	t.quorum, t.all, t.list = quorum, all, list
	t.above, t.below = 0, unknown
	for _, upto := range list {
		if upto > quorum {
			t.above++
		}
	}
	if isMember && t.self <= all {
		t.below++
	}
	for _, k := range r.others {
		if k.confirmed <= all {
			t.below++
		}
	}
	t.valid = t.below > 0
}

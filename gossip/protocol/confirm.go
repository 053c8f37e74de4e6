package protocol

import (
	"cmp"
	"slices"
)

// A wait is for a record of this life.
type wait struct {
	token  uint64
	seq    uint64
	level  Level
	quorum Time // when a majority had confirmed it; 0: not yet
}

// Confirmation says who has confirmed a record of this life so far. fenced says
// that those who have not cannot be synced without it.
func (c *Core) Confirmation(seq uint64, fenced bool) Confirmation {
	var out Confirmation
	for _, m := range c.Members() {
		switch {
		case m.Out:
		case c.confirmed(m.ID, seq):
			out.Confirmed = append(out.Confirmed, m.ID)
		case fenced:
			out.Fenced = append(out.Fenced, m.ID)
		default:
			out.Pending = append(out.Pending, m.ID)
		}
	}
	return out
}

func (c *Core) confirmed(id NodeID, seq uint64) bool {
	if id == c.config.Self.Node {
		return c.own.logged.Contains(seq)
	}
	k := c.known[id]
	return k != nil && k.shown[c.own.EpochID].Logged.Contains(seq)
}

// confirm answers those who wait. A record counts as confirmed here once all
// before it are: what is missing between is on its way.
func (c *Core) confirm() {
	quorum, all := c.confirmedUpto()
	left := c.waits[:0]
	for _, w := range c.waits {
		if w.seq > quorum || !c.answer(&w, w.seq <= all) {
			left = append(left, w)
		}
	}
	c.waits = left
}

// confirmedUpto returns up to which record of this life a majority, counted of
// those who have entered, has confirmed all, and up to which every member has.
func (c *Core) confirmedUpto() (quorum, all uint64) {
	var entered []uint64
	all = c.issued
	for id, m := range c.members {
		if m.Out {
			continue
		}
		upto := c.own.logged.Upto()
		if id != c.config.Self.Node {
			upto = 0
			if k := c.known[id]; k != nil {
				upto = k.shown[c.own.EpochID].Logged.Upto()
			}
		}
		all = min(all, upto)
		if m.In {
			entered = append(entered, upto)
		}
	}
	need := c.majority()
	if len(entered) < need {
		return 0, all
	}
	slices.SortFunc(entered, func(a, b uint64) int { return cmp.Compare(b, a) })
	return entered[need-1], all
}

// answer answers a wait that a majority has confirmed, if that is enough.
func (c *Core) answer(w *wait, all bool) bool {
	fenced := false
	if w.level == LevelAll && !all {
		if w.quorum == 0 {
			w.quorum = c.now
		}
		if c.now-w.quorum < fenceAfter {
			return false
		}
		fenced = true
	}
	c.do(Reached{Token: w.token, Confirmation: c.Confirmation(w.seq, fenced)})
	return true
}

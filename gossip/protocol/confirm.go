package protocol

import (
	"cmp"
	"slices"
)

// A wait is for a record.
type wait struct {
	token  uint64
	id     RecordID
	level  Level
	quorum Time // when a majority had confirmed it; 0: not yet
}

// Confirmation says who has confirmed a record so far. fenced says that those
// who have not cannot be synced without it.
func (c *Core) Confirmation(of RecordID, fenced bool) Confirmation {
	var out Confirmation
	for _, m := range c.Members() {
		switch {
		case m.Out:
		case c.confirmed(m.ID, of):
			out.Confirmed = append(out.Confirmed, m.ID)
		case fenced:
			out.Fenced = append(out.Fenced, m.ID)
		default:
			out.Pending = append(out.Pending, m.ID)
		}
	}
	return out
}

func (c *Core) confirmed(id NodeID, of RecordID) bool {
	if id == c.config.Self.Node {
		e := c.epochs[of.EpochID]
		return e != nil && e.logged.Contains(of.Seq)
	}
	k := c.known[id]
	return k != nil && k.shown[of.EpochID].Logged.Contains(of.Seq)
}

// confirm answers those who wait. A record counts as confirmed here once all
// before it are: what is missing between is on its way.
func (c *Core) confirm() {
	quorum, all := c.confirmedUpto()
	left := c.waits[:0]
	for _, w := range c.waits {
		byMost, byAll := w.id.Seq <= quorum, w.id.Seq <= all
		if w.id.EpochID != c.own.EpochID {
			byMost, byAll = c.reached(w.id)
		}
		if !byMost || !c.answer(&w, byAll) {
			left = append(left, w)
		}
	}
	c.waits = left
}

// reached reports whether a record, of any epoch, was confirmed by a majority,
// counted of those who have entered, and by every member.
func (c *Core) reached(of RecordID) (quorum, all bool) {
	confirmed := 0
	all = true
	for id, m := range c.members {
		if m.Out {
			continue
		}
		has := c.confirmed(id, of)
		all = all && has
		if has && m.In {
			confirmed++
		}
	}
	return confirmed >= c.majority(), all
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
	c.do(Reached{Token: w.token, Confirmation: c.Confirmation(w.id, fenced)})
	return true
}

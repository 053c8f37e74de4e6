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
	left   bool // by whoever waited
}

func byToken(w wait, token uint64) int { return cmp.Compare(w.token, token) }

// Confirmation says who has confirmed a record so far. fenced says that those
// who have not cannot be synced without it.
func (c *Core) Confirmation(of RecordID, fenced bool) Confirmation {
	out := Confirmation{Confirmed: make([]NodeID, 0, c.rolled().all)}
	for _, m := range c.listed() {
		switch {
		case m.Out && !c.isNamed(m.ID):
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

// await answers who waits for a record, or has it wait.
func (c *Core) await(w wait) {
	c.recount()
	if !c.satisfied(&w) {
		i, _ := slices.BinarySearchFunc(c.waits, w.token, byToken)
		c.waits = slices.Insert(c.waits, i, w)
		c.timed = c.timed || c.mayTime(&w)
	}
}

// unawait drops the waits that some tokens stand for, once they are half of all:
// thousands may be given up one after the other.
func (c *Core) unawait(tokens []uint64) {
	for _, token := range tokens {
		if i, ok := slices.BinarySearchFunc(c.waits, token, byToken); ok && !c.waits[i].left {
			c.waits[i].left = true
			c.left++
		}
	}
	if 2*c.left >= len(c.waits) {
		c.waits = slices.DeleteFunc(c.waits, func(w wait) bool { return w.left })
		c.left = 0
	}
}

// Waiting returns how many wait for records.
func (c *Core) Waiting() int { return len(c.waits) - c.left }

// mayTime reports whether a wait may be answered though the tally has not risen:
// a fence is due, or the record is of a life that the tally does not count.
func (c *Core) mayTime(w *wait) bool { return w.quorum > 0 || w.id.EpochID != c.own.EpochID }

// confirm answers those who wait.
func (c *Core) confirm() {
	if len(c.waits) > 0 {
		c.recount()
	}
	if !c.recheck {
		return
	}
	c.recheck, c.timed, c.left = false, false, 0
	waits := c.waits[:0]
	for _, w := range c.waits {
		if !w.left && !c.satisfied(&w) {
			waits = append(waits, w)
			c.timed = c.timed || c.mayTime(&w)
		}
	}
	c.waits = waits
}

// satisfied answers a wait if that is possible. A record of this life counts as
// confirmed once all before it are: what is missing between is on its way.
func (c *Core) satisfied(w *wait) bool {
	byMost, byAll := w.id.Seq <= c.tally.quorum, w.id.Seq <= c.tally.all
	if w.id.EpochID != c.own.EpochID {
		byMost, byAll = c.confirmedBy(w.id)
	}
	return byMost && c.answer(w, byAll)
}

// confirmedBy reports whether a record, of any epoch, was confirmed by a majority,
// counted of those who have entered, and by every member.
func (c *Core) confirmedBy(of RecordID) (quorum, all bool) {
	confirmed := 0
	all = true
	for id, m := range c.members {
		if !c.waitedFor(m) {
			continue
		}
		has := c.confirmed(id, of)
		all = all && has
		if has && m.In && !m.Out {
			confirmed++
		}
	}
	return confirmed >= c.majority(), all
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

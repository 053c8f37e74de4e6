package protocol

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
	out := Confirmation{Confirmed: make([]NodeID, 0, c.rolled().all)}
	for _, m := range c.listed() {
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

// await answers who waits for a record, or has it wait.
func (c *Core) await(w wait) {
	c.recount()
	if !c.satisfied(&w) {
		c.waits = append(c.waits, w)
	}
}

// confirm answers those who wait.
func (c *Core) confirm() {
	if len(c.waits) > 0 {
		c.recount()
	}
	if !c.recheck {
		return
	}
	c.recheck = false
	left := c.waits[:0]
	for _, w := range c.waits {
		if !c.satisfied(&w) {
			left = append(left, w)
		}
	}
	c.waits = left
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

package protocol

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

// confirm answers those who wait.
func (c *Core) confirm() {
	need := c.majority()
	left := c.waits[:0]
	for _, w := range c.waits {
		all, entered := true, 0
		for id, m := range c.members {
			if m.Out {
				continue
			}
			switch has := c.confirmed(id, w.seq); {
			case !has:
				all = false
			case m.In:
				entered++
			}
		}
		if entered < need || !c.answer(&w, all) {
			left = append(left, w)
		}
	}
	c.waits = left
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

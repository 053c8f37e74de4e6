package protocol

// A leave is how far this node's leaving is.
type leave struct {
	stage leaveStage
	since Time
	seq   uint64 // of its record; 0: not issued yet
}

type leaveStage uint8

const (
	staying   leaveStage = iota
	handing              // nothing more is logged; others take over what it confirmed
	departing            // the record of its leaving is under way
	gone
)

// frozen reports whether the node confirms nothing any more.
func (l *leave) frozen() bool { return l.stage != staying }

func (c *Core) beginLeave() {
	if c.leave.stage != staying {
		return
	}
	c.leave, c.reckon = leave{stage: handing, since: c.now}, true
	if !c.entry.done {
		c.endLeave(false)
	}
}

// goOnLeaving issues the record once a majority of those who stay has all that
// this node confirmed, and ends once a majority has the record.
func (c *Core) goOnLeaving() {
	switch c.leave.stage {
	case handing:
		if c.holders(c.hasAll) {
			me := c.members[c.config.Self.Node]
			me.Out = true
			c.leave.stage = departing
			c.do(Issue{me})
			return
		}
	case departing:
		if c.leave.seq != 0 && c.holders(c.hasLeave) {
			c.endLeave(true)
			return
		}
	default:
		return
	}
	if c.now-c.leave.since >= leaveFor {
		c.endLeave(false)
	}
}

func (c *Core) endLeave(done bool) {
	c.leave.stage = gone
	c.do(Left{done})
}

// holders reports whether has is true of a majority of the members without
// this one, counted of those who have entered. Alone, it is.
func (c *Core) holders(has func(*known) bool) bool {
	all, holding := 0, 0
	for id, m := range c.members {
		if m.Out || id == c.config.Self.Node {
			continue
		}
		all++
		if k := c.known[id]; k != nil && m.In && has(k) {
			holding++
		}
	}
	return all == 0 || holding > all/2
}

func (c *Core) hasAll(k *known) bool {
	for id, e := range c.epochs {
		if !k.shown[id].Logged.Covers(e.logged) {
			return false
		}
	}
	return true
}

func (c *Core) hasLeave(k *known) bool {
	return k.shown[c.own.EpochID].Logged.Contains(c.leave.seq)
}

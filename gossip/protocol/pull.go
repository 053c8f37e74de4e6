package protocol

import (
	"cmp"
	"slices"
)

// fillHoles asks for what is missing, and raises everything in place of what is
// gone.
func (c *Core) fillHoles() {
	if len(c.open) == 0 || c.leave.frozen() {
		return
	}
	raise := Raise{}
	lost := false
	for _, e := range c.openEpochs() {
		hole, ok := e.hole()
		if !ok {
			continue
		}
		age := c.now - e.since(hole.From)
		if age < pullAfter || e.pulling.conn != 0 && c.now-e.pulling.time < pullAgain {
			continue
		}
		if c.pull(e, hole) {
			continue
		}
		upto, hard, heard := c.truncatedAbove(e, hole)
		switch {
		case !heard || c.raised && c.now-c.raisedAt < c.config.Raise:
		case upto > 0 && age >= goneAfter:
			raise.Adopt = append(raise.Adopt, Adoption{EpochID: e.EpochID, Upto: upto, Hard: hard})
			if hard >= hole.From {
				raise.Mode = ModeHard
			}
		case upto == 0 && age >= lostAfter:
			e.excused.Add(hole.From, hole.To)
			c.look(e)
			lost = true
		}
	}
	if len(raise.Adopt) > 0 || lost {
		raise.Mode = max(raise.Mode, ModeVerify)
		c.raise(raise)
	}
}

// pull asks the origin, else somebody else in turn, for a hole; it reports
// whether there was anybody to ask.
func (c *Core) pull(e *epoch, hole Range) bool {
	var from []*peer
	for _, p := range c.order {
		if !p.accepted || !p.complete {
			continue
		}
		m, shown := p.node.shown[e.EpochID]
		// The origin may have it without having shown it yet.
		origin := p.hello.Node == e.Origin && p.hello.Epoch == e.Epoch && (!shown || m.Logged.Max() < hole.From)
		if origin || shown && hole.From >= m.Start && m.Logged.Contains(hole.From) {
			from = append(from, p)
		}
	}
	if len(from) == 0 {
		e.pulling = pull{}
		return false
	}
	slices.SortStableFunc(from, func(a, b *peer) int {
		rank := func(p *peer) int {
			if p.hello.Node == e.Origin {
				return 0
			}
			return 1
		}
		return cmp.Compare(rank(a), rank(b))
	})
	p := from[e.pulling.tries%len(from)]
	e.pulling = pull{conn: p.conn, time: c.now, tries: e.pulling.tries + 1}
	hole.To = min(hole.To, hole.From+pullMost-1)
	c.do(Send{p.conn, Pull{EpochID: e.EpochID, Range: hole}})
	return true
}

// pulled takes what was asked for, and asks for more.
func (c *Core) pulled(p *peer, f Pulled) {
	e := c.epoch(f.EpochID)
	k := p.node
	if m := k.shown[f.EpochID]; f.Start > m.Start {
		m.EpochID, m.Start, m.Hard, m.Newest = f.EpochID, f.Start, max(m.Hard, f.Hard), max(m.Newest, f.Hard)
		m.Logged = m.Logged.Clone()
		m.Logged.Add(1, f.Start-1)
		c.noteShown(k, m)
	}
	if e.pulling.conn == p.conn {
		e.pulling.conn = 0
		if len(f.Records) > 0 {
			e.pulling.tries = 0
		}
	}
	c.take(f.Records)
	if c.renewed || len(f.Records) == 0 {
		return
	}
	if hole, ok := e.hole(); ok && c.now-e.since(hole.From) >= pullAfter && e.pulling.conn == 0 {
		c.pull(e, hole)
	}
}

// truncatedAbove returns up to which sequence of a hole everything is to be
// raised in place of its records, 0 if nobody who is heard has truncated the
// first, the greatest of them that may be hard, and whether anybody is heard.
// These are the records that all truncated, and those that one has still if to
// ask for them would bring nothing: none may be hard, or hard it is anyway.
func (c *Core) truncatedAbove(e *epoch, hole Range) (upto, hard uint64, heard bool) {
	var end, newest uint64
	for _, p := range c.order {
		if !p.accepted || !p.complete {
			continue
		}
		heard = true
		m, ok := p.node.shown[e.EpochID]
		if !ok || m.Start <= hole.From {
			continue
		}
		hard = max(hard, m.Hard)
		if last := min(m.Start-1, hole.To); upto == 0 || last < upto {
			upto = last
		}
		if has := m.Logged.Upto(); has > end {
			end, newest = has, m.Newest
		}
	}
	if hard, end = min(hard, upto), min(end, hole.To); end > upto && (newest < hole.From || hard >= hole.From) {
		upto, hard = end, max(hard, min(newest, end))
	}
	return upto, hard, heard
}

// raise raises everything in place of records.
func (c *Core) raise(r Raise) {
	c.raisedAt, c.raised = c.now, true
	for _, a := range r.Adopt {
		e := c.epoch(a.EpochID)
		e.have.Add(1, a.Upto)
		c.look(e)
	}
	c.do(r)
	c.advance()
}

// adopted notes that this is on disk.
func (c *Core) adopted(list []Adoption) {
	for _, a := range list {
		e := c.epoch(a.EpochID)
		e.logged.Add(1, a.Upto)
		e.start, e.hard, e.newest = max(e.start, a.Upto+1), max(e.hard, a.Hard), max(e.newest, a.Hard)
		c.changed(e)
	}
	c.admitAll()
}

// truncate lets go of what every member has.
func (c *Core) truncate() {
	if c.now-c.truncatedAt < truncateEvery {
		return
	}
	c.truncatedAt = c.now
	for _, e := range c.all() {
		low := e.logged.Upto()
		if low < e.start {
			continue
		}
		for id, m := range c.members {
			if m.Out || id == c.config.Self.Node {
				continue
			}
			if k := c.known[id]; k == nil {
				low = 0
			} else {
				low = min(low, k.shown[e.EpochID].Logged.Upto())
			}
		}
		if low >= e.start+truncateLeast || low >= e.start && low == e.most && e != c.own && low > 0 && !c.lives(e) {
			c.do(Truncate{EpochID: e.EpochID, Below: low + 1})
		}
	}
}

// lives reports whether an epoch's node may issue more in it.
func (c *Core) lives(e *epoch) bool {
	p := c.streams[e.Origin]
	return p == nil || p.hello.Epoch == e.Epoch
}

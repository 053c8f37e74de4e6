package protocol

import (
	"cmp"
	"slices"
)

// receive handles a frame.
func (c *Core) receive(p *peer, f Frame) {
	p.received = c.now
	if r, ok := f.(Refused); ok {
		c.refused(p, r.Reason)
		return
	}
	if !p.accepted {
		return // it waits for another stream of its node to answer, or not
	}
	if s, ok := f.(State); ok && p.rival != nil && s.Echo >= p.challenge {
		rival := p.rival
		p.rival = nil
		if c.conns[rival.conn] != nil {
			c.close(rival, ReasonDuplicate)
		}
	}
	switch f := f.(type) {
	case State:
		c.state(p, f)
	case Records:
		c.forward(c.take(f.Records), p)
	case Pull:
		if f.From == 0 || f.To < f.From {
			c.close(p, ReasonProtocol)
			return
		}
		c.do(Serve{Conn: p.conn, EpochID: f.EpochID, Range: f.Range, Most: pullMost})
	case Pulled:
		c.pulled(p, f)
	}
}

// refused handles the end of a stream that the peer closed.
func (c *Core) refused(p *peer, why Reason) {
	if p.twin {
		if why == ReasonDuplicate {
			c.refusedByTwin(p)
		}
		return
	}
	c.disconnect(p.conn)
	c.do(Close{p.conn, why})
	if why == ReasonDuplicate || why == ReasonRestored {
		c.renew(true, why)
	}
}

// state takes over what a peer shows.
func (c *Core) state(p *peer, s State) {
	k := c.knownOf(p.hello.Node)
	if !p.complete && !s.Full {
		c.close(p, ReasonProtocol)
		return
	}
	if s.Full {
		if !c.replaceShown(p, k, s.Marks) {
			return
		}
		p.complete = true
	}
	for _, m := range s.Marks {
		if m.EpochID == c.own.EpochID && m.Logged.Max() > c.issued {
			c.renew(false, ReasonRestored)
			return
		}
		k.shown[m.EpochID] = m
		e := c.epoch(m.EpochID)
		e.know(m.Logged.Max(), c.now)
		e.found(m.Logged, c.now)
		c.look(e)
		c.recheck = c.recheck || e == c.own
	}
	c.noteConfirmed(p.hello.Node, k)
	for _, m := range s.Members {
		c.unite(m)
	}
	if k.entered = s.Entered; !k.entered {
		k.asked, k.reached, k.next = 0, 0, nil // what it has says nothing of the others
	}
	if m, ok := c.members[p.hello.Node]; ok && s.Entered && !m.Out && !m.In {
		m.In = true
		c.unite(m)
	}
	p.echo = max(p.echo, s.Beacon)
	if i := slices.IndexFunc(p.sent, func(b beacon) bool { return b.number == s.Echo }); s.Echo != 0 && i >= 0 {
		k.heard = max(k.heard, p.sent[i].time)
		if s.Entered {
			k.asked = k.heard
		}
		p.sent = p.sent[i:]
	}
	c.admit(k)
	c.reach(k)
	if s.Beacon != 0 {
		c.show(p, false)
	}
}

// replaceShown takes a full state in place of what the node showed before; it
// refuses one that lacks what was shown.
func (c *Core) replaceShown(p *peer, k *known, marks []Mark) bool {
	now := make(map[EpochID]Mark, len(marks))
	for _, m := range marks {
		now[m.EpochID] = m
	}
	for id, old := range k.shown {
		if !now[id].Logged.Covers(old.Logged) {
			c.close(p, ReasonRestored)
			return false
		}
	}
	k.shown = now
	return true
}

// lacking returns what a node shows that this one has not applied, or logged.
func (c *Core) lacking(k *known, onDisk bool) map[EpochID]Ranges {
	var lack map[EpochID]Ranges
	for id, m := range k.shown {
		e := c.epoch(id)
		here := e.have
		if onDisk {
			here = e.logged
		}
		if here.Upto() >= m.Logged.Max() {
			continue
		}
		missing := m.Logged.Minus(here).Minus(e.excused)
		if len(missing) > 0 {
			if lack == nil {
				lack = map[EpochID]Ranges{}
			}
			lack[id] = missing
		}
	}
	return lack
}

// isReached reports whether all of a goal is here, or on disk here.
func (c *Core) isReached(g *goal, onDisk bool) bool {
	for id, lack := range g.lack {
		e := c.epoch(id)
		here := e.have
		if onDisk {
			here = e.logged
		}
		if lack = lack.Minus(here).Minus(e.excused); len(lack) == 0 {
			delete(g.lack, id)
		} else {
			g.lack[id] = lack
			return false
		}
	}
	return true
}

// reach notes as of when all is here that the node had.
func (c *Core) reach(k *known) {
	for {
		if k.next == nil {
			if k.asked <= k.reached {
				return
			}
			k.next = &goal{k.asked, c.lacking(k, false)}
		}
		if !c.isReached(k.next, false) {
			return
		}
		k.reached, k.next = k.next.time, nil
	}
}

// advance follows up that more is here.
func (c *Core) advance() {
	c.admitAll()
	for _, k := range c.known {
		if k.next != nil {
			c.reach(k)
		}
	}
}

// syncedUntil returns until when the node is synced; 0: it is not.
func (c *Core) syncedUntil() Time {
	if !c.entry.done || c.leave.frozen() {
		return 0
	}
	until := Forever
	reached := []Time{}
	all := 0
	for id, m := range c.members {
		if m.Out {
			continue
		}
		all++
		if k := c.known[id]; id != c.config.Self.Node && k != nil && m.In && k.reached > 0 {
			reached = append(reached, k.reached+reachWindow)
		}
	}
	if others := all / 2; others > 0 { // with itself a majority
		if len(reached) < others {
			return 0
		}
		slices.SortFunc(reached, func(a, b Time) int { return cmp.Compare(b, a) })
		until = reached[others-1]
	}
	for _, e := range c.open {
		if hole, ok := e.hole(); ok {
			until = min(until, e.since(hole.From)+holeAllowed)
		}
	}
	if until <= c.now {
		return 0
	}
	return until
}

// all returns all epochs in order.
func (c *Core) all() []*epoch {
	list := make([]*epoch, 0, len(c.epochs))
	for _, e := range c.epochs {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b *epoch) int { return a.compare(b.EpochID) })
	return list
}

func sorted(ids map[EpochID]bool) []EpochID {
	list := make([]EpochID, 0, len(ids))
	for id := range ids {
		list = append(list, id)
	}
	slices.SortFunc(list, EpochID.compare)
	return list
}

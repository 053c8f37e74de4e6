package protocol

import "slices"

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
	if p.node == nil {
		p.node = c.knownOf(p.hello.Node)
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
	k := p.node
	if !p.complete && !s.Full {
		c.close(p, ReasonProtocol)
		return
	}
	if s.Full {
		if !c.forgetShown(p, k, s.Marks) {
			return
		}
		p.complete = true
	}
	for _, m := range s.Marks {
		if m.EpochID == c.own.EpochID && m.Logged.Max() > c.issued {
			c.renew(false, ReasonRestored)
			return
		}
		if c.noteShown(k, m) {
			e := c.epoch(m.EpochID)
			e.know(m.Logged.Max(), c.now)
			c.found(e, m.Logged)
			c.look(e)
		}
	}
	c.noteConfirmed(p.hello.Node, k)
	c.uniteAll(s.Members)
	if len(s.Members) > 0 {
		c.notePartings(p.hello.Node, s.Members)
	}
	if k.entered = s.Entered; !k.entered {
		c.unreach(k)
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
		p.sent = slices.Delete(p.sent, 0, i)
	}
	c.admit(k)
	c.pursue(k)
	if s.Beacon != 0 {
		c.show(p, c.now-p.asked >= askAlong)
	}
}

// forgetShown has a full state, which follows, take the place of what the node
// showed before; it refuses one that lacks what was shown.
func (c *Core) forgetShown(p *peer, k *known, marks []Mark) bool {
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
	clear(k.shown)
	clear(k.ahead)
	return true
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

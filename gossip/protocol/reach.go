package protocol

// A reach is what this node has of what others had.
type reach struct {
	pursuing map[*known]bool // of whom something is missing
	some     int             // nodes of which all was here at some time
	risen    bool            // more of one is here than synced was reckoned with
	times    []Time          // for byMajority
}

// lacking returns what a node shows that this one has not applied.
func (c *Core) lacking(k *known) map[EpochID]Ranges {
	var lack map[EpochID]Ranges
	for id := range k.ahead {
		if missing := c.missing(k, c.epoch(id)); len(missing) == 0 {
			delete(k.ahead, id)
		} else if lack == nil {
			lack = map[EpochID]Ranges{id: missing}
		} else {
			lack[id] = missing
		}
	}
	return lack
}

func (c *Core) missing(k *known, e *epoch) Ranges {
	return k.shown[e.EpochID].Logged.Minus(e.have).Minus(e.excused)
}

// lackAgain notes that what was excused is not any more.
func (c *Core) lackAgain(e *epoch) {
	for _, k := range c.known {
		if len(c.missing(k, e)) > 0 {
			k.lacked(e.EpochID)
		}
	}
}

// notLogged returns what a node shows that this one has not logged.
func (c *Core) notLogged(k *known) map[EpochID]Ranges {
	lack := map[EpochID]Ranges{}
	for id, m := range k.shown {
		e := c.epoch(id)
		if missing := m.Logged.Minus(e.logged).Minus(e.excused); len(missing) > 0 {
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

// pursue notes as of when all is here that the node had.
func (c *Core) pursue(k *known) {
	for {
		if k.next == nil {
			if k.asked <= k.reached {
				return
			}
			lack := c.lacking(k)
			if len(lack) == 0 {
				c.reachedAs(k, k.asked)
				return
			}
			k.next = &goal{k.asked, lack}
			c.reach.pursuing[k] = true
		}
		if !c.isReached(k.next, false) {
			return
		}
		c.reachedAs(k, k.next.time)
		c.giveUp(k)
	}
}

func (c *Core) giveUp(k *known) {
	k.next = nil
	delete(c.reach.pursuing, k)
}

func (c *Core) reachedAs(k *known, as Time) {
	if k.reached == 0 {
		c.reach.some++
	}
	k.reached, c.reach.risen = as, true
}

// unreach notes that what a node has says nothing of the others.
func (c *Core) unreach(k *known) {
	if k.reached > 0 {
		c.reach.some--
		c.reckon = true
	}
	k.asked, k.reached = 0, 0
	c.giveUp(k)
}

// advance follows up that more is here.
func (c *Core) advance() {
	c.admitAll()
	for k := range c.reach.pursuing {
		c.pursue(k)
	}
}

// tellSynced tells until when the node is synced. That this is later than told
// has time until the next tick, as long as it is synced: to find the majority of
// many takes longer than a frame that is one of their answers.
func (c *Core) tellSynced() {
	over := c.synced > 0 && c.synced <= c.now
	if !c.reckon && !over && c.begun && (c.synced > 0 || !c.reach.risen) {
		return
	}
	c.reckon, c.reach.risen = false, false
	if until := c.syncedUntil(); until != c.synced || !c.begun {
		c.synced, c.begun = until, true
		c.do(Synced{until})
	}
}

// syncedUntil returns until when the node is synced; 0: it is not.
func (c *Core) syncedUntil() Time {
	if !c.entry.done || c.leave.frozen() {
		return 0
	}
	until := c.byMajority()
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

// byMajority returns until when what a majority had is here for sure.
func (c *Core) byMajority() Time {
	r := c.rolled()
	others := r.all / 2 // with this one a majority
	switch {
	case others == 0:
		return Forever
	case c.reach.some < others:
		return 0
	}
	times := c.reach.times[:0]
	for _, k := range r.others {
		if k.in && k.reached > 0 {
			times = append(times, k.reached)
		}
	}
	c.reach.times = times
	if len(times) < others {
		return 0
	}
	return nth(times, others) + reachWindow
}

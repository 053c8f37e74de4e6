package protocol

import "slices"

// An entry is how far this node's membership is.
type entry struct {
	done    bool   // it counts itself among the members
	pending bool   // an Issue is under way
	seq     uint64 // of the record of its entry in this life; 0: none
}

// Members returns all that are or were members, by id.
func (c *Core) Members() []Member { return slices.Clone(c.listed()) }

// unsaved returns the members if they changed since they were last saved.
func (c *Core) unsaved() []Member {
	if c.saved == c.version {
		return nil
	}
	c.saved = c.version
	return c.listed()
}

// uniteAll takes over what is newer of a list. Whoever meets a cluster is shown
// the same one by all.
func (c *Core) uniteAll(list []Member) {
	if slices.Equal(list, c.listed()) {
		return
	}
	for _, m := range list {
		c.unite(m)
	}
}

// unite takes over what is newer of a member.
func (c *Core) unite(m Member) {
	old, ok := c.members[m.ID]
	n, changed := m, true
	if ok {
		n, changed = old.merge(m)
	}
	if !changed {
		return
	}
	c.members[m.ID] = n
	c.version++
	c.tally.valid, c.reckon, c.partings.changed = false, true, true
	switch {
	case !n.Out:
		delete(c.partings.of, m.ID)
	case !old.Out && m.ID != c.config.Self.Node:
		c.part(m.ID, ok)
	}
	if m.ID == c.config.Self.Node && n.Out && c.leave.stage == staying {
		c.entry = entry{} // forgotten while alive: it enters anew
	}
}

// issuedChange follows up a change of the members that this node issued.
func (c *Core) issuedChange(r Record) {
	c.unite(*r.Change)
	if r.Change.ID != c.config.Self.Node {
		return
	}
	c.entry.pending = false
	switch {
	case r.Change.Out:
		c.leave.seq = r.ID.Seq
	case r.Change.In:
		c.entry.done, c.reckon = true, true
	default:
		c.entry.seq = r.ID.Seq
		for _, k := range c.known {
			k.admission, k.admits = nil, false
		}
	}
}

// enter goes on with this node's entry.
func (c *Core) enter() {
	switch {
	case c.entry.pending, c.leave.stage != staying:
	case c.entry.done:
		// Before it is synced, it may be on a copy of another's disk.
		if c.synced > c.now && c.moved() {
			c.issueEntry(true)
		}
	case c.entry.seq == 0 && c.mayEnter():
		c.issueEntry(false)
	case c.mayBegin(): // also if all whom it asked to enter were forgotten since
		c.issueEntry(true)
	case c.entry.seq != 0 && c.admitted():
		c.entry.done, c.reckon = true, true
		me := c.members[c.config.Self.Node]
		me.In = true
		c.unite(me)
		for _, p := range c.order {
			if p.accepted {
				c.show(p, false)
			}
		}
		c.replaceNamesakes()
	}
}

// moved reports whether the members know this one by another name or address.
func (c *Core) moved() bool {
	me := c.members[c.config.Self.Node]
	return me.Name != c.config.Self.Name || me.Address != c.config.Self.Address
}

// issueEntry issues the record of this node's entry. It is in at once if it
// begins a cluster, or was in before.
func (c *Core) issueEntry(in bool) {
	self := c.config.Self
	c.entry.pending = true
	c.do(Issue{Member{ID: self.Node, Entry: c.members[self.Node].Entry + 1, In: in, Name: self.Name, Address: self.Address}})
}

// others returns the members that have entered, but this one.
func (c *Core) others() []NodeID {
	var list []NodeID
	for id, m := range c.members {
		if m.In && !m.Out && id != c.config.Self.Node {
			list = append(list, id)
		}
	}
	return list
}

// mayEnter reports whether there is a member to enter by.
func (c *Core) mayEnter() bool {
	for _, id := range c.others() {
		if p := c.streams[id]; p != nil && p.complete {
			return true
		}
	}
	return false
}

// mayBegin reports whether this node is to be the first of a cluster: of those
// who look for one, and found each other, the lowest id begins.
func (c *Core) mayBegin() bool {
	if len(c.others()) > 0 {
		return false
	}
	waited := c.now - c.start
	if !c.config.Join {
		return true
	}
	for _, p := range c.conns {
		if p.accepted && (!p.complete || p.hello.Node < c.config.Self.Node) {
			return false
		}
	}
	return c.searched && waited >= gatherFor || waited >= c.config.Alone
}

// admit notes whether a node that logged this one's entry is reached as of then.
func (c *Core) admit(k *known) {
	if c.entry.done || c.entry.seq == 0 || k.admits {
		return
	}
	if k.admission == nil {
		if !k.entered || !k.shown[c.own.EpochID].Logged.Contains(c.entry.seq) {
			return // one who is entering himself lacks what the others have
		}
		k.admission = &goal{c.now, c.notLogged(k)}
	}
	k.admits = c.isReached(k.admission, true) // once it has entered, it shows what is on its disk
}

func (c *Core) admitAll() {
	if c.entry.done || c.entry.seq == 0 {
		return
	}
	for _, k := range c.known {
		c.admit(k)
	}
}

// admitted reports whether a majority of those who entered before admits this
// node.
func (c *Core) admitted() bool {
	others := c.others()
	n := 0
	for _, id := range others {
		if k := c.known[id]; k != nil && k.admits {
			n++
		}
	}
	return len(others) > 0 && n > len(others)/2
}

// replaceNamesakes forgets silent members of this node's name: it is their
// successor, on an empty or restored disk.
func (c *Core) replaceNamesakes() {
	for _, m := range c.listed() {
		if m.Name == c.config.Self.Name && m.Name != "" && m.ID != c.config.Self.Node && c.streams[m.ID] == nil {
			c.forget(m.ID)
		}
	}
}

// forget has a member go.
func (c *Core) forget(id NodeID) {
	m, ok := c.members[id]
	if !ok || m.Out || id == c.config.Self.Node {
		return
	}
	m.Out = true
	c.do(Issue{m})
}

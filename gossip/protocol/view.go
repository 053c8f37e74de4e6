package protocol

import (
	"maps"
	"slices"
)

// A MemberView is a member as a node sees it.
type MemberView struct {
	Member
	Self   bool
	Heard  bool   // it answers
	Synced bool   // it said last that it has entered, and this node reached it
	Lag    uint64 // records that it has not logged of what this node has
	Delay  Time   // from when this node last sent it a record until it had logged that
}

// State names what the member is doing.
func (v MemberView) State() string {
	switch {
	case v.Out:
		return "left"
	case v.Self || v.Heard:
		return "alive"
	}
	return "failed"
}

// View returns all members, by id.
func (c *Core) View() []MemberView {
	var list []MemberView
	for _, m := range c.listed() {
		v := MemberView{Member: m, Self: m.ID == c.config.Self.Node}
		switch k := c.known[m.ID]; {
		case v.Self:
			v.Synced = c.synced > c.now
		case k != nil:
			v.Heard = k.heard > 0 && c.now-k.heard <= heardWithin
			v.Synced = v.Heard && k.entered
			v.Delay = k.delay
			for id, e := range c.epochs {
				for _, r := range e.logged.Minus(k.shown[id].Logged) {
					v.Lag += r.To - r.From + 1
				}
			}
		}
		list = append(list, v)
	}
	return list
}

// Alive returns who is synced as far as this node hears, itself among them, by
// id.
func (c *Core) Alive() []NodeID {
	var list []NodeID
	for _, m := range c.members {
		k := c.known[m.ID]
		self := m.ID == c.config.Self.Node
		if m.In && !m.Out && (self && c.synced > c.now || !self && k != nil && k.entered && k.heard > 0 && c.now-k.heard <= heardWithin) {
			list = append(list, m.ID)
		}
	}
	slices.Sort(list)
	return list
}

// Peer returns who says to be at the other end of a stream, and whether it is in
// use and has shown what it has.
func (c *Core) Peer(conn Conn) (id NodeID, ready bool) {
	p := c.conns[conn]
	if p == nil {
		return 0, false
	}
	return p.hello.Node, p.accepted && p.complete
}

// Has reports whether a record is here, or stands for one that is gone.
func (c *Core) Has(id RecordID) bool {
	e := c.epochs[id.EpochID]
	return e != nil && e.have.Contains(id.Seq)
}

// LoggedBy returns up to which sequence of an epoch a node has shown that it has
// logged all, except those that nobody has. One that was applied in this process is no
// such: what others hold may be older.
func (c *Core) LoggedBy(id NodeID, of EpochID) uint64 {
	k := c.known[id]
	if k == nil {
		return 0
	}
	var excused Ranges
	if e := c.epochs[of]; e != nil {
		excused = e.excused.Minus(c.config.Applied[of])
	}
	return k.shown[of].Logged.Missing(excused, 1<<62).From - 1
}

// Unlogged returns what this core and those before it applied, and marks of the
// journal lack, for the core that takes its place in the running process.
func (c *Core) Unlogged(marks []Mark) map[EpochID]Ranges {
	applied := map[EpochID]Ranges{}
	for id, r := range c.config.Applied {
		applied[id] = r.Clone()
	}
	for id, e := range c.epochs {
		r := applied[id]
		r.Unite(e.have)
		applied[id] = r
	}
	for _, m := range marks {
		applied[m.EpochID] = applied[m.EpochID].Minus(m.Logged)
	}
	maps.DeleteFunc(applied, func(_ EpochID, r Ranges) bool { return len(r) == 0 })
	return applied
}

// Instead returns what a node that begins anew in a running process, with these
// marks of its journal, has to raise: everything, if this core never had some of
// what the journal let go of. A process that starts holds nothing to be raised.
func (c *Core) Instead(marks []Mark) (r Raise, ok bool) {
	for _, m := range marks {
		var have Ranges
		if e := c.epochs[m.EpochID]; e != nil {
			have = e.have
		}
		missing := have.Missing(nil, m.Start-1)
		if missing.From > missing.To {
			continue
		}
		r.Adopt = append(r.Adopt, Adoption{EpochID: m.EpochID, Upto: m.Start - 1, Hard: m.Hard})
		r.Mode = max(r.Mode, ModeVerify)
		if m.Hard >= missing.From {
			r.Mode = ModeHard
		}
	}
	return r, len(r.Adopt) > 0
}

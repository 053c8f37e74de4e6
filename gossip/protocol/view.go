package protocol

// A MemberView is a member as a node sees it.
type MemberView struct {
	Member
	Self   bool
	Heard  bool   // it answers
	Synced bool   // it said last that it has entered, and this node reached it
	Lag    uint64 // records that it has not logged of what this node has
	Delay  Time   // how long ago the moment is of which it was heard last
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
	for _, m := range c.Members() {
		v := MemberView{Member: m, Self: m.ID == c.config.Self.Node}
		switch k := c.known[m.ID]; {
		case v.Self:
			v.Synced = c.synced > c.now
		case k != nil:
			v.Heard = k.heard > 0 && c.now-k.heard <= heardWithin
			v.Synced = v.Heard && k.entered
			if k.heard > 0 {
				v.Delay = c.now - k.heard
			}
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

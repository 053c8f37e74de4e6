package gossip

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/edgecache/edgecache/gossip/protocol"
	"github.com/edgecache/edgecache/registry"
)

// note takes over the members for those who ask.
func (n *Node) note(members []protocol.Member) {
	named := make(map[protocol.NodeID]string, len(members))
	for _, m := range members {
		named[m.ID] = m.Name
	}
	n.mu.Lock()
	n.named, n.described = named, described{}
	n.mu.Unlock()
	n.members.Store(&members)
}

// isNamed reports whether a node is or was a member.
func (n *Node) isNamed(id protocol.NodeID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ok := n.named[id]
	return ok
}

// describe names those who confirmed. Nothing in its lists may be changed: many
// invalidations after each other are confirmed by the same members.
func (n *Node) describe(c protocol.Confirmation) registry.Confirmation {
	n.mu.Lock()
	d := &n.described
	if d.Members == 0 || !slices.Equal(d.of.Confirmed, c.Confirmed) || !slices.Equal(d.of.Fenced, c.Fenced) || !slices.Equal(d.of.Pending, c.Pending) {
		*d = described{c, registry.Confirmation{Members: len(c.Confirmed) + len(c.Fenced) + len(c.Pending),
			Confirmed: n.namesLocked(c.Confirmed), Fenced: n.namesLocked(c.Fenced), Pending: n.namesLocked(c.Pending)}}
	}
	out := d.Confirmation
	n.mu.Unlock()
	return out
}

// described is the last confirmation that was described, without its id.
type described struct {
	of protocol.Confirmation
	registry.Confirmation
}

func (n *Node) namesLocked(ids []protocol.NodeID) []string {
	list := make([]string, 0, len(ids))
	for _, id := range ids {
		name := n.named[id]
		if name == "" {
			name = id.String()
		}
		list = append(list, name)
	}
	return list
}

// about is what a node said of itself last.
type about struct {
	protocol.Hello
	alive bool // the mesh says so
}

// abouts returns what all nodes said of themselves, as far as it came here.
func (n *Node) abouts() map[protocol.NodeID]about {
	list := map[protocol.NodeID]about{}
	if m := n.mesh.Load(); m != nil {
		for _, h := range m.nodes() {
			list[h.Node] = about{h, true}
		}
	}
	n.mu.Lock()
	for id, h := range n.hellos {
		list[id] = about{h, list[id].alive}
	}
	n.mu.Unlock()
	h := n.hello()
	list[h.Node] = about{h, true}
	return list
}

// state names what a member is doing. It is suspect if no beacon of it comes,
// but the mesh still has signs of life.
func state(v protocol.MemberView, alive bool) string {
	s := v.State()
	if s == "failed" && alive {
		return "suspect"
	}
	return s
}

// Members returns the members as this node sees them.
func (n *Node) Members(ctx context.Context) []registry.MemberStatus {
	out := make(chan []protocol.MemberView, 1)
	n.hand(happening{run: func() { out <- n.core.View() }})
	select {
	case views := <-out:
		var list []registry.MemberStatus
		abouts := n.abouts()
		for _, v := range views {
			about := abouts[v.ID]
			list = append(list, registry.MemberStatus{Name: v.Name, State: state(v, about.alive), Address: v.Address,
				Zone: about.Zone, Version: about.Version, Synced: v.Synced, Lag: v.Lag,
				DelayMS: float64(v.Delay) / float64(protocol.Millisecond)})
		}
		slices.SortFunc(list, func(a, b registry.MemberStatus) int { return cmp.Compare(a.Name, b.Name) })
		return list
	case <-ctx.Done():
	case <-n.ctx.Done():
	}
	return nil
}

// Degraded returns what is wrong with the cluster, for people.
func (n *Node) Degraded() []string {
	var list []string
	if !n.Synced() {
		list = append(list, "unsynced")
	}
	if lonely := n.lonely(); lonely != "" {
		list = append(list, lonely)
	}
	ctx, cancel := context.WithTimeout(n.ctx, time.Second)
	defer cancel()
	for _, m := range n.Members(ctx) {
		if m.State == "failed" || m.State == "suspect" {
			list = append(list, fmt.Sprintf("member %s does not answer", m.Name))
		}
	}
	return list
}

// Forget removes a dead member by its name: the caller's word that it is gone
// for good. It returns once the record of that is issued.
func (n *Node) Forget(ctx context.Context, name string) error {
	result := make(chan error, 1)
	n.hand(happening{run: func() { result <- n.forget(name) }})
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-n.ctx.Done():
		return context.Canceled
	}
}

func (n *Node) forget(name string) error {
	found := false
	for _, v := range n.core.View() {
		if v.Name != name && v.ID.String() != name || v.Out {
			continue
		}
		switch {
		case v.ID == protocol.NodeID(n.opts.Log.Node()):
			return fmt.Errorf("%s is this node itself: stop it, and forget it on another", name)
		case v.Heard:
			return fmt.Errorf("%s is alive: stop it first", name)
		}
		found = true
		n.step(protocol.Forget{Node: v.ID})
	}
	if !found {
		return fmt.Errorf("member %q: %w", name, registry.ErrNotFound)
	}
	return nil
}

package cache

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/edgecache/edgecache/registry"
)

// Reload replaces the registries, the policy and the memory budget (of o its
// tagged fields count) at once, or returns an error and changes nothing. A registry whose identity changed keeps its entries,
// stale; one that is gone answers no more. The cache owns the new sources,
// and closes the old ones; after an error the caller still owns the new ones.
func (c *Cache) Reload(list []Registry, o Options) error {
	if err := errors.Join(o.Validate(), checkRegistries(list)); err != nil {
		return err
	}
	c.reloading.Lock()
	defer c.reloading.Unlock()
	if c.ctx.Err() != nil {
		return errClosed
	}
	old := c.ups.Load()
	var all []*upstream
	for _, r := range list {
		all = append(all, c.newUpstream(r, o.Policy))
	}
	us := assemble(all)
	c.changeOver(old, us, func() { c.use(us, &o) })
	c.rewindow(us)
	c.start(us.all)
	c.subs.notifyAll()
	return nil
}

// Replace does for one registry what Reload does for all, and leaves the others
// alone: its source is no longer what it was. Its policy stays. If nothing tells
// it from the one that there is, that stays. The cache owns the new source, and
// closes the one that it does not need; after an error the caller still owns it.
func (c *Cache) Replace(r Registry) error {
	c.reloading.Lock()
	defer c.reloading.Unlock()
	if c.ctx.Err() != nil {
		return errClosed
	}
	old := c.ups.Load()
	was := old.byName[r.Name]
	if was == nil || was.merges() || r.Source == nil {
		return fmt.Errorf("a registry with a source expected: %w", old.unknown(r.Name))
	}
	u := c.newUpstream(r, was.policy)
	if was.sameAs(u) && was.can == u.can {
		u.stop()
		c.closeRetired(u)
		return nil
	}
	us := c.replaced(old, was, u)
	c.changeOver(old, us, func() { c.ups.Store(us) })
	c.start([]*upstream{u})
	c.subs.notifyAll()
	return nil
}

// replaced returns the registries with u in the place of was. Merges of it are
// made anew, for the old ones go by their parts until the change.
func (c *Cache) replaced(old *upstreams, was, u *upstream) *upstreams {
	by := map[*upstream]*upstream{was: u}
	for _, m := range old.all {
		if contains(m, was) {
			by[m] = c.newUpstream(m.Registry, m.policy)
		}
	}
	swap := func(list []*upstream) []*upstream {
		list = slices.Clone(list)
		for i, o := range list {
			list[i] = cmp.Or(by[o], o)
		}
		return list
	}
	us := &upstreams{order: swap(old.order), all: swap(old.all), byName: map[string]*upstream{}}
	for i, n := range us.all {
		us.byName[n.Name] = n
		if n != old.all[i] {
			n.parts = swap(old.all[i].parts)
		}
	}
	return us
}

// changeOver makes other registries the current ones by use, and ends those that
// they replace.
func (c *Cache) changeOver(old, us *upstreams, use func()) {
	for _, u := range c.succeed(old, us, use) {
		c.Apply(&registry.Invalidation{Mode: registry.ModeSoft, Selectors: []registry.Selector{{Key: registry.Key{Registry: u.Name}}}})
	}
	c.retire(old, us)
	if c.disk != nil {
		c.disk.reloaded()
	}
}

// sameAs reports whether what another upstream's registry says of a name can be
// compared with what this one's does.
func (u *upstream) sameAs(o *upstream) bool {
	return u.Identity == o.Identity && u.Type == o.Type && slices.Equal(u.Of, o.Of)
}

// succeed makes the new registries the current ones, with what is known of
// their predecessors, and returns those that are not what they were. No
// invalidation comes between: it would miss the new ones. No fetch or event of
// a replaced registry is taken from then on.
func (c *Cache) succeed(old, us *upstreams, use func()) (changed []*upstream) {
	c.order.Lock()
	defer c.order.Unlock()
	for _, u := range us.all {
		was := old.byName[u.Name]
		if was == nil || was == u {
			continue
		}
		u.newest.Store(was.newest.Load())
		if was.sameAs(u) {
			u.moved = was.moved
			u.guard.inherit(was.guard)
			u.list.inherit(&was.list)
		} else {
			u.moved = c.gens.next()
			changed = append(changed, u)
		}
	}
	for key, f := range c.flights {
		if old.byName[key.Registry] != us.byName[key.Registry] {
			c.voidFlight(key, f)
		}
	}
	use()
	return changed
}

// retire stops everything that follows the registries that were replaced and
// drops the entries of those that are gone.
func (c *Cache) retire(old, us *upstreams) {
	var gone []*upstream
	for _, u := range old.all {
		if us.byName[u.Name] != u {
			gone = append(gone, u)
		}
	}
	for _, u := range gone {
		u.mu.Lock()
		u.closed = true
		for _, w := range u.watches {
			w.synced.Store(0)
		}
		u.mu.Unlock()
		u.stop()
		if us.byName[u.Name] == nil {
			c.order.Lock()
			c.gens.raiseWide(registry.Selector{Key: registry.Key{Registry: u.Name}}, registry.ModeHard, c.gens.next())
			c.order.Unlock()
		}
	}
	for e := range c.mem.all() {
		if us.byName[e.key.Registry] == nil {
			c.mem.drop(e.key)
		}
	}
	for _, u := range gone {
		closing := func() { c.closeRetired(u) }
		if !c.spawn(closing) {
			closing()
		}
	}
}

// closeRetired closes a replaced source once the fetches that callers still
// wait for have ended.
func (c *Cache) closeRetired(u *upstream) {
	u.calls.Wait()
	if err := closeSource(u.Source); err != nil {
		c.opts.Logger.Warn("source not closed cleanly", "registry", u.Name, "err", err)
	}
}

// rewindow gives every entry the windows of the new policy.
func (c *Cache) rewindow(us *upstreams) {
	for e := range c.mem.all() {
		u := us.byName[e.key.Registry]
		if u == nil {
			continue
		}
		c.order.Lock()
		held := c.mem.peek(e.key)
		if held != nil {
			n := held.succeed()
			if held.rec != nil {
				n.windows = u.windowsOf(held.rec.Wishes)
			} else {
				n.windows = u.absence()
			}
			c.put(n)
		}
		c.order.Unlock()
		if held != nil {
			c.schedule(u, e.key)
		}
	}
}

// inherit takes over what another list knows.
func (l *nameList) inherit(old *nameList) {
	l.snap.Store(old.snap.Load())
	l.void.Store(old.void.Load())
	l.listed.Store(old.listed.Load())
	old.mu.Lock()
	l.seenIndex = old.seenIndex
	old.mu.Unlock()
}

package cache

import (
	"errors"
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
	us, stale := c.succeed(old, list, &o)
	for _, u := range stale {
		c.Apply(&registry.Invalidation{Mode: registry.ModeSoft, Selectors: []registry.Selector{{Key: registry.Key{Registry: u.Name}}}})
	}
	c.retire(old, us)
	if c.disk != nil {
		c.disk.reloaded()
	}
	c.rewindow(us)
	c.start(us.all)
	c.subs.notifyAll()
	return nil
}

// succeed makes the new registries the current ones, with what is known of
// their predecessors, and returns those that are not what they were. No
// invalidation comes between: it would miss the new ones. No fetch or event of
// a replaced registry is taken from then on.
func (c *Cache) succeed(old *upstreams, list []Registry, o *Options) (us *upstreams, changed []*upstream) {
	var all []*upstream
	for _, r := range list {
		all = append(all, c.newUpstream(r, o.Policy))
	}
	us = assemble(all)
	c.order.Lock()
	defer c.order.Unlock()
	for _, u := range all {
		if was := old.byName[u.Name]; was != nil {
			u.newest.Store(was.newest.Load())
			if was.Identity == u.Identity && was.Type == u.Type && slices.Equal(was.Of, u.Of) {
				u.moved = was.moved
				u.guard.inherit(was.guard)
				u.list.inherit(&was.list)
			} else {
				u.moved = c.gens.next()
				changed = append(changed, u)
			}
		}
	}
	for key, f := range c.flights {
		c.voidFlight(key, f)
	}
	c.use(us, o)
	return us, changed
}

// retire stops everything that follows the registries that were replaced and
// drops the entries of those that are gone.
func (c *Cache) retire(old, us *upstreams) {
	for _, u := range old.all {
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
	for _, u := range old.all {
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

package cache

import (
	"errors"
	"fmt"
	"slices"

	"github.com/edgecache/edgecache/registry"
)

// Reload replaces the registries and the policy at once, or returns an error
// and changes nothing. A registry whose identity changed keeps its entries,
// stale; one that is gone answers no more. The cache owns the new sources,
// and closes the old ones; after an error the caller still owns the new ones.
func (c *Cache) Reload(list []Registry, p Policy) error {
	if err := errors.Join(p.Validate(), checkRegistries(list)); err != nil {
		return err
	}
	old := c.ups.Load()
	var all, stale []*upstream
	for _, r := range list {
		u := c.newUpstream(r, p)
		if was := old.byName[r.Name]; was != nil {
			u.newest.Store(was.newest.Load())
			if was.Identity == r.Identity && was.Type == r.Type && slices.Equal(was.Of, r.Of) {
				u.guard.inherit(was.guard)
				u.list.inherit(&was.list)
			} else {
				stale = append(stale, u)
			}
		}
		all = append(all, u)
	}
	us := assemble(all)
	c.use(us)
	for _, u := range stale {
		inv := &registry.Invalidation{Mode: registry.ModeSoft, Selectors: []registry.Selector{{Key: registry.Key{Registry: u.Name}}}}
		c.Apply(inv)
	}
	c.retire(old, us)
	c.rewindow(us)
	c.start(all)
	c.subs.notifyAll()
	return nil
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
	c.order.Lock()
	for key, f := range c.flights {
		c.voidFlight(key, f)
	}
	c.order.Unlock()
	for e := range c.mem.all() {
		if us.byName[e.key.Registry] == nil {
			c.mem.drop(e.key)
		}
	}
	for _, u := range old.all {
		if err := closeSource(u.Source); err != nil {
			c.opts.Logger.Warn("source not closed cleanly", "registry", u.Name, "err", fmt.Errorf("close: %w", err))
		}
	}
}

// rewindow gives every entry the windows of the new policy.
func (c *Cache) rewindow(us *upstreams) {
	for e := range c.mem.all() {
		u := us.byName[e.key.Registry]
		if u == nil || e.failure != nil {
			continue
		}
		c.order.Lock()
		if held := c.mem.peek(e.key); held == e {
			n := e.succeed()
			if e.rec != nil {
				n.windows = u.windowsOf(e.rec.Wishes)
			} else {
				n.windows = u.absence()
			}
			c.mem.put(n)
		}
		c.order.Unlock()
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

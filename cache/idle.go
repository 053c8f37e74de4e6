package cache

import (
	"time"

	"github.com/edgecache/edgecache/registry"
)

// sweepWatches ends the watches of names that nobody asked for in a while.
func (c *Cache) sweepWatches() {
	for pause(c.ctx, c.sweepEvery()) {
		now := c.now()
		for _, u := range c.ups.Load().all {
			u.mu.Lock()
			var idle []*watch
			for name, w := range u.watches {
				if name != allNames && c.idle(u, name, now) {
					idle = append(idle, w)
				}
			}
			u.mu.Unlock()
			for _, w := range idle {
				u.endWatch(w)
			}
		}
	}
}

func (c *Cache) idle(u *upstream, name string, now time.Duration) bool {
	key := registry.Key{Registry: u.Name, Name: name}
	e := c.mem.peek(key)
	if e != nil && now-time.Duration(e.used.Load()) < u.policy.Idle {
		return false
	}
	return !c.subs.follows(key)
}

// sweepEvery is often enough that no watch outlives its idle time by half.
func (c *Cache) sweepEvery() time.Duration {
	every := time.Minute
	for _, u := range c.ups.Load().all {
		every = min(every, max(u.policy.Idle/2, 10*time.Millisecond))
	}
	return every
}

// owns reports whether this node is the one to ask and to watch a name, or all
// names of a registry that is watched as a whole.
func (c *Cache) owns(u *upstream, name string) bool {
	return c.opts.Cluster == nil || c.opts.Cluster.Owns(c.ownedKey(u, name))
}

func (c *Cache) ownedKey(u *upstream, name string) registry.Key {
	if u.can.WatchAll && u.Watch {
		name = allNames
	}
	return registry.Key{Registry: u.Name, Name: name}
}

// ownersEvery is how often it is looked at who owns what.
const ownersEvery = 500 * time.Millisecond

// followOwners begins and ends watches as names change their owner.
func (c *Cache) followOwners() {
	for pause(c.ctx, ownersEvery) {
		for _, u := range c.ups.Load().all {
			if u.merges() || !u.Watch || !u.can.Watch {
				continue
			}
			if u.can.WatchAll && c.owns(u, allNames) {
				c.watchAll(u)
			}
			u.mu.Lock()
			var lost []*watch
			for name, w := range u.watches {
				if !c.owns(u, name) {
					lost = append(lost, w)
				}
			}
			u.mu.Unlock()
			for _, w := range lost {
				u.endWatch(w)
			}
		}
	}
}

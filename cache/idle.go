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

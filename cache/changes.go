package cache

import (
	"maps"
	"slices"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// A change is a position taken for what a watch, a list or a feed saw of a key.
// The other nodes are told of it by an invalidation.
type change struct {
	key      registry.Key
	position uint64
	revision registry.Revision // what was seen; zero: it is gone, or not said
}

const (
	// mostTold bounds the changes that one invalidation tells of.
	mostTold = 256
	// mostChanges bounds those that wait, while the disk hangs. What is more
	// becomes changes of whole registries.
	mostChanges = 65536
)

// tell has the cluster told of a change. The order lock is held.
func (c *Cache) tell(key registry.Key, position uint64, seen registry.Revision) {
	if c.opts.Cluster == nil {
		return
	}
	c.history.begin(position)
	if len(c.changes) >= mostChanges {
		c.gatherChanges()
	}
	c.changes = append(c.changes, change{key, position, seen})
	select {
	case c.told <- struct{}{}:
	default: // a wake-up is pending already
	}
}

// changedLocked takes a position for a change that a watch saw and voids the
// fetches under way: they may have read the old content. It returns the
// position at which the watch read the new one: what was invalidated after
// began still covers it.
func (c *Cache) changedLocked(key registry.Key, tags []string, seen registry.Revision, began uint64) uint64 {
	covered := c.gens.judge(key, tags, began) > registry.ModeNone
	position := c.gens.next()
	c.gens.raiseKey(key, registry.ModeSoft, position)
	c.voidLocked(key)
	c.tell(key, position, seen)
	if covered {
		return began
	}
	return position
}

// mostListed bounds the names that are told of as a watch begins: the entries of
// the others live on their TTL.
const mostListed = 16384

// tellsOf reports whether what a watch says of a name, which is no change to
// what is held here, may be one to another node, or to what this one has on
// disk: nothing is held, or a fetch found it before the watch did, or the watch
// begins and cannot know what came before. The order lock is held.
func (c *Cache) tellsOf(w *watch, held *entry) bool {
	if w == nil || c.opts.Cluster == nil && (c.disk == nil || held != nil) {
		return false
	}
	if w.synced.Load() > 0 && held == nil {
		return true
	}
	if w.synced.Load() == 0 && c.opts.Cluster != nil && w.told < mostListed {
		w.told++
		return true
	}
	return held != nil && held.flags.And(^uint32(untold))&untold != 0
}

// gatherChanges makes of what waits one change of each registry, as of the first
// of them. The order lock is held.
func (c *Cache) gatherChanges() {
	first := c.changes[0].position
	gathered := map[uint64]bool{}
	registries := map[string]bool{}
	for _, change := range c.changes {
		gathered[change.position] = change.position != first
		registries[change.key.Registry] = true
	}
	c.history.unnamed = slices.DeleteFunc(c.history.unnamed, func(p uint64) bool { return gathered[p] })
	c.changes = nil
	for _, name := range slices.Sorted(maps.Keys(registries)) {
		c.changes = append(c.changes, change{key: registry.Key{Registry: name}, position: first})
	}
}

// tellChanges logs and sends changes until the cache closes, many at once, and
// after each the record that it led to.
func (c *Cache) tellChanges() {
	for {
		select {
		case <-c.told:
		case <-c.ctx.Done():
			return
		}
		for {
			c.order.Lock()
			n := min(len(c.changes), mostTold)
			list := c.changes[:n:n]
			if c.changes = c.changes[n:]; len(c.changes) == 0 {
				c.changes = nil
			}
			c.order.Unlock()
			if n == 0 {
				break
			}
			c.tellOf(list)
		}
	}
}

func (c *Cache) tellOf(list []change) {
	inv := &registry.Invalidation{Mode: registry.ModeSoft, At: time.Now().UnixMilli()}
	var of []registry.Ask
	for _, change := range list {
		if u := c.ups.Load().byName[change.key.Registry]; u != nil && change.key.Name != "" {
			of = append(of, registry.Ask{Key: change.key, Source: u.print})
		}
		inv.Selectors = append(inv.Selectors, registry.Selector{Key: change.key})
		inv.Versions = append(inv.Versions, change.revision)
	}
	// What it raised here is applied, and its entries are written with it.
	err := c.append(c.ctx, inv, registry.Applied{Position: list[0].position}, 0)
	if c.ctx.Err() != nil {
		return
	}
	c.order.Lock()
	for _, change := range list {
		c.history.name(change.position, inv)
	}
	c.order.Unlock()
	c.opts.Cluster.Publish(inv, err == nil)
	c.opts.Cluster.Push(of)
}

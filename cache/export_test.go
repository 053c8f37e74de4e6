package cache

import (
	"github.com/maypok86/otter/v2"

	"github.com/edgecache/edgecache/registry"
)

// Squeeze evicts everything from memory, as pressure on its budget does.
func Squeeze(c *Cache) {
	squeeze(c.mem.records)
	squeeze(c.mem.negatives)
}

func squeeze(tier *otter.Cache[registry.Key, *entry]) {
	limit := tier.GetMaximum()
	tier.SetMaximum(0)
	tier.CleanUp()
	tier.SetMaximum(limit)
}

// Unfinished returns how many changes are not on disk yet.
func Unfinished(c *Cache) int {
	c.order.Lock()
	defer c.order.Unlock()
	return len(c.disk.pending) + len(c.disk.writing)
}

// Forget makes the tables of generations as small as given.
func Forget(c *Cache, keys, wide int) {
	c.order.Lock()
	defer c.order.Unlock()
	c.gens.mostKeys, c.gens.mostWide = keys, wide
}

// Generations returns how many tags and prefixes there are generations of.
func Generations(c *Cache) int {
	c.order.Lock()
	defer c.order.Unlock()
	return len(c.gens.tags) + len(c.gens.prefixes)
}

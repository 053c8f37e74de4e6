package cache

// Squeeze evicts everything from memory, as pressure on its budget does.
func Squeeze(c *Cache) {
	limit := c.mem.records.GetMaximum()
	c.mem.records.SetMaximum(0)
	c.mem.records.CleanUp()
	c.mem.records.SetMaximum(limit)
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

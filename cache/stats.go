package cache

import (
	"sync/atomic"

	"github.com/edgecache/edgecache/registry"
)

type counters struct {
	hits, stale, misses, negative, errors atomic.Uint64

	fills, unchanged, fillErrors atomic.Uint64
	invalidations                atomic.Uint64
	voided                       atomic.Uint64
	watchEvents                  atomic.Uint64
	refreshes                    atomic.Uint64
}

// Stats are totals since New.
type Stats struct {
	Lookups       registry.LookupStatus
	Fills         uint64 // fetches that ended with an answer
	Unchanged     uint64 // of them, those that confirmed what was held
	FillErrors    uint64 // fetches that failed
	Invalidations uint64 // applied
	Voided        uint64 // flights that an invalidation overtook
	WatchEvents   uint64
	Refreshes     uint64 // fetches begun in the background
	Flights       int    // under way now
	Watches       int    // upstream watches that run now
	Subscriptions int
	Position      uint64 // of the newest invalidation
}

// count counts a lookup by its outcome.
func (s *counters) count(f *found) {
	switch {
	case f.class == classDown:
		s.errors.Add(1)
	case f.class == classAbsent:
		s.negative.Add(1)
	case f.stale:
		s.stale.Add(1)
	case f.hit:
		s.hits.Add(1)
	default:
		s.misses.Add(1)
	}
}

// Stats returns the totals.
func (c *Cache) Stats() Stats {
	s := Stats{
		Lookups: c.Lookups(),
		Fills:   c.stats.fills.Load(), Unchanged: c.stats.unchanged.Load(), FillErrors: c.stats.fillErrors.Load(),
		Invalidations: c.stats.invalidations.Load(), Voided: c.stats.voided.Load(),
		WatchEvents: c.stats.watchEvents.Load(), Refreshes: c.stats.refreshes.Load(),
		Subscriptions: c.subs.count(),
	}
	c.order.Lock()
	s.Flights, s.Position = len(c.flights), c.gens.position
	c.order.Unlock()
	for _, u := range c.ups.Load().all {
		s.Watches += u.watchCount()
	}
	return s
}

// Lookups returns the lookups since New by outcome.
func (c *Cache) Lookups() registry.LookupStatus {
	return registry.LookupStatus{Hits: c.stats.hits.Load(), Stale: c.stats.stale.Load(), Misses: c.stats.misses.Load(),
		Negative: c.stats.negative.Load(), Errors: c.stats.errors.Load()}
}

// Memory returns the use of the memory budget.
func (c *Cache) Memory() registry.MemoryStatus {
	return c.mem.status()
}

func (s *counters) countFill(r *reply) {
	switch {
	case r.err != nil:
		s.fillErrors.Add(1)
	case r.same:
		s.unchanged.Add(1)
		s.fills.Add(1)
	default:
		s.fills.Add(1)
	}
}

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
	copied                       atomic.Uint64
	verified, violated           atomic.Uint64

	written, confirmed, deleted, dropped, writeErrors atomic.Uint64
	found, absent, refused, skipped, loaded           atomic.Uint64
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
	Copied        uint64 // copies that peers gave
	Verified      uint64 // answers of peers that were not older than an invalidation, of those sampled
	Violated      uint64 // of them, those that were
	Flights       int    // under way now
	Watches       int    // upstream watches that run now
	Subscriptions int
	Position      uint64 // of the newest invalidation
	Persisted     Persisted
}

// Persisted are the totals of what the cache has to do with its Store; all zero
// without one.
type Persisted struct {
	Pending      int    // keys that wait to be written now
	PendingBytes uint64 // of their entries
	Written      uint64 // whole entries
	Confirmed    uint64 // entries of which only the confirmation was written
	Deleted      uint64
	Dropped      uint64 // changes of which too many waited; what is still held is written later
	WriteErrors  uint64 // batches that were not written
	Found        uint64 // reads of one key that led to an entry in memory
	Absent       uint64 // reads that found nothing
	Refused      uint64 // reads of what may not be served any more
	Skipped      uint64 // reads not made, failed, or not in time for a lookup
	Loaded       uint64 // entries loaded after the restart
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
		WatchEvents: c.stats.watchEvents.Load(), Refreshes: c.stats.refreshes.Load(), Copied: c.stats.copied.Load(),
		Verified: c.stats.verified.Load(), Violated: c.stats.violated.Load(),
		Subscriptions: c.subs.count(),
	}
	c.order.Lock()
	s.Flights, s.Position = len(c.flights), c.gens.position
	if c.disk != nil {
		s.Persisted.Pending, s.Persisted.PendingBytes = len(c.disk.pending), c.disk.bytes
	}
	c.order.Unlock()
	c.stats.persisted(&s.Persisted)
	for _, u := range c.ups.Load().all {
		s.Watches += u.watchCount()
	}
	return s
}

func (s *counters) persisted(p *Persisted) {
	p.Written, p.Confirmed, p.Deleted = s.written.Load(), s.confirmed.Load(), s.deleted.Load()
	p.Dropped, p.WriteErrors = s.dropped.Load(), s.writeErrors.Load()
	p.Found, p.Absent, p.Refused, p.Skipped = s.found.Load(), s.absent.Load(), s.refused.Load(), s.skipped.Load()
	p.Loaded = s.loaded.Load()
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

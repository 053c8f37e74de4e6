package cache

import (
	"sync/atomic"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// An entry is what is known of a key: a record, a proof of absence, or a
// failure to find out. What a fetch changes is never changed in place: a
// confirmation makes a new entry. Times are cache time, see Cache.now.
type entry struct {
	key   registry.Key
	rec   *registry.Record // sealed; nil: absent, or failed
	index uint64           // when the answer last changed
	began uint64           // position before its fetch was sent
	size  uint32           // bytes charged in memory
	mark  atomic.Uint32    // strictest registry.Mode of what covers it
	flags atomic.Uint32    // refreshBegun, untold, replaced
	saved atomic.Uint32    // the store's directory that has rec; 0: none

	windows
	confirmed time.Duration // start of the last fetch that confirmed it
	watch     *watch        // confirms it while live; nil: none

	*doubts // never nil; &certain if there is nothing to say

	savedAt atomic.Int64  // of saved: confirmed up to this cache time, as it is there
	checked atomic.Uint64 // wide generations up to here are in mark
	used    atomic.Int64  // cache time of the last lookup
	hits    atomic.Uint64
	due     atomic.Int64 // cache time of its item in the refresher; 0: none
}

// Flags of entries.
const (
	refreshBegun = 1 << iota // a refresh ahead was started
	untold                   // no watch here found its content, and told the other nodes of it
	replaced                 // another entry took its place in memory
)

// doubts are what speaks against an entry. Most have none, so they share one
// value: whoever changes them calls doubt first.
type doubts struct {
	empties     int           // unconfirmed empty answers in a row: rec is kept against them
	emptySince  time.Duration // when the first of them came
	provisional int           // times the registry answered the same after an invalidation
	deleted     bool          // a watch saw it deleted on purpose, but an invalidation came between
	disk        bool          // it came from disk, and nothing confirmed it since
	searched    bool          // of a failure alone: the disk has nothing of its key
	behind      time.Duration // since when the registry answers older than known; 0: it does not

	failure  *registry.UpstreamError // of the last fetch; nil: it succeeded
	fails    int                     // failed fetches in a row
	failedAt time.Duration
	nextTry  time.Duration // no fetch before, unless the registry came back
}

// What entries share that have no doubts, or none but where they came from;
// nobody writes to them.
var (
	certain  doubts
	fromDisk = doubts{disk: true}
)

// doubt gives the entry, which nobody else sees yet, doubts of its own.
func (e *entry) doubt() {
	own := *e.doubts
	e.doubts = &own
}

// absent reports whether e proves absence.
func (e *entry) absent() bool { return e.rec == nil && e.failure == nil }

// known reports whether e holds an answer of the registry, and not a failure
// alone.
func (e *entry) known() bool { return e.rec != nil || e.failure == nil }

// mode returns the strictest mode of what covers the entry.
func (e *entry) mode() registry.Mode { return registry.Mode(e.mark.Load()) }

// raise makes the entry at least as bad as m.
func (e *entry) raise(m registry.Mode) {
	for {
		old := e.mark.Load()
		if old >= uint32(m) || e.mark.CompareAndSwap(old, uint32(m)) {
			return
		}
	}
}

// touch counts a lookup that the entry answered.
func (e *entry) touch(now time.Duration) {
	e.hits.Add(1)
	// One store a millisecond is enough to know what is in use, and keeps the
	// cache line of a hot entry shared.
	if last := e.used.Load(); int64(now)-last > int64(time.Millisecond) {
		e.used.Store(int64(now))
	}
}

// succeed returns a copy of e, for a caller that holds the order lock and
// changes part of it before it replaces e.
func (e *entry) succeed() *entry {
	n := &entry{key: e.key, rec: e.rec, index: e.index, began: e.began, size: e.size, windows: e.windows,
		confirmed: e.confirmed, watch: e.watch, doubts: e.doubts}
	n.mark.Store(e.mark.Load())
	n.checked.Store(e.checked.Load())
	n.flags.Store(e.flags.Load() & untold)
	n.use(e)
	return n
}

// use carries the counters of use over from the entry that n replaces.
func (e *entry) use(old *entry) {
	e.used.Store(old.used.Load())
	e.hits.Store(old.hits.Load())
	e.due.Store(old.due.Load())
}

// confirmedLive reports whether a live watch keeps the entry fresh. An answer
// on probation after an invalidation must prove itself by fetches.
func (e *entry) confirmedLive(now time.Duration) bool {
	return e.watch != nil && e.provisional == 0 && e.watch.live(now)
}

// base returns when the registry last confirmed the entry: by a fetch, or by a
// sign of life of the gap-free watch on it.
func (e *entry) base() time.Duration {
	if e.watch == nil {
		return e.confirmed
	}
	return max(e.confirmed, e.watch.lastSign())
}

const (
	entryOverhead   = 360 // bytes of the entry itself, its node in memory and its place in the refresher
	maxEntryCharged = 1<<32 - 1
)

// charge returns the bytes that an entry of this key and record costs.
func charge(k registry.Key, rec *registry.Record) uint32 {
	n := entryOverhead + len(k.Name)
	if rec != nil {
		n += rec.Size()
	}
	return uint32(min(n, maxEntryCharged))
}

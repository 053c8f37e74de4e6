package cache

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// The most that waits to be written. What is more is dropped: while it is in
// memory, the walk notes it again.
const (
	maxWrites     = 65536
	maxWriteBytes = 64 << 20
)

// A disk is the cache's side of its Store: what waits to be written, what is
// being read, and which invalidations are not known to be there. Nobody waits
// for the store but its goroutines, and lookups for a bounded time.
type disk struct {
	c     *Cache
	store Store

	wake    chan struct{}  // holds one value: the writer has something to do
	quit    chan struct{}  // closed by Close, when nothing is noted any more
	done    chan struct{}  // closed at the writer's end; nil: it was not started
	running sync.WaitGroup // goroutines that may be stuck in the store

	loaded  chan struct{}  // closed when what was kept before the restart is in memory
	inUse   []registry.Key // of what was loaded, in use before the restart; read it after loaded is closed
	lastLog atomic.Int64   // cache time of the last warning; 0: none

	// The order lock protects the fields below.
	open       bool                        // from the end of Open to Close: reads may begin
	pending    map[registry.Key]*write     // not taken by the writer yet
	queue      []*write                    // of pending, in the order in which they came
	crowded    bool                        // pending was more than a batch, and has room for that
	bytes      uint64                      // of pending
	writing    map[registry.Key]*write     // taken, not written yet
	writeOver  chan struct{}               // closed when they are; nil: there are none
	promotions map[registry.Key]*promotion // begun, or waiting
	waiting    []*promotion
	reads      int                       // promotions under way
	lastRead   time.Duration             // when one ended last
	passed     map[registry.Key]struct{} // changed since the load under way read its page; nil: none is
	identified uint32                    // directory that has the identities of all registries; 0: none
	known      []string                  // registries of which the disk may have entries
	marks      unmarked
}

// A write is the newest change of a key that is not on disk yet.
type write struct {
	key   registry.Key
	entry *entry        // nil: the key is to be deleted
	base  time.Duration // when the entry was last confirmed, while it was in memory
	bytes uint64
}

func newDisk(c *Cache, s Store) *disk {
	return &disk{c: c, store: s, wake: make(chan struct{}, 1), quit: make(chan struct{}), loaded: make(chan struct{}),
		pending: map[registry.Key]*write{}, writing: map[registry.Key]*write{}, promotions: map[registry.Key]*promotion{}}
}

// put replaces the entry of e.key in memory and notes it for the disk. The
// order lock is held.
func (c *Cache) put(e *entry) { c.replace(c.mem.peek(e.key), e) }

// replace is put for a caller that knows what is held.
func (c *Cache) replace(held, e *entry) {
	if c.disk != nil {
		c.disk.note(held, e)
	}
	c.mem.put(held, e)
}

// note makes e, which replaces held, what is to be on disk. A proof of absence
// is not kept there: it deletes a record that it replaces, so that names that
// somebody invented are never written.
func (d *disk) note(held, e *entry) {
	if e.known() {
		d.pass(e.key)
	}
	switch {
	case e.rec != nil:
		if held != nil && held.rec == e.rec {
			e.saved.Store(held.saved.Load())
			e.savedAt.Store(held.savedAt.Load())
			if held.began == e.began && held.confirmed == e.confirmed && held.watch == e.watch &&
				held.empties == e.empties && held.mode() == e.mode() {
				return // a failure is no news to keep
			}
		}
		if !e.rec.Wishes.NoStore {
			d.enqueue(e.key, e, e.base())
		}
	case e.absent() && held != nil && held.rec != nil:
		if !d.enqueue(e.key, nil, 0) {
			d.c.mem.distrust(held.index)
		}
	}
}

// pass notes that what is being read of a key is not the newest any more.
func (d *disk) pass(k registry.Key) {
	if p := d.promotions[k]; p != nil {
		p.passed = true
	}
	if d.passed != nil {
		d.passed[k] = struct{}{}
	}
}

// enqueue makes the entry (nil: a deletion) what is written next of the key,
// unless too much waits. The order lock is held.
func (d *disk) enqueue(k registry.Key, e *entry, base time.Duration) bool {
	if d.store.Directory() == 0 {
		return true // what comes after it begins with nothing
	}
	w := d.pending[k]
	if w == nil {
		if d.full(e) {
			d.c.stats.dropped.Add(1)
			return false
		}
		w = &write{key: k}
		d.pending[k] = w
		d.queue = append(d.queue, w)
	}
	d.bytes -= w.bytes
	w.entry, w.base, w.bytes = e, base, 0
	if e != nil {
		w.bytes = uint64(e.size)
	}
	d.bytes += w.bytes
	d.wakeWriter()
	return true
}

// full reports whether no further key can wait. There is more room for
// deletions: nothing would bring them back.
func (d *disk) full(e *entry) bool {
	if e == nil {
		return len(d.pending) >= 2*maxWrites
	}
	return len(d.pending) >= maxWrites || d.bytes+uint64(e.size) > maxWriteBytes
}

func (d *disk) wakeWriter() {
	select {
	case d.wake <- struct{}{}:
	default: // a wake-up is pending already
	}
}

// find returns the newest change of a key that is not on disk yet, or nil. The
// order lock is held.
func (d *disk) find(k registry.Key) *write {
	if w := d.pending[k]; w != nil {
		return w
	}
	return d.writing[k]
}

// raise makes what waits to be written of a key at least as bad as m. What is
// being written is marked on disk by the journal.
func (d *disk) raise(k registry.Key, m registry.Mode) {
	for _, w := range []*write{d.pending[k], d.writing[k]} {
		if w != nil && w.entry != nil {
			w.entry.raise(m)
		}
	}
}

// spawn starts a goroutine that may be stuck in the store; false after Close
// began. The order lock is held.
func (d *disk) spawn(f func()) bool {
	if d.c.closed {
		return false
	}
	d.running.Go(f)
	return true
}

const warnEvery = time.Minute

// warn counts and, once a minute, logs that the store did not do something.
func (d *disk) warn(what string, err error) {
	now, last := int64(d.c.now()), d.lastLog.Load()
	if (last == 0 || now-last >= int64(warnEvery)) && d.lastLog.CompareAndSwap(last, max(now, 1)) {
		d.c.opts.Logger.Warn(what, "err", err)
	}
}

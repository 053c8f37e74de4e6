package cache

import (
	"time"

	"github.com/edgecache/edgecache/registry"
)

const (
	batchKeys  = 512
	batchBytes = 4 << 20
	// Each batch costs as much as some entries do, so one is written each
	// gatherFor; but after a rest, the first ungathered ones are at once.
	gatherFor  = 40 * time.Millisecond
	ungathered = 16
	// keptFor is how long an entry that nothing confirms is taken to be still on
	// disk: the store evicts what was confirmed longest ago.
	keptFor = time.Hour
	// writePause is how long the writer waits after an error.
	writePause = time.Second
	// lastWrites bounds what Close writes: what is left, and then the
	// confirmations of what is in use, each.
	lastWrites = 2 * time.Second
)

// A batch is what one call writes.
type batch struct {
	directory uint32
	writes    []*write // all of it
	put       []*registry.Stored
	stored    []registry.Stored // that put points to
	confirm   []registry.Confirmed
	del       []registry.Key
}

// write runs the one goroutine that writes, until Close; what is left then, finish
// does.
func (d *disk) write() {
	defer close(d.done)
	defer d.finish()
	due := d.c.now() - ungathered*gatherFor // of the next batch, if none comes early
	for {
		select {
		case <-d.wake:
		case <-d.quit:
			return
		}
		now := d.c.now()
		if due > now && !d.pause(due-now) {
			return
		}
		due = max(due, now-ungathered*gatherFor) + gatherFor
		for more, err := true, error(nil); more; {
			if more, err = d.writeSome(); err != nil && !d.pause(writePause) || d.closing() {
				break
			}
		}
	}
}

// closing reports whether Close wants the writer's end.
func (d *disk) closing() bool {
	select {
	case <-d.quit:
		return true
	default:
		return false
	}
}

// pause waits; it reports whether d passed before Close wanted the writer's
// end.
func (d *disk) pause(wait time.Duration) bool {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-d.quit:
		return false
	}
}

// writeSome does a part of what the writer has to do; more reports whether
// there was more, or it failed.
func (d *disk) writeSome() (more bool, err error) {
	// The number is read before anything is converted for it: marks that were
	// put before a fresh directory was begun are in the entries by then.
	directory := d.store.Directory()
	if directory == 0 {
		d.forget()
		return false, nil
	}
	if err := d.identify(directory); err != nil {
		d.warn("identities of registries not written to disk", err)
		return true, err
	}
	if err := d.mark(directory); err != nil {
		d.warn("invalidations not noted on disk", err)
		return true, err
	}
	b, more := d.take(directory)
	if len(b.writes) == 0 {
		return false, nil
	}
	err = d.store.Write(directory, b.put, b.confirm, b.del)
	d.written(b, err)
	if err != nil {
		d.c.stats.writeErrors.Add(1)
		d.warn("entries not written to disk", err)
	}
	return more || err != nil, err
}

// forget drops what waits: there is no directory, and the next one begins with
// nothing.
func (d *disk) forget() {
	d.c.order.Lock()
	defer d.c.order.Unlock()
	clear(d.pending)
	d.queue, d.bytes = nil, 0
	d.marks.release(0)
}

// take takes a batch off the queue and converts it; more reports whether some
// is left.
func (d *disk) take(directory uint32) (b *batch, more bool) {
	b = &batch{directory: directory}
	d.c.order.Lock()
	defer d.c.order.Unlock()
	if len(d.queue) > 0 {
		d.writeOver = make(chan struct{})
	}
	at := d.reading()
	n, size := 0, uint64(0)
	for n < len(d.queue) && n < batchKeys && size < batchBytes {
		size += d.queue[n].bytes
		n++
	}
	b.makeRoom(n)
	for i, w := range d.queue[:n] {
		b.add(w, at)
		d.queue[i] = nil
	}
	d.bytes -= size
	d.taken(b.writes)
	return b, len(d.queue) > 0
}

// taken moves what a batch has from pending to writing, which is empty. The
// order lock is held.
func (d *disk) taken(writes []*write) {
	if len(d.queue) == len(writes) && !d.crowded {
		d.queue = d.queue[:0]
		d.pending, d.writing = d.writing, d.pending
		return
	}
	d.queue = d.queue[len(writes):]
	for _, w := range writes {
		delete(d.pending, w.key)
		d.writing[w.key] = w
	}
	if d.crowded = len(d.queue) > 0; !d.crowded {
		d.queue, d.pending = nil, map[registry.Key]*write{}
	}
}

func (b *batch) makeRoom(n int) {
	b.writes = make([]*write, 0, n)
	b.put, b.stored = make([]*registry.Stored, 0, n), make([]registry.Stored, 0, n)
}

func (b *batch) add(w *write, at reading) {
	b.writes = append(b.writes, w)
	switch {
	case w.entry == nil:
		b.del = append(b.del, w.key)
	case w.entry.saved.Load() == b.directory && at.cache-time.Duration(w.entry.savedAt.Load()) < min(w.entry.sie, keptFor):
		b.confirm = append(b.confirm, at.confirmation(w.entry, w.base))
	default: // it is not there, or expired there or made room and may be gone
		b.stored = append(b.stored, at.stored(w.entry, w.base))
		b.put = append(b.put, &b.stored[len(b.stored)-1])
	}
}

// written notes what became of a batch.
func (d *disk) written(b *batch, err error) {
	d.c.order.Lock()
	defer d.c.order.Unlock()
	close(d.writeOver)
	d.writeOver = nil
	clear(d.writing)
	for _, w := range b.writes {
		if d.passed != nil {
			d.passed[w.key] = struct{}{}
		}
		next := d.pending[w.key]
		switch {
		case err != nil && w.entry == nil && next == nil:
			d.enqueue(w.key, nil, 0) // what is held is noted by the walk, this is not
		case err == nil && w.entry != nil:
			w.entry.save(b.directory, w.base)
			if w.entry.flags.Load()&replaced != 0 {
				if held := d.c.mem.peek(w.key); held != nil && held.rec == w.entry.rec {
					held.save(b.directory, w.base)
				}
			}
			if next != nil && next.entry != nil && next.entry.rec == w.entry.rec {
				next.entry.save(b.directory, w.base)
			}
		}
	}
	if err == nil {
		d.c.stats.written.Add(uint64(len(b.put)))
		d.c.stats.confirmed.Add(uint64(len(b.confirm)))
		d.c.stats.deleted.Add(uint64(len(b.del)))
	}
}

// save notes that a directory has the record, confirmed up to a time.
func (e *entry) save(directory uint32, base time.Duration) {
	e.savedAt.Store(int64(base))
	e.saved.Store(directory)
}

// A reading is one moment on both clocks: by it ages become times of the wall
// clock and back. What was written before a restart is never younger after it.
type reading struct {
	cache time.Duration
	wall  int64 // Unix ms, by the store
}

func (d *disk) reading() reading { return reading{d.c.now(), d.store.Now()} }

// ms returns the wall clock's time of a cache time, up to a millisecond
// earlier.
func (r reading) ms(at time.Duration) int64 {
	return r.wall - (r.cache - at + time.Millisecond - 1).Milliseconds()
}

// longAgo bounds ages, so that nothing overflows.
const longAgo = 100 * 365 * 24 * time.Hour

// at returns the cache time of a time of the wall clock; nothing is in the
// future.
func (r reading) at(ms int64) time.Duration {
	age := longAgo
	if ms > r.wall-longAgo.Milliseconds() {
		age = time.Duration(max(r.wall-ms, 0)) * time.Millisecond
	}
	return r.cache - age
}

// used returns when the entry was last used, 0 if that is not known.
func (r reading) used(e *entry) int64 {
	at := time.Duration(e.used.Load())
	if at <= r.cache-longAgo {
		return 0
	}
	return r.ms(at)
}

// stored returns an entry, last confirmed at base, as it is kept on disk.
func (r reading) stored(e *entry, base time.Duration) registry.Stored {
	verified := r.ms(base)
	return registry.Stored{
		Entry: registry.Entry{Key: e.key, Record: e.rec, Began: e.began, Verified: verified, Empties: empties(e), Mode: e.mode()},
		Used:  r.used(e), Expires: verified + e.sie.Milliseconds(),
	}
}

func (r reading) confirmation(e *entry, base time.Duration) registry.Confirmed {
	verified := r.ms(base)
	return registry.Confirmed{Key: e.key, Index: e.rec.Index, Began: e.began, Verified: verified, Empties: empties(e),
		Mode: e.mode(), Used: r.used(e), Expires: verified + e.sie.Milliseconds()}
}

func empties(e *entry) uint8 { return uint8(min(e.empties, 255)) }

package cache

import (
	"time"

	"github.com/edgecache/edgecache/registry"
)

const (
	// walkEvery is the time between two walks over memory.
	walkEvery = 30 * time.Second
	// walkAge is how much older an entry may be on disk than in memory.
	walkAge = 30 * time.Second
	// A walk notes so many keys at a time, and then pauses.
	walkKeys  = 100
	walkPause = 50 * time.Millisecond
)

// walk notes again and again what is in memory and not on disk: what was
// dropped or refused, all of it when a fresh directory is in use, and what
// only a watch confirmed, which replaces no entry.
func (d *disk) walk() {
	for pause(d.c.ctx, walkEvery) {
		noted := 0
		for _, e := range d.c.mem.records.All() {
			if !d.noteAgain(e) {
				continue
			}
			if noted++; noted%walkKeys == 0 && !pause(d.c.ctx, walkPause) {
				return
			}
		}
	}
}

// noteAgain notes an entry in memory if the disk lacks it or too much of its
// age; it reports whether it did.
func (d *disk) noteAgain(e *entry) bool {
	if !d.lacks(e, walkAge) {
		return false
	}
	d.c.order.Lock()
	defer d.c.order.Unlock()
	if d.c.mem.peek(e.key) != e || d.find(e.key) != nil || d.full(e) {
		return false
	}
	return d.enqueue(e.key, e, e.base())
}

// lacks reports whether the directory in use does not have e, or has it as more
// than so much older.
func (d *disk) lacks(e *entry, older time.Duration) bool {
	directory := d.store.Directory()
	switch {
	case directory == 0 || e.rec == nil || e.rec.Wishes.NoStore:
		return false
	case e.saved.Load() == directory:
		return e.base()-time.Duration(e.savedAt.Load()) > older
	}
	return d.c.now()-e.base() <= e.sie
}

// finish writes what is left when the cache closes and then confirms what is in
// use, so that it is no older after the restart than it is. Both have their
// time.
func (d *disk) finish() {
	for end := time.Now().Add(lastWrites); time.Now().Before(end); {
		if more, err := d.writeSome(); !more || err != nil {
			break
		}
	}
	end := time.Now().Add(lastWrites)
	b := &batch{directory: d.store.Directory()}
	b.makeRoom(batchKeys)
	at := d.reading()
	for _, e := range d.c.mem.records.All() {
		if !d.lacks(e, 0) || !d.inUseAt(e.key, e, at.cache) {
			continue
		}
		b.add(&write{key: e.key, entry: e, base: e.base()}, at)
		if len(b.writes) < batchKeys {
			continue
		}
		if !d.writeLast(b) || time.Now().After(end) {
			return
		}
		b = &batch{directory: b.directory}
		b.makeRoom(batchKeys)
	}
	d.writeLast(b)
}

func (d *disk) writeLast(b *batch) bool {
	if len(b.writes) == 0 {
		return true
	}
	err := d.store.Write(b.directory, b.put, b.confirm, b.del)
	if err != nil {
		d.c.stats.writeErrors.Add(1)
		d.warn("entries not written to disk", err)
		return false
	}
	d.c.stats.written.Add(uint64(len(b.put)))
	d.c.stats.confirmed.Add(uint64(len(b.confirm)))
	return true
}

// inUseAt reports whether an entry was asked for lately, as its registry's
// policy says.
func (d *disk) inUseAt(k registry.Key, e *entry, now time.Duration) bool {
	u := d.c.ups.Load().byName[k.Registry]
	return u != nil && now-time.Duration(e.used.Load()) <= u.policy.Idle
}

// close ends the writer and waits for all that may be in the store, for a
// bounded time: a disk that hangs does not hang the process.
func (d *disk) close() {
	close(d.quit)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if d.done != nil {
			<-d.done
		}
		d.running.Wait()
	}()
	timer := time.NewTimer(3 * lastWrites)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		d.c.opts.Logger.Warn("the disk does not answer; what it was given last may be lost")
	}
}

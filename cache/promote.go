package cache

import (
	"context"
	"strings"
	"time"

	"github.com/edgecache/edgecache/registry"
)

const (
	// diskPatience is how long a lookup whose registry can be asked waits for
	// the disk.
	diskPatience = 25 * time.Millisecond
	// So many keys are read at once, and so many more wait for that, unless no
	// read has ended for a while.
	maxReads   = 128
	maxWaiting = 4096
	readHangs  = 100 * time.Millisecond
)

// A promotion is one read of one key from disk that all callers share. What it
// brings into memory is judged like a fetch that began when its entry's did.
type promotion struct {
	key     registry.Key
	began   uint64        // position up to which what it reads has the marks of all names
	started time.Duration // cache time
	done    chan struct{} // closed after what it brought was stored

	passed bool // something newer was known meanwhile; the order lock protects it

	// Set before done is closed.
	entry  *entry // what is known of the key; nil: nothing, as answer says
	answer diskAnswer
}

// A diskAnswer says what became of the question whether the disk has a key,
// where that brought no entry.
type diskAnswer uint8

const (
	diskUnasked diskAnswer = iota
	diskNothing            // it has nothing that may be served
	diskLate               // it did not answer in time, or was not asked since it hangs
)

// recall returns what is known of a key of which memory knows nothing: what the
// disk has, put into memory, or what memory got meanwhile. It waits for the
// disk until the given cache time, and no longer than diskPatience after the
// read began unless it is patient.
func (c *Cache) recall(ctx context.Context, u *upstream, name string, patient bool, until time.Duration) (*entry, diskAnswer) {
	if c.disk == nil {
		return nil, diskUnasked
	}
	p, e, answer := c.readDisk(registry.Key{Registry: u.Name, Name: name})
	if p == nil {
		return e, answer
	}
	if !patient {
		until = min(until, p.started+diskPatience)
	}
	if left := until - c.now(); left > 0 {
		timer := time.NewTimer(left)
		defer timer.Stop()
		select {
		case <-p.done:
		case <-timer.C:
		case <-ctx.Done():
		case <-c.ctx.Done():
		}
	}
	select {
	case <-p.done:
		return p.entry, p.answer
	default:
		c.stats.skipped.Add(1)
		return nil, diskLate
	}
}

// readDisk joins or starts the promotion of a key, or returns why there is
// none. What waits to be written is taken as it is.
func (c *Cache) readDisk(key registry.Key) (*promotion, *entry, diskAnswer) {
	d := c.disk
	c.order.Lock()
	defer c.order.Unlock()
	if held := c.mem.peek(key); held != nil && (held.known() || held.searched) {
		if held.searched {
			return nil, nil, diskNothing
		}
		return nil, held, diskUnasked
	}
	if p := d.promotions[key]; p != nil {
		return p, nil, diskUnasked
	}
	if f := c.flights[key]; f != nil && f.disk == diskNothing {
		return nil, nil, diskNothing
	}
	key.Name = strings.Clone(key.Name)
	if w := d.find(key); w != nil {
		return nil, c.unwritten(w), diskNothing
	}
	if !d.open || d.store.Directory() == 0 {
		return nil, nil, diskUnasked
	}
	p := &promotion{key: key, began: d.marks.below(c.gens.position), started: c.now(), done: make(chan struct{})}
	switch {
	case d.reads < maxReads:
		if d.reads++; d.reads == 1 {
			d.lastRead = p.started
		}
		d.spawn(func() { c.promoteAll(p) })
	case len(d.waiting) < maxWaiting && p.started-d.lastRead < readHangs:
		d.waiting = append(d.waiting, p)
	default:
		c.stats.skipped.Add(1)
		return nil, nil, diskLate
	}
	d.promotions[key] = p
	return p, nil, diskUnasked
}

// promoteAll reads p and then what waits.
func (c *Cache) promoteAll(p *promotion) {
	d := c.disk
	for p != nil {
		c.promote(p)
		p = nil
		c.order.Lock()
		d.lastRead = c.now()
		if len(d.waiting) > 0 && d.open {
			p, d.waiting = d.waiting[0], d.waiting[1:]
		} else {
			d.reads--
		}
		c.order.Unlock()
	}
}

// promote reads a key and ends its promotion.
func (c *Cache) promote(p *promotion) {
	d := c.disk
	directory := d.store.Directory()
	s, err := d.store.Get(p.key)
	if err != nil {
		d.warn("entries not read from disk", err)
	}
	if s != nil && s.Record == nil {
		s = nil // absences are of no use
	}
	c.order.Lock()
	delete(d.promotions, p.key)
	u, brought := c.land(p, directory, s, err)
	c.order.Unlock()
	close(p.done)
	if brought {
		c.subs.notify(p.key)
		if !u.can.List {
			c.seen(u)
		}
	}
}

// land decides what was read for p means; brought reports whether it is an
// entry in memory now. The order lock is held.
func (c *Cache) land(p *promotion, directory uint32, s *registry.Stored, err error) (u *upstream, brought bool) {
	held := c.mem.peek(p.key)
	known := held != nil && held.known()
	if s != nil && (known || p.passed) && (held == nil || held.rec == nil) {
		c.mem.distrust(s.Record.Index) // an absence is not on disk: this is older
	}
	switch {
	case known:
		p.entry = held
		return nil, false
	case p.passed, err != nil:
		p.answer = diskLate
		if w := c.disk.find(p.key); w != nil {
			p.entry, p.answer = c.unwritten(w), diskNothing
		}
		c.stats.skipped.Add(1)
		return nil, false
	}
	p.answer = diskNothing
	if s == nil {
		c.stats.absent.Add(1)
		c.searched(held)
		return nil, false
	}
	if u = c.ups.Load().byName[p.key.Registry]; u == nil || u.merges() {
		c.stats.refused.Add(1)
		return nil, false
	}
	mode, useless := c.judgeStored(u, s, p.began)
	if useless {
		c.disk.enqueue(p.key, nil, 0)
		c.searched(held)
	}
	if mode == registry.ModeHard {
		c.stats.refused.Add(1)
		return nil, false
	}
	c.stats.found.Add(1)
	p.entry = c.adopt(u, held, s, mode, directory)
	return u, true
}

// searched notes beside a failure that the disk has nothing of its key.
func (c *Cache) searched(held *entry) {
	if held != nil {
		n := held.succeed()
		n.doubt()
		n.searched = true
		c.put(n)
	}
}

// judgeStored returns the strictest mode of what an entry, read from disk from
// a position on, must be taken to be covered by; hard if it is none of u's.
// useless reports that it will never be of use. The order lock is held.
func (c *Cache) judgeStored(u *upstream, s *registry.Stored, began uint64) (m registry.Mode, useless bool) {
	if s.Record == nil || s.Record.Kind != u.Kind {
		return registry.ModeHard, true
	}
	m = max(s.Mode, c.gens.covering(s.Key, s.Record.Tags, s.Began))
	if m == registry.ModeHard {
		return m, true
	}
	return max(m, c.gens.floor.over(began), c.gens.distrust.over(s.Began)), false
}

// adopt puts an entry from disk into memory, beside the failure that is held.
// Nothing confirms it before a fetch or a watch does.
func (c *Cache) adopt(u *upstream, held *entry, s *registry.Stored, m registry.Mode, directory uint32) *entry {
	at := c.disk.reading()
	rec, saved := s.Record, directory
	if rec.Index <= c.mem.unsaved.Load() {
		// The newer one that was served was lost before it was written.
		rec, saved = rec.WithIndex(c.clock.Next(rec.Hash())), 0
	}
	rec.Key = registry.Key{Registry: u.Name, Name: s.Name} // one copy of its strings is enough
	n := &entry{doubts: &fromDisk, key: rec.Key, rec: rec, index: rec.Index, began: s.Began, size: charge(rec.Key, rec),
		windows: u.windowsOf(rec.Wishes), confirmed: at.at(s.Verified)}
	n.mark.Store(uint32(m))
	n.checked.Store(u.newest.Load())
	n.used.Store(int64(at.at(s.Used)))
	if s.Empties > 0 {
		n.doubt()
		n.empties, n.emptySince = int(s.Empties), at.cache
	}
	n.beside(held)
	c.mem.put(held, n)
	if saved == 0 {
		c.disk.enqueue(n.key, n, n.confirmed)
	} else {
		n.save(saved, n.confirmed)
	}
	return n
}

// unwritten puts an entry back into memory that left it before it was written;
// nil if the key is to be deleted. Events may have been missed since: it is not
// fresh. The order lock is held.
func (c *Cache) unwritten(w *write) *entry {
	e := w.entry
	u := c.ups.Load().byName[w.key.Registry]
	if e == nil || u == nil || u.merges() || e.mode() == registry.ModeHard {
		return nil
	}
	n := e.succeed()
	n.confirmed, n.watch = w.base, nil
	n.doubts = &fromDisk
	if e.doubts != &certain && e.doubts != &fromDisk {
		n.doubts = e.doubts
		n.doubt()
		n.disk = true
	}
	n.save(e.saved.Load(), time.Duration(e.savedAt.Load()))
	held := c.mem.peek(w.key)
	n.beside(held)
	c.stats.found.Add(1)
	c.mem.put(held, n)
	e.flags.Or(replaced) // the writer saves n too
	return n
}

// beside carries over what is known of the failure that e, which nobody else
// sees yet, is put beside; nil: there is none.
func (e *entry) beside(held *entry) {
	if held == nil || held.failure == nil {
		return
	}
	e.doubt()
	e.failure, e.fails, e.failedAt, e.nextTry = held.failure, held.fails, held.failedAt, held.nextTry
	e.used.Store(max(e.used.Load(), held.used.Load()))
	e.due.Store(held.due.Load())
}

package store

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/edgecache/edgecache/registry"
)

// Get implements cache.Store.
func (s *Store) Get(k registry.Key) (e *registry.Stored, err error) {
	defer s.reads.end(s.reads.begin(s.elapsed()))
	d, err := s.live()
	if err != nil {
		return nil, err
	}
	defer s.guard(d, &err)
	// The mark is read before the entry and after it: between, the sweep may
	// remove both, or an invalidation put the mark.
	var before, mark positions
	if err := getMark(d.db, k, &before); err != nil {
		return nil, err
	}
	e, err = getEntry(d.db, k)
	if e == nil || err != nil {
		return nil, err
	}
	if err := getMark(d.db, k, &mark); err != nil {
		return nil, err
	}
	mark.raise(&before)
	e.Mode = max(e.Mode, mark.over(e.Began))
	return e, nil
}

// getEntry returns the entry of a key with what was confirmed of it, nil if
// there is none.
func getEntry(db *pebble.DB, k registry.Key) (*registry.Stored, error) {
	var key [64]byte
	var e *registry.Stored
	found, err := get(db, appendKey(key[:0], familyEntry, k), func(value []byte) (err error) {
		e, err = parseStored(value)
		return err
	})
	if !found || err != nil {
		return nil, err
	}
	if e.Key != k {
		return nil, fmt.Errorf("%w entry of %s: it is one of %s", errUnreadable, k, e.Key)
	}
	_, err = get(db, appendKey(key[:0], familyConfirmed, k), func(value []byte) error {
		c, err := parseConfirmed(value)
		if err == nil {
			confirm(e, &c)
		}
		return err
	})
	return e, err
}

func getMark(db *pebble.DB, k registry.Key, p *positions) error {
	var key [64]byte
	_, err := get(db, appendKey(key[:0], familyMark, k), func(value []byte) (err error) {
		*p, err = parsePositions(value)
		return err
	})
	return err
}

// get calls use with the value under key, if there is one.
func get(db *pebble.DB, key []byte, use func(value []byte) error) (found bool, err error) {
	value, closer, err := db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, errors.Join(use(value), closer.Close())
}

// confirm takes over what was said of the entry later, if it is about its record.
func confirm(e *registry.Stored, c *registry.Confirmed) {
	if c.Index != indexOf(&e.Entry) {
		return
	}
	e.Began, e.Verified, e.Empties, e.Mode = c.Began, c.Verified, c.Empties, c.Mode
	e.Used, e.Expires = c.Used, c.Expires
}

// guard is deferred by what reads: it counts failures, and a directory that is
// corrupt is given up. Pebble meets some corruptions with a panic.
func (s *Store) guard(d *directory, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", errDead, p)
		s.log.Error("store: a read ended in a panic", "panic", p, "stack", string(debug.Stack()))
		s.die(d, fmt.Errorf("read: %v", p))
	}
	switch {
	case *err == nil:
	case errors.Is(*err, errUnreadable):
		s.stats.unreadable.Add(1)
	default:
		s.stats.readErrors.Add(1)
		// A table that ends too early was cut short.
		if pebble.IsCorruptionError(*err) || errors.Is(*err, io.EOF) || errors.Is(*err, io.ErrUnexpectedEOF) {
			s.die(d, *err)
		}
	}
}

// Write implements cache.Store. If the disk is full, what confirms and deletes
// is written, and the error says that the rest is not.
func (s *Store) Write(directory uint32, put []*registry.Stored, confirm []registry.Confirmed, del []registry.Key) error {
	var refused error
	if reason := s.room.full(); reason != "" && len(put) > 0 {
		put, refused = nil, fmt.Errorf("%w: %s", errFull, reason)
		s.stats.refused.Add(1)
	}
	w, err := s.newWrite(put, confirm, del)
	if err != nil {
		return err
	}
	o := &op{size: w.batch.Len(), add: w.add}
	s.mu.Lock()
	d, err := s.enqueueLocked(o, directory)
	s.mu.Unlock()
	if err == nil {
		err = d.wait(o)
	}
	if err == nil {
		must(w.batch.Close()) // its memory serves the next
	}
	return cmp.Or(err, refused)
}

// newWrite builds a write.
func (s *Store) newWrite(put []*registry.Stored, confirm []registry.Confirmed, del []registry.Key) (w *write, err error) {
	defer s.reads.end(s.reads.begin(s.elapsed()))
	d, err := s.live()
	if err != nil {
		return nil, err
	}
	defer s.guard(d, &err)
	w = &write{d: d, batch: d.db.NewBatch(), changes: d.changes.Load()}
	find, err := newFinder(d.db)
	if err != nil {
		return nil, err
	}
	err = w.build(find, put, confirm, del)
	return w, errors.Join(err, find.close())
}

// A write is a batch of entries, and what it is to the committer.
type write struct {
	d        *directory
	batch    *pebble.Batch
	put, del []seen
	changes  uint64 // of d, before they were looked at
	position uint64 // the greatest it uses
	index    uint64 // likewise
}

// A seen is the key of an entry, and whether there was one.
type seen struct {
	key   string
	there bool
}

// build fills the batch. It looks at the entries that are there already, so
// that the committer need not.
func (w *write) build(find finder, put []*registry.Stored, confirm []registry.Confirmed, del []registry.Key) error {
	var key, value []byte
	expires := make([]expiry, 0, len(put))
	w.put, w.del = make([]seen, 0, len(put)), make([]seen, 0, len(del))
	for _, e := range put {
		at, err := lookAt(find, &key, e.Key)
		if err != nil {
			return err
		}
		w.put = append(w.put, at)
		value = appendStored(value[:0], e)
		must(w.batch.Set(key, value, nil))
		if at.there {
			key = appendKey(key[:0], familyConfirmed, e.Key)
			must(w.batch.Delete(key, nil))
		}
		expires = append(expires, expiry{max(e.Expires, 0), e.Key, len(at.key) + len(value)})
		w.position, w.index = max(w.position, e.Began), max(w.index, indexOf(&e.Entry))
	}
	setExpiries(expires, func(key, value []byte) { must(w.batch.Set(key, value, nil)) })
	for i := range confirm {
		c := &confirm[i]
		at, err := lookAt(find, &key, c.Key)
		if err != nil {
			return err
		}
		if !at.there && !slices.ContainsFunc(put, func(e *registry.Stored) bool { return e.Key == c.Key }) {
			continue // it was evicted: there is nothing to confirm
		}
		value = appendConfirmed(value[:0], c)
		key = appendKey(key[:0], familyConfirmed, c.Key)
		must(w.batch.Set(key, value, nil))
		w.position = max(w.position, c.Began)
	}
	for _, k := range del {
		at, err := lookAt(find, &key, k)
		if err != nil {
			return err
		}
		w.del = append(w.del, at)
		must(w.batch.Delete(key, nil))
		key = appendKey(key[:0], familyConfirmed, k)
		must(w.batch.Delete(key, nil))
	}
	return nil
}

// lookAt builds the key of an entry and looks whether there is one.
func lookAt(find finder, key *[]byte, k registry.Key) (seen, error) {
	if err := checkKey(k); err != nil {
		return seen{}, err
	}
	*key = appendKey((*key)[:0], familyEntry, k)
	there, err := find.has(*key)
	return seen{string(*key), there}, err
}

func checkKey(k registry.Key) error {
	if k.Registry == "" || k.Name == "" || strings.Contains(k.Registry, "\x00") {
		return fmt.Errorf("key %q %q: a registry and a name expected", k.Registry, k.Name)
	}
	return nil
}

func (w *write) add(r *round) error {
	unchanged := r.d == w.d && r.d.changes.Load() == w.changes
	for _, list := range [][]seen{w.put, w.del} {
		for _, at := range list {
			if unchanged {
				r.know(at.key, at.there)
			} else if err := r.lookAt(at.key); err != nil {
				return err
			}
		}
	}
	for _, at := range w.put {
		r.count(at.key, true)
	}
	for _, at := range w.del {
		r.count(at.key, false)
	}
	r.usePosition(w.position)
	r.index = max(r.index, w.index)
	if r.d == w.d && r.batch.Empty() {
		r.batch, w.batch = w.batch, r.batch
		return nil
	}
	return r.batch.Apply(w.batch, nil)
}

const markStep = 8192 // keys that Mark marks in one batch

// Mark implements cache.Store. It returns once the marks are written, which
// need not be durable: an invalidation that lets go of what it raised for them
// is logged after them.
func (s *Store) Mark(keys []registry.Key, m registry.Mode, position uint64) error {
	p := at(m, position)
	for step := range slices.Chunk(slices.Clone(keys), markStep) {
		err := s.commit(&op{size: 64 * len(step), add: func(r *round) error {
			r.mark(step, &p)
			return nil
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

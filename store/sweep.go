package store

import (
	"errors"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/edgecache/edgecache/registry"
)

const (
	roomEvery  = time.Second            // the disk's space is looked at
	roomSoon   = 100 * time.Millisecond // likewise, if much is used
	sweepEvery = 10 * time.Second       // what expired is looked for
	marksEvery = 10 * time.Minute       // marks that nothing needs are looked for

	// A step of a sweep holds the committer for about so long at most. After it
	// the sweep rests some times as long as the step took, so that it has a small
	// share of a CPU and of the committer; a larger one if the disk is full, and
	// the committer has less to do.
	sweepStep   = 256 // keys
	sweepHold   = 2 * time.Millisecond
	urgentHold  = 8 * time.Millisecond
	sweepRest   = 10
	evictRest   = 2
	evictUrgent = 0
	maxRest     = 500 * time.Millisecond // though a machine that is busy makes a step long

	maxSeenMarks = 1 << 16 // marks noted from one pass to the next; more wait for the passes after
)

// startSweep starts the goroutines that keep the directory in use within its
// space.
func (s *Store) startSweep() {
	s.wg.Go(func() {
		for s.room.check(s.Directory()); s.rest(s.room.soon()); {
			s.room.check(s.Directory())
		}
	})
	s.wg.Go(s.sweeps)
}

// rest waits, and reports whether the store is still open.
func (s *Store) rest(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-s.ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// sweeps sweeps one directory after the other, as they come into use. The
// sweep of one that died may hang in it and is not waited for.
func (s *Store) sweeps() {
	var swept *directory
	for first := true; first || s.rest(roomEvery); first = false {
		d, err := s.live()
		if err != nil || d == swept {
			continue
		}
		swept = d
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.sweep(d)
		}()
		select {
		case <-done:
		case <-d.dead:
			s.wg.Go(func() { s.retire(d, done) })
		}
	}
}

// retire closes a directory that died once nobody is in it any more, for its
// memory and files. One in which Pebble waits for ever is left to itself.
func (s *Store) retire(d *directory, swept <-chan struct{}) {
	if errors.As(d.reason, new(parked)) {
		return
	}
	for _, end := range []<-chan struct{}{d.done, swept} {
		select {
		case <-end:
		case <-s.ctx.Done():
			select {
			case <-end:
			default:
				return
			}
		}
	}
	died := s.elapsed()
	for oldest := s.reads.oldest(); oldest > 0 && oldest < died; oldest = s.reads.oldest() {
		if !s.rest(roomSoon) {
			return
		}
	}
	if err := closePebble(d.db); err != nil {
		s.log.Warn("store: a dead directory could not be closed", "directory", d.path, "err", err)
	}
}

// sweep sweeps a directory until it dies or the store is closed.
func (s *Store) sweep(d *directory) {
	var expiry, marks time.Duration // since the last sweep of each
	seen := map[registry.Key]uint64{}
	for last := s.elapsed(); d.alive() && s.rest(s.room.soon()); {
		now := s.elapsed()
		expiry, marks, last = expiry+now-last, marks+now-last, now
		var err error
		if expiry >= sweepEvery {
			expiry = 0
			d.sample()
			err = s.expire(d)
		}
		if err == nil && s.room.excess() > 0 {
			err = s.evict(d)
		}
		if err == nil && marks >= marksEvery {
			marks = 0
			seen, err = s.sweepMarks(d, seen)
		}
		if err != nil && d.alive() && s.ctx.Err() == nil {
			s.log.Warn("store: a sweep ended early, it is tried again", "err", err)
		}
	}
}

// expire deletes all entries that expired.
func (s *Store) expire(d *directory) error {
	for {
		n, _, err := s.sweepEntries(d, s.Now(), math.MaxUint64, sweepHold, sweepRest)
		if n == 0 || err != nil {
			return err
		}
	}
}

// evict deletes the entries that expire first, until what is left has its
// space, and compacts what they leave.
func (s *Store) evict(d *directory) error {
	for excess := s.room.excess(); excess > 0; excess = s.room.excess() {
		var gone, removed uint64
		for gone < excess {
			hold, rest := sweepHold, time.Duration(evictRest)
			if s.room.full() != "" {
				hold, rest = urgentHold, evictUrgent
			}
			n, bytes, err := s.sweepEntries(d, math.MaxInt64, excess-gone, hold, rest)
			if err != nil {
				return err
			}
			if n == 0 {
				break
			}
			gone, removed = gone+bytes, removed+uint64(n)
		}
		s.log.Info("store: entries are evicted", "bytes", gone, "looked at", removed)
		if err := s.compact(d); err != nil || removed == 0 {
			return err
		}
	}
	return nil
}

// sweepEntries looks at the first entries in the order in which they expire,
// up to a time in Unix ms, and deletes those that do, until enough bytes are
// gone. It returns how many it looked at, and the bytes gone.
func (s *Store) sweepEntries(d *directory, until int64, enough uint64, hold, rest time.Duration) (n int, gone uint64, err error) {
	began := s.elapsed()
	upper := appendExpiryKey(nil, until, registry.Key{})
	if until != math.MaxInt64 {
		upper = appendExpiryKey(nil, until+1, registry.Key{})[:9]
	}
	// What the committer will look at is read before, so that it waits for no disk.
	if n, err = s.warmEntries(d, upper); n == 0 || err != nil {
		return 0, 0, err
	}
	err = s.do(func(r *round) error {
		if r.d != d {
			return errDirectory
		}
		n, gone, err = r.sweepEntries(upper, enough, hold)
		return err
	})
	if err == nil {
		s.rest(min(rest*(s.elapsed()-began), maxRest))
		err = s.ctx.Err()
	}
	return n, gone, err
}

// warmEntries reads the entries of a step into the block cache.
func (s *Store) warmEntries(d *directory, upper []byte) (n int, err error) {
	defer s.reads.end(s.reads.begin(s.elapsed()))
	defer s.guard(d, &err)
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: []byte{familyExpiry}, UpperBound: upper})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	find, err := newFinder(d.db)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, find.close()) }()
	var key []byte
	for ok := it.First(); ok && n < sweepStep; ok = it.Next() {
		_, keys, err := parseExpiry(it.Key(), it.Value())
		n += max(len(keys), 1)
		if err != nil {
			continue
		}
		for _, k := range keys {
			for _, family := range [...]byte{familyEntry, familyConfirmed} {
				key = appendKey(key[:0], family, k)
				if _, err := find.has(key); err != nil {
					return n, err
				}
			}
		}
	}
	return n, it.Error()
}

// sweepEntries is a step on the committer's goroutine.
func (r *round) sweepEntries(upper []byte, enough uint64, hold time.Duration) (n int, gone uint64, err error) {
	began := time.Now()
	it, err := r.d.db.NewIter(&pebble.IterOptions{LowerBound: []byte{familyExpiry}, UpperBound: upper})
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	var first, last []byte
	var moved []expiry
	for ok := it.First(); ok && n < sweepStep && gone < enough && (n == 0 || time.Since(began) < hold); ok = it.Next() {
		if first == nil {
			first = append(first, it.Key()...)
		}
		last = append(last[:0], it.Key()...)
		expires, keys, err := parseExpiry(it.Key(), it.Value())
		n += max(len(keys), 1)
		if err != nil {
			continue // which entries it lists, nobody can tell: they stay until they are put again
		}
		for _, k := range keys {
			later, bytes, err := r.expireEntry(k, expires)
			if err != nil {
				return 0, 0, err
			}
			if later > expires {
				moved = append(moved, expiry{later, k, int(bytes)})
			} else {
				gone += bytes
			}
		}
	}
	if err := it.Error(); err != nil || n == 0 {
		return 0, 0, err
	}
	r.deleteRange(first, append(last, 0))
	setExpiries(moved, r.set)
	return n, gone, nil
}

// expireEntry deletes an entry, unless it expires later than the index says. One
// that was put again is in the index again; of one that was confirmed it returns
// when to look again. Its mark stays: a write of an older entry that is under
// way may need it. Once nothing does, it is swept like any other.
func (r *round) expireEntry(k registry.Key, expires int64) (later int64, bytes uint64, err error) {
	key := appendKey(nil, familyEntry, k)
	found, err := get(r.d.db, key, func(value []byte) error {
		bytes = uint64(len(key) + len(value))
		_, _, _, later = readStored(value)
		return nil
	})
	if !found || later > expires || err != nil {
		return 0, 0, err
	}
	confirmed, err := r.has(appendKey(nil, familyConfirmed, k))
	if err != nil {
		return 0, 0, err
	}
	if confirmed {
		e, err := getEntry(r.d.db, k)
		switch {
		case errors.Is(err, errUnreadable):
			later = 0
		case err != nil:
			return 0, 0, err
		default:
			later = e.Expires
		}
	}
	if later > expires {
		return later, bytes, nil
	}
	r.know(string(key), true)
	r.count(string(key), false)
	r.delete(key)
	r.delete(appendKey(nil, familyConfirmed, k))
	return 0, bytes, nil
}

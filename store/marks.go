package store

import (
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/edgecache/edgecache/registry"
)

// A mark that covers nothing which is there.
type orphan struct {
	key    registry.Key
	newest uint64 // its newest position
}

// sweepMarks deletes the marks that cover no entry, if they were seen in the
// pass before and did not change: by then each entry that was fetched before
// the invalidation is written. It returns those to be deleted in the next pass.
func (s *Store) sweepMarks(d *directory, seen map[registry.Key]uint64) (map[registry.Key]uint64, error) {
	next := map[registry.Key]uint64{}
	after := []byte{familyMark}
	for {
		began := s.elapsed()
		orphans, last, err := s.orphanMarks(d, after)
		if err != nil {
			return seen, err
		}
		var gone []orphan
		for _, o := range orphans {
			if seen[o.key] == o.newest {
				gone = append(gone, o)
			} else if len(next) < maxSeenMarks {
				next[o.key] = o.newest
			}
		}
		if err := s.deleteMarks(d, gone); err != nil {
			return seen, err
		}
		if last == nil {
			return next, nil
		}
		if after = append(last, 0); !s.rest(sweepRest * (s.elapsed() - began)) {
			return next, s.ctx.Err()
		}
	}
}

// orphanMarks returns the marks that cover no entry, out of the next ones from
// a key on, and the last key it looked at; nil: there are no more.
func (s *Store) orphanMarks(d *directory, from []byte) (list []orphan, last []byte, err error) {
	defer s.reads.end(s.reads.begin(s.elapsed()))
	defer s.guard(d, &err)
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: []byte{familyMark + 1}})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		if n++; n > sweepStep {
			return list, last, nil
		}
		last = append(last[:0], it.Key()...)
		k, err := parseKey(it.Key()[1:])
		if err != nil {
			continue
		}
		p, err := parsePositions(it.Value())
		if err != nil {
			continue
		}
		covers, err := covered(d.db, k, &p)
		if err != nil {
			return nil, nil, err
		}
		if !covers {
			list = append(list, orphan{k, p.newest()})
		}
	}
	return list, nil, it.Error()
}

// covered reports whether there is an entry that positions cover.
func covered(db *pebble.DB, k registry.Key, p *positions) (bool, error) {
	e, err := getEntry(db, k)
	if errors.Is(err, errUnreadable) {
		return true, nil
	}
	return e != nil && p.over(e.Began) != registry.ModeNone, err
}

// deleteMarks deletes marks that are as they were seen and still cover nothing.
func (s *Store) deleteMarks(d *directory, list []orphan) error {
	for len(list) > 0 {
		err := s.do(func(r *round) error {
			if r.d != d {
				return errDirectory
			}
			for began, first := time.Now(), true; len(list) > 0 && (first || time.Since(began) < sweepHold); list, first = list[1:], false {
				o := list[0]
				var p positions
				if err := getMark(r.d.db, o.key, &p); err != nil {
					return err
				}
				covers, err := covered(r.d.db, o.key, &p)
				if err != nil {
					return err
				}
				if !covers && p.newest() == o.newest {
					r.delete(appendKey(nil, familyMark, o.key))
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

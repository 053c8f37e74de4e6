package store

import (
	"bytes"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/edgecache/edgecache/registry"
)

const scanPage = 256 // entries read at once, so that yield may take its time

// Scan implements cache.Store. Entries that cannot be read are left out.
func (s *Store) Scan(registryName, after string, yield func(*registry.Stored) bool) error {
	if err := checkKey(registry.Key{Registry: registryName, Name: "x"}); err != nil {
		return err
	}
	page := make([]*registry.Stored, 0, scanPage)
	for more := true; more; {
		var err error
		if page, after, more, err = s.scanPage(registry.Key{Registry: registryName, Name: after}, page[:0]); err != nil {
			return err
		}
		for _, e := range page {
			if !yield(e) {
				return nil
			}
		}
	}
	return nil
}

// scanPage reads the next entries above a key, and returns the last name it saw.
func (s *Store) scanPage(after registry.Key, page []*registry.Stored) (_ []*registry.Stored, last string, more bool, err error) {
	defer s.reads.end(s.reads.begin(s.elapsed()))
	d, err := s.live()
	if err != nil {
		return nil, "", false, err
	}
	defer s.guard(d, &err)
	c, err := newCursor(d.db, after)
	if err != nil {
		return nil, "", false, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	last = after.Name
	for ok := c.entries.First(); ok; ok = c.entries.Next() {
		if len(page) == scanPage {
			return page, last, true, nil
		}
		k, err := parseKey(c.entries.Key()[1:])
		if err != nil {
			return nil, "", false, err
		}
		last = k.Name
		e, err := c.entry()
		switch {
		case errors.Is(err, errUnreadable):
			s.stats.unreadable.Add(1)
			s.log.Warn("store: an entry cannot be read", "key", k.String(), "err", err)
		case err != nil:
			return nil, "", false, err
		default:
			page = append(page, e)
		}
	}
	return page, last, false, c.entries.Error()
}

// A cursor goes through entries with their confirmations and marks, all as of
// one moment.
type cursor struct{ entries, confirmed, marks *pebble.Iterator }

// newCursor returns one for the names of a registry above after.
func newCursor(db *pebble.DB, after registry.Key) (c *cursor, err error) {
	bounds := func(family byte) *pebble.IterOptions {
		o := &pebble.IterOptions{UpperBound: append(append([]byte{family}, after.Registry...), 1)}
		if o.LowerBound = appendKey(nil, family, after); after.Name != "" {
			o.LowerBound = append(o.LowerBound, 0)
		}
		return o
	}
	c = new(cursor)
	if c.entries, err = db.NewIter(bounds(familyEntry)); err != nil {
		return nil, err
	}
	if c.confirmed, err = c.entries.Clone(pebble.CloneOptions{IterOptions: bounds(familyConfirmed)}); err == nil {
		c.marks, err = c.entries.Clone(pebble.CloneOptions{IterOptions: bounds(familyMark)})
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	c.confirmed.First()
	c.marks.First()
	return c, nil
}

func (c *cursor) close() error {
	var errs []error
	for _, it := range []*pebble.Iterator{c.entries, c.confirmed, c.marks} {
		if it != nil {
			errs = append(errs, it.Close())
		}
	}
	return errors.Join(errs...)
}

// entry returns what is kept under the key of entries.
func (c *cursor) entry() (*registry.Stored, error) {
	key := c.entries.Key()[1:]
	e, err := parseStored(c.entries.Value())
	if err != nil {
		return nil, err
	}
	if value, ok, err := beside(c.confirmed, key); err != nil {
		return nil, err
	} else if ok {
		said, err := parseConfirmed(value)
		if err != nil {
			return nil, err
		}
		confirm(e, &said)
	}
	if value, ok, err := beside(c.marks, key); err != nil {
		return nil, err
	} else if ok {
		mark, err := parsePositions(value)
		if err != nil {
			return nil, err
		}
		e.Mode = max(e.Mode, mark.over(e.Began))
	}
	return e, nil
}

// beside moves it up to a key, without its family, and returns what it has there.
func beside(it *pebble.Iterator, key []byte) (value []byte, ok bool, err error) {
	for steps := 0; it.Valid(); steps++ {
		switch bytes.Compare(it.Key()[1:], key) {
		case 0:
			return it.Value(), true, nil
		case 1:
			return nil, false, nil
		}
		if steps < 8 {
			it.Next()
		} else {
			it.SeekGE(append([]byte{it.Key()[0]}, key...))
		}
	}
	return nil, false, it.Error()
}

package store

import (
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/edgecache/edgecache/registry"
)

// committed is what a directory's committer knows of what it wrote. Only the
// committer uses what is not atomic or locked.
type committed struct {
	positions uint64 // reserved: none at or above it was used
	index     uint64 // reserved: none above it was given
	wall      int64  // the newest reading kept
	entries   atomic.Int64
	changes   atomic.Uint64 // of which entries are there
	unsynced  atomic.Bool   // the newest batch was not synced
	journal   journal
}

func (c *committed) init(o Options, from contents) {
	c.positions, c.index, c.wall = from.numbers[numberPosition], from.numbers[numberClock], int64(from.numbers[numberWall])
	c.entries.Store(int64(from.numbers[numberEntries]))
	c.journal.init(o.Records, from.epochs)
}

// A round is one batch of a committer, and what it is to keep beside it.
type round struct {
	s     *Store
	d     *directory
	batch *pebble.Batch
	sync  bool

	position uint64          // the greatest that the batch uses
	index    uint64          // likewise
	entries  int64           // how many more there are after the batch
	present  map[string]bool // of the entries that the batch changes, whether they are there after it
	counted  bool            // entries is to be written
	find     *finder         // what was there before the round; nil: nothing was looked for

	key, value []byte // for ops to build keys and values in
}

func newRound(s *Store, d *directory) *round {
	return &round{s: s, d: d, batch: d.db.NewBatch(), present: map[string]bool{}}
}

func (r *round) reset() {
	r.endFind()
	r.batch.Reset()
	r.sync, r.position, r.index, r.entries, r.counted = false, 0, 0, 0, false
	clear(r.present)
	if cap(r.value) > 1<<20 {
		r.value = nil
	}
}

// usePosition notes that the batch uses a position.
func (r *round) usePosition(p uint64) { r.position = max(r.position, p) }

// lookAt makes known whether the entry with that key of familyEntry is there,
// for count.
func (r *round) lookAt(key string) error {
	if _, known := r.present[key]; known {
		return nil
	}
	r.key = append(r.key[:0], key...)
	there, err := r.has(r.key)
	if err == nil {
		r.present[key] = there
	}
	return err
}

// has reports whether there was a value under key before the round. One look at
// the directory serves them all.
func (r *round) has(key []byte) (bool, error) {
	if r.find == nil {
		f, err := newFinder(r.d.db)
		if err != nil {
			return false, err
		}
		r.find = &f
	}
	return r.find.has(key)
}

func (r *round) endFind() {
	if r.find != nil {
		_ = r.find.close() // its errors were told by has
		r.find = nil
	}
}

// know takes it from who looked after the last change.
func (r *round) know(key string, there bool) {
	if _, known := r.present[key]; !known {
		r.present[key] = there
	}
}

// count counts what the batch makes of an entry that was looked at.
func (r *round) count(key string, after bool) {
	switch before := r.present[key]; {
	case after && !before:
		r.entries++
	case before && !after:
		r.entries--
	}
	r.present[key], r.counted = after, true
}

// A finder tells which keys have a value. Unlike Get it asks the bloom filters
// of the lowest level too: most new names are nowhere.
type finder struct{ it *pebble.Iterator }

func newFinder(db *pebble.DB) (finder, error) {
	it, err := db.NewIter(&pebble.IterOptions{UseL6Filters: true})
	return finder{it}, err
}

func (f finder) has(key []byte) (bool, error) {
	there := f.it.SeekPrefixGE(key)
	return there, f.it.Error()
}

func (f finder) close() error { return f.it.Close() }

const (
	// Indexes are reserved so far ahead, and again when less is left.
	clockAhead = time.Minute
	clockLeft  = 40 * time.Second

	indexHash = 1<<12 - 1 // the bits of an index that are not time, see registry.Clock
)

// indexIn returns an index above those that the clock gives in the next d,
// unless changes come at more than one a millisecond.
func (s *Store) indexIn(d time.Duration) uint64 {
	wall := registry.NewClock(func() time.Time { return s.wall().Add(d) }, 0).Next(indexHash)
	return max(wall, s.clock.Bound()+uint64(d.Milliseconds())*(indexHash+1))
}

// finish adds to the batch what it makes necessary.
func (r *round) finish() {
	c := &r.d.committed
	if r.position >= c.positions && r.position > 0 {
		c.positions = (r.position/positionBlock + 1) * positionBlock
		r.mergeNumber(numberPosition, c.positions)
	}
	c.journal.finish(r)
	if r.batch.Empty() && !r.sync {
		return
	}
	if r.s.indexIn(clockLeft) > c.index || r.index > c.index {
		c.index = max(r.s.indexIn(clockAhead), r.index)
		r.mergeNumber(numberClock, c.index)
	}
	if wall := r.s.Now(); wall > c.wall {
		c.wall = wall
		r.mergeNumber(numberWall, uint64(wall))
	}
	if r.counted {
		r.setNumber(numberEntries, uint64(max(c.entries.Load()+r.entries, 0)))
	}
}

// write writes the batch, durably if r.sync is set, and makes room for the next.
func (r *round) write() error {
	r.finish()
	if r.batch.Empty() && r.sync {
		must(r.batch.LogData(nil, nil)) // an empty batch would not be synced
	}
	if !r.batch.Empty() {
		durability := pebble.NoSync
		if r.sync {
			durability = pebble.Sync
		}
		if err := r.d.db.Apply(r.batch, durability); err != nil {
			return err
		}
		r.d.unsynced.Store(!r.sync)
	}
	if r.counted {
		r.d.entries.Store(max(r.d.entries.Load()+r.entries, 0))
		r.d.changes.Add(1)
	}
	r.d.journal.publish()
	r.reset()
	return nil
}

func (r *round) mergeNumber(name string, n uint64) {
	r.key, r.value = appendNumberKey(r.key[:0], name), appendNumber(r.value[:0], n)
	r.merge(r.key, r.value)
}

func (r *round) setNumber(name string, n uint64) {
	r.key, r.value = appendNumberKey(r.key[:0], name), appendNumber(r.value[:0], n)
	r.set(r.key, r.value)
}

func (r *round) setIdentity(registryName, identity string) {
	r.key, r.value = appendIdentityKey(r.key[:0], registryName), appendIdentity(r.value[:0], identity)
	r.set(r.key, r.value)
}

// Changes of a batch in memory do not fail.

func (r *round) set(key, value []byte)       { must(r.batch.Set(key, value, nil)) }
func (r *round) merge(key, value []byte)     { must(r.batch.Merge(key, value, nil)) }
func (r *round) delete(key []byte)           { must(r.batch.Delete(key, nil)) }
func (r *round) deleteRange(from, to []byte) { must(r.batch.DeleteRange(from, to, nil)) }

func must(err error) {
	if err != nil {
		panic(err)
	}
}

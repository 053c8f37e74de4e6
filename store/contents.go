package store

import (
	"errors"
	"maps"

	"github.com/cockroachdb/pebble/v2"

	"github.com/edgecache/edgecache/registry"
)

// contents is what a directory holds besides entries and what belongs to them.
type contents struct {
	numbers     map[string]uint64
	generations map[registry.Selector]positions
	identities  map[string]string
	epochs      map[epochID]epochState
	complete    bool  // false: invalidations may be missing
	lost        error // what could not be read of the journal

	// journal calls yield for each record, in no order and some of them twice,
	// until it returns an error. nil: there are none, or they are in the DB.
	journal func(yield func(key, value []byte) error) error
}

func newContents() contents {
	return contents{
		numbers: map[string]uint64{}, generations: map[registry.Selector]positions{}, identities: map[string]string{},
		epochs: map[epochID]epochState{}, complete: true,
	}
}

// kept are the families of contents that are held in memory.
const kept = string(familyNumber) + string(familyGeneration) + string(familyIdentity) + string(familyEpoch)

// readContents reads them from an open directory. All of it is read, so that
// what is corrupt shows at once.
func readContents(db *pebble.DB) (contents, error) {
	c := collector{contents: newContents()}
	for _, family := range []byte(kept + string(familyJournal)) {
		it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{family}, UpperBound: []byte{family + 1}})
		if err != nil {
			return contents{}, err
		}
		for it.First(); it.Valid() && err == nil; it.Next() {
			err = c.add(it.Key(), it.Value(), 0)
		}
		if err = errors.Join(err, it.Error(), it.Close()); err != nil {
			return contents{}, err
		}
	}
	return c.contents, nil
}

// A collector puts contents together, out of any number of pieces in any order.
type collector struct {
	contents
	newest map[string]uint64 // sequence number of what was taken of a key that is set, not merged
}

// add takes a key and a value that was set or merged under that sequence number.
func (c *collector) add(key, value []byte, seq uint64) error {
	if len(key) == 0 {
		return errors.New("empty key")
	}
	switch key[0] {
	case familyNumber:
		n, err := parseNumber(value)
		if err != nil {
			return err
		}
		c.numbers[string(key[1:])] = max(c.numbers[string(key[1:])], n)
	case familyGeneration:
		s, err := parseGenerationKey(key)
		if err != nil {
			return err
		}
		p, err := parsePositions(value)
		if err != nil {
			return err
		}
		q := c.generations[s]
		q.raise(&p)
		c.generations[s] = q
		c.used(p.newest())
	case familyIdentity:
		identity, err := parseIdentity(value)
		if err == nil && c.newer(key, seq) {
			c.identities[string(key[1:])] = identity
		}
		return err
	case familyEpoch:
		id, err := parseEpochKey(key)
		if err != nil {
			return err
		}
		e, err := parseEpoch(value)
		if err == nil && c.newer(key, seq) {
			e.Origin, e.Epoch = id.origin, id.epoch
			c.epochs[id] = e
		}
		return err
	case familyJournal:
		position, _, err := parseRecord(value)
		if err == nil {
			_, _, err = parseJournalKey(key)
		}
		c.used(position)
		return err
	}
	return nil
}

// used notes that a position was used, should the number that says so be lost.
func (c *collector) used(position uint64) {
	if position > 0 {
		c.numbers[numberPosition] = max(c.numbers[numberPosition], position+1)
	}
}

// newer reports whether no later value of the key was taken yet, and notes this one.
func (c *collector) newer(key []byte, seq uint64) bool {
	if last, ok := c.newest[string(key)]; ok && last > seq {
		return false
	}
	if c.newest != nil {
		c.newest[string(key)] = seq
	}
	return true
}

// merge adds to c what a directory has that was begun after its own, but is
// not complete.
func (c *contents) merge(later *contents) {
	for name, n := range later.numbers {
		c.numbers[name] = max(c.numbers[name], n)
	}
	for wide, p := range later.generations {
		q := c.generations[wide]
		q.raise(&p)
		c.generations[wide] = q
	}
	maps.Copy(c.identities, later.identities)
	c.complete = c.complete && later.complete
}

package store

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/edgecache/edgecache/registry"
)

// An EpochState is what the journal has of one epoch of one node.
type EpochState = registry.EpochState

type epochID struct{ origin, epoch uint64 }

// An epochState is an EpochState and the position of its first record kept:
// the cap takes the oldest records of all epochs.
type epochState struct {
	EpochState
	oldest uint64
}

// A journal is what a directory's committer knows of its invalidations.
type journal struct {
	limit   uint64 // of records
	epochs  map[epochID]*epochState
	records uint64
	changed map[*epochState]bool // in this round

	mu        sync.Mutex // protects what was committed, for readers:
	published map[epochID]EpochState
	kept      uint64
}

func (j *journal) init(limit int, epochs map[epochID]epochState) {
	j.limit = uint64(max(limit, 1))
	j.epochs, j.changed, j.published = map[epochID]*epochState{}, map[*epochState]bool{}, map[epochID]EpochState{}
	for id, e := range epochs {
		j.epochs[id], j.published[id] = &e, e.EpochState
		j.records += e.Count
	}
	j.kept = j.records
}

// epoch returns the state of an epoch, for changing it in this round.
func (j *journal) epoch(id epochID) *epochState {
	e := j.epochs[id]
	if e == nil {
		e = &epochState{EpochState: EpochState{Origin: id.origin, Epoch: id.epoch, Start: 1}}
		j.epochs[id] = e
	}
	j.changed[e] = true
	return e
}

// add logs a record, unless it is there or was truncated.
func (j *journal) add(r *round, id epochID, seq, position uint64, raw []byte) error {
	r.key = appendJournalKey(r.key[:0], id.origin, id.epoch, seq)
	if known := j.epochs[id]; known != nil && seq <= known.Last {
		if seq < known.Start || r.present[string(r.key)] {
			return nil
		}
		there, err := r.has(r.key)
		if err != nil || there {
			return err
		}
		r.present[string(r.key)] = true
	}
	e := j.epoch(id)
	r.value = appendRecord(r.value[:0], position, raw)
	r.set(r.key, r.value)
	if e.Count == 0 {
		e.oldest = position
	}
	e.Count++
	e.Last = max(e.Last, seq)
	if registry.ModeOf(raw) == registry.ModeHard {
		e.Newest = max(e.Newest, seq)
	}
	j.records++
	return nil
}

// finish writes what changed of the epochs.
func (j *journal) finish(r *round) {
	for e := range j.changed {
		r.key, r.value = appendEpochKey(r.key[:0], e.Origin, e.Epoch), appendEpoch(r.value[:0], e)
		r.set(r.key, r.value)
	}
}

// mostSlack is how many records go at once at most beyond what must. They are
// read for that: a few milliseconds of the committer.
const mostSlack = 4096

// makeRoom truncates the oldest records before so many more are added, some
// more than it must: so a range is deleted once in a while and not each round.
func (j *journal) makeRoom(r *round, more uint64) error {
	if j.records+more <= j.limit {
		return nil
	}
	goal := j.limit - min(j.limit, more+min(j.limit/8, mostSlack))
	for j.records > goal {
		var oldest *epochState
		for _, e := range j.epochs {
			if e.Count > 0 && (oldest == nil || e.oldest < oldest.oldest) {
				oldest = e
			}
		}
		if oldest == nil {
			return nil
		}
		id := epochID{oldest.Origin, oldest.Epoch}
		if _, err := j.truncate(r, id, oldest.Last+1, j.records-goal); err != nil {
			return err
		}
	}
	return nil
}

// committed returns the greatest sequence of an epoch that is durable.
func (j *journal) committed(id epochID) uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.published[id].Last
}

// truncate removes at most so many records of an epoch below a sequence, the
// first ones, and reports whether these were all. None may have been added in
// this round. One that is not there may have been hard.
func (j *journal) truncate(r *round, id epochID, below, most uint64) (all bool, err error) {
	e := j.epoch(id)
	start := e.Start
	removed, err := j.remove(r, e, below, most)
	if err == nil && e.Start-start > removed {
		e.Hard = e.Start - 1
		e.Newest = max(e.Newest, e.Hard)
	}
	return e.Start == below, err
}

// remove is truncate where it does not matter what was not there. It returns how
// many there were.
func (j *journal) remove(r *round, e *epochState, below, most uint64) (removed uint64, err error) {
	id := epochID{e.Origin, e.Epoch}
	from := appendJournalKey(nil, id.origin, id.epoch, e.Start)
	it, err := r.d.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: appendJournalKey(nil, id.origin, id.epoch, below)})
	if err != nil {
		return 0, err
	}
	start := below
	for ok := it.First(); ok; ok = it.Next() {
		_, seq, err := parseJournalKey(it.Key())
		if err != nil {
			return 0, errors.Join(err, it.Close())
		}
		position, raw, err := parseRecord(it.Value())
		if removed == most {
			start, e.oldest = seq, position
			break
		}
		removed++
		if err != nil || registry.ModeOf(raw) == registry.ModeHard {
			e.Hard, e.Newest = seq, max(e.Newest, seq)
		}
	}
	if err := it.Close(); err != nil {
		return 0, err
	}
	r.deleteRange(from, appendJournalKey(nil, id.origin, id.epoch, start))
	e.Start, e.Last = start, max(e.Last, start-1)
	counted := min(removed, e.Count)
	if e.Start > e.Last {
		counted = e.Count
	}
	e.Count -= counted
	j.records -= counted
	return removed, nil
}

// publish makes known what was committed.
func (j *journal) publish() {
	if len(j.changed) == 0 {
		return
	}
	j.mu.Lock()
	for e := range j.changed {
		j.published[epochID{e.Origin, e.Epoch}] = e.EpochState
	}
	j.kept = j.records
	j.mu.Unlock()
	clear(j.changed)
}

// Epochs calls yield for each epoch of which the journal has or had records,
// by origin and epoch, until it returns false.
func (s *Store) Epochs(yield func(EpochState) bool) error {
	d, err := s.live()
	if err != nil {
		return err
	}
	j := &d.journal
	j.mu.Lock()
	list := make([]EpochState, 0, len(j.published))
	for _, e := range j.published {
		list = append(list, e)
	}
	j.mu.Unlock()
	slices.SortFunc(list, func(a, b EpochState) int {
		return cmp.Or(cmp.Compare(a.Origin, b.Origin), cmp.Compare(a.Epoch, b.Epoch))
	})
	for _, e := range list {
		if !yield(e) {
			return nil
		}
	}
	return nil
}

// Range calls yield for the durable records of an epoch from a sequence on, in
// their order, until it returns false. raw is the invalidation as it was given,
// valid until yield returns.
func (s *Store) Range(origin, epoch, from uint64, yield func(seq uint64, raw []byte) bool) error {
	for {
		seqs, raws, err := s.readRecords(epochID{origin, epoch}, from)
		if err != nil {
			return err
		}
		for i := range seqs {
			if !yield(seqs[i], raws[i]) {
				return nil
			}
		}
		if len(seqs) < rangePage {
			return nil
		}
		from = seqs[len(seqs)-1] + 1
	}
}

const rangePage = 256 // records read at once, so that yield may take its time

// readRecords returns the next durable records of an epoch.
func (s *Store) readRecords(id epochID, from uint64) (seqs []uint64, raws [][]byte, err error) {
	defer s.reads.end(s.reads.begin(s.elapsed()))
	d, err := s.live()
	if err != nil {
		return nil, nil, err
	}
	defer s.guard(d, &err)
	last := d.journal.committed(id) // what is above may be in the DB, but is not synced yet
	it, err := d.db.NewIter(&pebble.IterOptions{
		LowerBound: appendJournalKey(nil, id.origin, id.epoch, from), UpperBound: appendJournalKey(nil, id.origin, id.epoch, last+1),
	})
	if err != nil {
		return nil, nil, err
	}
	for ok := it.First(); ok && len(seqs) < rangePage && err == nil; ok = it.Next() {
		var seq uint64
		var raw []byte
		if _, seq, err = parseJournalKey(it.Key()); err == nil {
			_, raw, err = parseRecord(it.Value())
		}
		seqs, raws = append(seqs, seq), append(raws, bytes.Clone(raw))
	}
	if err = errors.Join(err, it.Close()); err != nil {
		return nil, nil, fmt.Errorf("journal of %x/%x: %w", id.origin, id.epoch, err)
	}
	return seqs, raws, nil
}

const truncateStep = 4096 // records that Truncate reads in one round

// Truncate removes an epoch's records below a sequence, which none is expected
// for any more. It returns once that is written, which need not be durable.
func (s *Store) Truncate(origin, epoch, below uint64) error {
	id := epochID{origin, epoch}
	for all := false; !all; {
		err := s.do(func(r *round) (err error) {
			below := below
			if own := (epochID{s.Node(), s.Epoch()}); id == own {
				below = min(below, r.d.journal.epoch(id).Last+1) // more are to come
			}
			if e := r.d.journal.epoch(id); below <= e.Start {
				all = true
				return nil
			}
			all, err = r.d.journal.truncate(r, id, below, truncateStep)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

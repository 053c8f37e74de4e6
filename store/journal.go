package store

import (
	"context"
	"fmt"

	"github.com/edgecache/edgecache/registry"
)

// Append implements cache.Journal.
func (s *Store) Append(ctx context.Context, inv *registry.Invalidation, a registry.Applied) error {
	s.mu.Lock()
	s.seq++
	inv.Origin, inv.Epoch, inv.Seq = s.node, s.epoch, s.seq
	d, o, err := s.logLocked([]logEntry{{epochID{s.node, s.epoch}, s.seq, inv.Mode, registry.AppendInvalidation(nil, inv), a}})
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%w: %w", registry.ErrNotDurable, err)
	}
	return s.waitDurable(ctx, d, o)
}

// A logEntry is a record to be logged, with what it raised.
type logEntry struct {
	id   epochID
	seq  uint64
	mode registry.Mode
	raw  []byte
	registry.Applied
}

// logLocked notes what records raised, and queues them as one op. With the lock
// held since they got their sequences, an epoch's records reach the disk in
// order. An error between two of them leaves those before.
func (s *Store) logLocked(list []logEntry) (*directory, *op, error) {
	size := 0
	for i := range list {
		e := &list[i]
		if len(e.Wide) > 0 {
			s.raiseLocked(e)
		}
		size += len(e.raw)
		for k := range e.Keys {
			size += len(e.Keys[k].Registry) + len(e.Keys[k].Name)
		}
	}
	o := &op{sync: true, size: size, records: len(list), add: func(r *round) error {
		for i := range list {
			e := &list[i]
			if err := r.d.journal.add(r, e.id, e.seq, e.Position, e.raw); err != nil {
				return err
			}
			p := at(e.mode, e.Position)
			r.mark(e.Keys, &p)
			r.raise(e.Wide, &p)
		}
		return nil
	}}
	d, err := s.enqueueLocked(o, 0)
	return d, o, err
}

// raiseLocked notes the wide selectors that a record raised.
func (s *Store) raiseLocked(e *logEntry) {
	p := at(e.mode, e.Position)
	for _, wide := range e.Wide {
		wide = canonical(wide)
		kept := s.generations[wide]
		kept.raise(&p)
		s.generations[wide] = kept
	}
}

// mark merges positions into the marks of keys.
func (r *round) mark(keys []registry.Key, p *positions) {
	r.usePosition(p.newest())
	r.value = p.append(r.value[:0])
	for _, k := range keys {
		r.key = appendKey(r.key[:0], familyMark, k)
		r.merge(r.key, r.value)
	}
}

// raise merges positions into the generations of wide selectors.
func (r *round) raise(wide []registry.Selector, p *positions) {
	r.usePosition(p.newest())
	r.value = p.append(r.value[:0])
	for _, sel := range wide {
		r.key = appendGenerationKey(r.key[:0], sel)
		r.merge(r.key, r.value)
	}
}

// Generations implements cache.Journal. After a directory broke of which not
// all could be read, everything was raised.
func (s *Store) Generations(yield func(registry.Selector, registry.Mode, uint64)) error {
	s.mu.Lock()
	kept := make(map[registry.Selector]positions, len(s.generations))
	for wide, p := range s.generations {
		kept[wide] = p
	}
	s.mu.Unlock()
	for wide, p := range kept {
		for m := registry.ModeSoft; m <= registry.ModeHard; m++ {
			if p[m] > 0 {
				yield(wide, m, p[m])
			}
		}
	}
	return nil
}

// Forget implements cache.Journal. It returns once the removal is written,
// which need not be durable: after a crash they may be there again.
func (s *Store) Forget(wide []registry.Selector, upTo uint64) error {
	s.mu.Lock()
	var gone []registry.Selector
	for _, sel := range wide {
		sel = canonical(sel)
		if p, ok := s.generations[sel]; ok && p.newest() <= upTo {
			delete(s.generations, sel)
			gone = append(gone, sel)
		}
	}
	// Whatever raises one of them again is queued behind.
	o := &op{size: 64 * len(gone), add: func(r *round) error {
		for _, sel := range gone {
			r.key = appendGenerationKey(r.key[:0], sel)
			r.delete(r.key)
		}
		return nil
	}}
	d, err := s.enqueueLocked(o, 0)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return d.wait(o)
}

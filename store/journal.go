package store

import (
	"bytes"
	"context"
	"fmt"

	"github.com/edgecache/edgecache/registry"
)

// Append implements cache.Journal.
func (s *Store) Append(ctx context.Context, inv *registry.Invalidation, a registry.Applied) error {
	s.mu.Lock()
	s.seq++
	inv.Origin, inv.Epoch, inv.Seq = s.node, s.epoch, s.seq
	d, o, err := s.logLocked(inv, registry.AppendInvalidation(nil, inv), a)
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%w: %w", registry.ErrNotDurable, err)
	}
	return s.waitDurable(ctx, d, o)
}

// Record logs one of what Records logs.
func (s *Store) Record(ctx context.Context, inv *registry.Invalidation, raw []byte, a registry.Applied) error {
	raw = bytes.Clone(raw)
	s.mu.Lock()
	d, o, err := s.logLocked(inv, raw, a)
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%w: %w", registry.ErrNotDurable, err)
	}
	return s.waitDurable(ctx, d, o)
}

// logLocked notes what an invalidation raised, and queues it. With the lock
// held since it got its sequence, an epoch's records reach the disk in order.
func (s *Store) logLocked(inv *registry.Invalidation, raw []byte, a registry.Applied) (*directory, *op, error) {
	p := at(inv.Mode, a.Position)
	for _, wide := range a.Wide {
		wide = canonical(wide)
		kept := s.generations[wide]
		kept.raise(&p)
		s.generations[wide] = kept
	}
	id, seq := epochID{inv.Origin, inv.Epoch}, inv.Seq
	size := len(raw)
	for i := range a.Keys {
		size += len(a.Keys[i].Registry) + len(a.Keys[i].Name)
	}
	o := &op{sync: true, size: size, records: 1, add: func(r *round) error {
		if err := r.d.journal.add(r, id, seq, a.Position, raw); err != nil {
			return err
		}
		r.mark(a.Keys, &p)
		r.raise(a.Wide, &p)
		return nil
	}}
	d, err := s.enqueueLocked(o, 0)
	return d, o, err
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

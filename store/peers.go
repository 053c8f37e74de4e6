package store

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/edgecache/edgecache/registry"
)

// membersName keeps the members among the identities; no registry has a slash.
const membersName = "/members"

// Members returns what was last given to SetMembers, nil if nothing was.
func (s *Store) Members() []byte {
	members, _ := s.Identity(membersName)
	if members == "" {
		return nil
	}
	return []byte(members)
}

// SetMembers keeps what package gossip wants to know after a restart. It
// returns once that is durable.
func (s *Store) SetMembers(members []byte) error { return s.SetIdentity(membersName, string(members)) }

// Records implements cache.Journal.
func (s *Store) Records(ctx context.Context, list []registry.Received) error {
	if len(list) == 0 {
		return nil
	}
	size := 0
	for i := range list {
		size += len(list[i].Raw)
	}
	entries, raw := make([]logEntry, len(list)), make([]byte, 0, size)
	for i := range list {
		r := &list[i]
		raw = append(raw, r.Raw...)
		entries[i] = logEntry{epochID{r.Inv.Origin, r.Inv.Epoch}, r.Inv.Seq, r.Inv.Mode, raw[len(raw)-len(r.Raw):], r.Applied}
	}
	s.mu.Lock()
	d, o, err := s.logLocked(entries)
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%w: %w", registry.ErrNotDurable, err)
	}
	return s.waitDurable(ctx, d, o)
}

// Record logs one of what Records logs.
func (s *Store) Record(ctx context.Context, inv *registry.Invalidation, raw []byte, a registry.Applied) error {
	return s.Records(ctx, []registry.Received{{Inv: inv, Raw: raw, Applied: a}})
}

// Issue logs a record of this node that is no invalidation. encode is given its
// id and returns its binary form; it is called with a lock held. Issue returns
// the record once it is durable; with an error it has its id all the same.
func (s *Store) Issue(ctx context.Context, position uint64, encode func(origin, epoch, seq uint64) []byte) (raw []byte, err error) {
	s.mu.Lock()
	s.seq++
	raw = encode(s.node, s.epoch, s.seq)
	d, o, err := s.logLocked([]logEntry{{id: epochID{s.node, s.epoch}, seq: s.seq, raw: raw, Applied: registry.Applied{Position: position}}})
	s.mu.Unlock()
	if err != nil {
		return raw, fmt.Errorf("%w: %w", registry.ErrNotDurable, err)
	}
	return raw, s.waitDurable(ctx, d, o)
}

// Raise logs that everything was raised at a position in place of the records
// of some epochs below their Start. It returns once that is durable.
func (s *Store) Raise(m registry.Mode, a registry.Applied, instead []EpochState) error {
	p := at(m, a.Position)
	s.mu.Lock()
	for _, wide := range a.Wide {
		kept := s.generations[canonical(wide)]
		kept.raise(&p)
		s.generations[canonical(wide)] = kept
	}
	o := &op{sync: true, alone: true, add: func(r *round) error {
		r.raise(a.Wide, &p)
		for _, e := range instead {
			if err := r.d.journal.skip(r, e); err != nil {
				return err
			}
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

// skip has the records of an epoch begin at another start, though those before
// were never logged.
func (j *journal) skip(r *round, to EpochState) error {
	id := epochID{to.Origin, to.Epoch}
	if e := j.epochs[id]; e != nil && e.Start >= to.Start {
		return nil
	}
	e := j.epoch(id)
	for e.Start < to.Start {
		if _, err := j.remove(r, e, to.Start, truncateStep); err != nil {
			return err
		}
	}
	e.Hard, e.Newest = max(e.Hard, to.Hard), max(e.Newest, to.Hard)
	return nil
}

// Renew draws another epoch for what is appended from now on and, for a node
// that was copied or set back, another id. It returns once that is durable.
func (s *Store) Renew(identity bool) error {
	s.mu.Lock()
	s.epoch, s.seq = rand.Uint64(), 0
	if !identity {
		s.mu.Unlock()
		return nil
	}
	s.node = rand.Uint64() | 1
	node := s.node
	o := &op{sync: true, add: func(r *round) error {
		r.setNumber(numberNode, node)
		return nil
	}}
	d, err := s.enqueueLocked(o, 0)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return d.wait(o)
}

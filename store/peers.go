package store

import (
	"bytes"
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
	type logged struct {
		d *directory
		o *op
	}
	ops := make([]logged, 0, len(list))
	var failed error
	s.mu.Lock()
	for i := range list {
		r := &list[i]
		d, o, err := s.logLocked(r.Inv, bytes.Clone(r.Raw), r.Applied)
		if err != nil {
			failed = fmt.Errorf("%w: %w", registry.ErrNotDurable, err)
			break
		}
		ops = append(ops, logged{d, o})
	}
	s.mu.Unlock()
	for _, l := range ops {
		if err := s.waitDurable(ctx, l.d, l.o); err != nil && failed == nil {
			failed = err
		}
	}
	return failed
}

// Issue logs a record of this node that is no invalidation. encode is given its
// id and returns its binary form; it is called with a lock held. Issue returns
// the record once it is durable; with an error it has its id all the same.
func (s *Store) Issue(ctx context.Context, position uint64, encode func(origin, epoch, seq uint64) []byte) (raw []byte, err error) {
	s.mu.Lock()
	s.seq++
	raw = encode(s.node, s.epoch, s.seq)
	inv := &registry.Invalidation{Origin: s.node, Epoch: s.epoch, Seq: s.seq}
	d, o, err := s.logLocked(inv, raw, registry.Applied{Position: position})
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
	for all := false; !all; {
		var err error
		if all, err = j.truncate(r, id, to.Start, truncateStep); err != nil {
			return err
		}
	}
	e := j.epoch(id)
	e.Hard = max(e.Hard, to.Hard)
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

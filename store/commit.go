package store

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/edgecache/edgecache/registry"
)

const (
	// A round takes at most so much of what waits, so that no invalidation
	// waits long behind entries.
	maxRoundOps   = 4096
	maxRoundBytes = 1 << 20

	// maxQueued is how many ops may wait for a disk that stalls. A directory
	// that is further behind is given up: to leave invalidations out of it
	// would be worse.
	maxQueued = 1 << 16

	// positionBlock is how many positions are reserved at a time.
	positionBlock = 1 << 20
)

// An op is one change, or some that belong together.
type op struct {
	// add adds the change to a round, on the committer's goroutine: all of it
	// or, with an error, nothing. It may read the DB, but sees nothing there of
	// the ops before it in the round, unless it is alone.
	add     func(r *round) error
	sync    bool       // is to be durable
	alone   bool       // has a round of its own
	size    int        // about what it adds to a batch, in bytes
	records int        // that it adds to the journal
	done    chan error // with room for one
	err     error      // of add
}

// do runs add in a round of its own in the directory in use and returns once
// that is written, which need not be durable. So add may read what it changes:
// nobody else changes anything meanwhile.
func (s *Store) do(add func(r *round) error) error {
	return s.commit(&op{add: add, alone: true})
}

// commit queues an op and waits until it is written.
func (s *Store) commit(o *op) error {
	s.mu.Lock()
	d, err := s.enqueueLocked(o, 0)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return d.wait(o)
}

// enqueueLocked queues an op in the directory in use, which must have that
// number unless it is 0.
func (s *Store) enqueueLocked(o *op, number uint32) (*directory, error) {
	d, err := s.live()
	if err != nil {
		if dead := s.dir.Load(); dead != nil && !dead.alive() {
			dead.queue = nil // those who wait were answered
		}
		return nil, err
	}
	if number != 0 && number != d.number {
		return nil, fmt.Errorf("%w: %d, not %d", errDirectory, d.number, number)
	}
	if len(d.queue) >= maxQueued {
		err := fmt.Errorf("%d changes wait for a disk that does not answer", len(d.queue))
		s.die(d, err)
		return nil, fmt.Errorf("%w: %w", errDead, err)
	}
	if o.done == nil {
		o.done = make(chan error, 1)
	}
	d.queue = append(d.queue, o)
	select {
	case d.wake <- struct{}{}:
	default:
	}
	return d, nil
}

// wait returns what became of an op once it is written.
func (d *directory) wait(o *op) error {
	select {
	case err := <-o.done:
		return err
	case <-d.dead:
		return d.fate(o)
	}
}

// fate returns what became of an op in a directory that is dead.
func (d *directory) fate(o *op) error {
	select {
	case err := <-o.done:
		return err
	default:
		return fmt.Errorf("%w: %w", errDead, d.reason)
	}
}

// waitDurable waits for an op of the journal, but not for a disk that stalls
// nor longer than ctx: then the op may still become durable.
func (s *Store) waitDurable(ctx context.Context, d *directory, o *op) error {
	if stalled := s.stalled(d); stalled > 0 {
		return fmt.Errorf("%w: a commit lasts %s already", registry.ErrNotDurable, stalled.Round(time.Millisecond))
	}
	limit := time.NewTimer(s.opts.Stall)
	defer limit.Stop()
	var err error
	select {
	case err = <-o.done:
	case <-d.dead:
		err = d.fate(o)
	case <-limit.C:
		err = fmt.Errorf("not after %s", s.opts.Stall)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", registry.ErrNotDurable, err)
	}
	return nil
}

// stalled returns how long the commit under way lasts if that is too long,
// else 0.
func (s *Store) stalled(d *directory) time.Duration {
	since := d.since.Load()
	if since == 0 {
		return 0
	}
	if lasts := s.elapsed() - time.Duration(since); lasts > s.opts.Stall {
		return lasts
	}
	return 0
}

// end lets the committer of d stop after what is queued.
func (s *Store) end(d *directory) {
	s.mu.Lock()
	d.ending = true
	s.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// commitLoop is the committer of one directory. It ends with the directory's
// end or death; if Pebble parks it, nobody waits for it.
func (s *Store) commitLoop(d *directory) {
	defer close(d.done)
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("store: a commit ended in a panic", "panic", p, "stack", string(debug.Stack()))
			s.die(d, fmt.Errorf("commit: %v", p))
		}
	}()
	r := newRound(s, d)
	defer r.endFind()
	var ops []*op
	for {
		if ops = s.take(d, ops[:0]); len(ops) == 0 {
			return
		}
		if err := s.commitRound(r, ops); err != nil {
			s.die(d, err)
			return
		}
		clear(ops)
		// Those who were answered may come again: let them, so that more share
		// the next fsync.
		runtime.Gosched()
	}
}

// take waits for ops and takes those of the next round; none at the
// directory's end or death.
func (s *Store) take(d *directory, ops []*op) []*op {
	for {
		s.mu.Lock()
		size := 0
		for _, o := range d.queue {
			if o.alone && len(ops) > 0 || len(ops) == maxRoundOps || size > maxRoundBytes {
				break
			}
			ops = append(ops, o)
			size += o.size
			if o.alone {
				break
			}
		}
		d.queue = slices.Delete(d.queue, 0, len(ops))
		ending := d.ending
		s.mu.Unlock()
		if !d.alive() {
			return nil
		}
		if len(ops) > 0 || ending {
			return ops
		}
		select {
		case <-d.wake:
		case <-d.dead:
			return nil
		}
	}
}

// commitRound commits ops in one batch and answers them. An error is the
// directory's death.
func (s *Store) commitRound(r *round, ops []*op) error {
	began := s.elapsed()
	r.d.since.Store(int64(began))
	defer r.d.since.Store(0)
	records, synced := 0, false
	for _, o := range ops {
		records += o.records
	}
	if err := r.d.journal.makeRoom(r, uint64(records)); err != nil {
		return err
	}
	for _, o := range ops {
		if o.err = o.add(r); o.err == nil && o.sync {
			r.sync, synced = true, true
		}
	}
	if err := r.write(); err != nil {
		return err
	}
	s.stats.committed(len(ops), synced, s.elapsed()-began)
	for _, o := range ops {
		o.done <- o.err
	}
	return nil
}

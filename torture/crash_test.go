package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/store"
)

// TestStoreCrashes makes random calls to a store and cuts its file system off
// at the boundaries between operations: what is left must open without
// complaint, show the calls up to some one of them, those that were
// acknowledged as durable included, and have all numbers go on above.
func TestStoreCrashes(t *testing.T) {
	runs(t, shareCrash, 1, func(t *testing.T, r *run) {
		v := newVerifier(t, r)
		s := &subject{r: r, v: v, gen: newGenerator(r.random(1)), every: 1, steps: 60}
		if r.number%4 != 0 {
			s.every, s.steps = 1+r.rng.IntN(12), 60+r.rng.IntN(400)
		}
		var failure error
		synctest.Test(t, func(*testing.T) { failure = s.run() })
		if err := v.end(); err != nil {
			failure = err
		}
		if failure != nil {
			r.fail(t, "%v", failure)
		}
		summary.add(r.test, "", tally{runs: 1})
	})
}

// A subject is a store under a history, over one life after the other.
type subject struct {
	r     *run
	v     *verifier
	gen   *generator
	every int // one boundary in so many is checked
	steps int

	*life
}

// A life of a subject is the time between two crashes.
type life struct {
	disk  *disk
	store *store.Store
	seen  atomic.Int64 // boundaries

	mu     sync.Mutex // protects the fields below
	hist   history
	before numbers // what a restart must lie above
}

// numbers are what goes on rising over restarts.
type numbers struct {
	node   uint64 // 0: not known yet
	epochs []uint64
	index  uint64
	now    int64
}

// options are those of a small store: its memory is flushed after 256 KiB, and
// compacted all the time.
func options(fs vfs.FS) store.Options {
	o := store.Defaults()
	o.Dir, o.FS, o.MaxBytes = "data", fs, 32<<20
	return o
}

func (s *subject) run() error {
	if err := s.begin(vfs.NewCrashableMem(), history{}, numbers{}); err != nil {
		return err
	}
	for i := 0; i < s.steps && s.v.failed() == nil; i++ {
		var err error
		switch s.r.rng.IntN(60) {
		case 0:
			err = s.crash()
		case 1:
			err = s.reopen()
		default:
			err = s.do(s.gen.op())
		}
		if err != nil {
			s.store.Close()
			return fmt.Errorf("step %d: %w%s", i, err, s.hist.tail(4))
		}
		if s.r.rng.IntN(10) == 0 {
			time.Sleep(time.Duration(s.r.rng.IntN(30)) * time.Second)
		}
	}
	s.disk.watch(nil)
	return s.store.Close()
}

// begin opens the store on a file system that holds a history.
func (s *subject) begin(mem *vfs.MemFS, h history, before numbers) error {
	l := &life{disk: newDisk(mem), hist: h, before: before}
	s.life = l
	l.disk.watch(func(kind string) { s.boundary(l, kind) })
	if err := l.open(); err != nil {
		return err
	}
	s.gen.restart(h.after(len(h.ops)), l.store.Clock(), l.store.Now, l.store.Position())
	return nil
}

func (l *life) open() error {
	var err error
	if l.store, err = store.Open(options(l.disk.FS)); err != nil {
		return fmt.Errorf("Open: %w", err)
	}
	if err := l.before.hold(l.store, l.hist); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before.node = l.store.Node()
	l.before.epochs = append(l.before.epochs[:len(l.before.epochs):len(l.before.epochs)], l.store.Epoch())
	return nil
}

// do makes the calls of one op.
func (s *subject) do(o *op) error {
	now := s.store.Now()
	s.mu.Lock()
	s.hist.ops = append(s.hist.ops, o)
	s.before.index = s.gen.index.Load()
	s.mu.Unlock()
	if err := s.call(o); err != nil {
		return fmt.Errorf("%s: %w", o, err)
	}
	if o.durable() {
		s.mu.Lock()
		s.hist.durable, s.before.now = len(s.hist.ops), now
		s.mu.Unlock()
		s.boundary(s.life, kindReturned)
	}
	return nil
}

func (s *subject) call(o *op) error {
	switch {
	case len(o.changes) > 0:
		var appends sync.WaitGroup
		errs := make([]error, len(o.changes))
		for i := range o.changes {
			appends.Go(func() { errs[i] = s.append(&o.changes[i], o.peer) })
		}
		appends.Wait()
		return joinErrors(errs)
	case len(o.marked) > 0:
		return s.store.Mark(o.marked, o.mode, o.at)
	case len(o.forget) > 0:
		return s.store.Forget(o.forget, o.at)
	case o.below > 0:
		return s.store.Truncate(o.truncated.origin, o.truncated.epoch, o.below)
	case o.identity[0] != "":
		return s.store.SetIdentity(o.identity[0], o.identity[1])
	}
	if err := s.store.Write(s.store.Directory()+1, o.put, o.confirm, o.del); err == nil {
		return fmt.Errorf("a write for another directory was taken")
	}
	return s.store.Write(s.store.Directory(), o.put, o.confirm, o.del)
}

func joinErrors(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *subject) append(c *change, peer bool) error {
	inv := c.inv
	if peer {
		return s.store.Record(context.Background(), &inv, registry.AppendInvalidation(nil, &inv), c.applied)
	}
	if err := s.store.Append(context.Background(), &inv, c.applied); err != nil {
		return err
	}
	if inv.Origin != s.store.Node() || inv.Epoch != s.store.Epoch() || inv.Seq == 0 {
		return fmt.Errorf("the id %s is not of node %x and epoch %x", inv.ID(), s.store.Node(), s.store.Epoch())
	}
	return nil
}

// reopen closes the store and opens it again: nothing is lost by that.
func (s *subject) reopen() error {
	o := &op{reopened: true}
	s.mu.Lock()
	s.hist.ops = append(s.hist.ops, o)
	s.mu.Unlock()
	if err := s.store.Close(); err != nil {
		return fmt.Errorf("Close: %w", err)
	}
	s.mu.Lock()
	s.hist.durable = len(s.hist.ops)
	s.mu.Unlock()
	if err := s.open(); err != nil {
		return err
	}
	seen, err := observe(s.store)
	if err != nil {
		return err
	}
	if _, diff := s.hist.match(seen); diff != "" {
		return fmt.Errorf("after Close and Open: %s", diff)
	}
	s.gen.restart(s.gen.state, s.store.Clock(), s.store.Now, s.store.Position())
	return nil
}

// crash goes on with what a crash leaves.
func (s *subject) crash() error {
	s.disk.watch(nil)
	mem := s.disk.crash(pick(s.r.rng, percents[:]), s.r.rng)
	if err := s.store.Close(); err != nil {
		return fmt.Errorf("Close: %w", err)
	}
	h, err := check(mem, s.hist, s.before)
	if err != nil {
		return fmt.Errorf("crash: %w", err)
	}
	summary.add(s.r.test, "crash and go on", tally{crashes: 1, checked: 1})
	return s.begin(mem, h, s.before)
}

// boundary has what a crash would leave here checked.
func (s *subject) boundary(l *life, kind string) {
	n := l.seen.Add(1)
	every := int64(s.every)
	if kind == kindWrite {
		every *= 16
	}
	if n%every != 0 {
		return
	}
	rng := s.r.random(uint64(n) + 2)
	percent := pick(rng, percents[:])
	if kind == kindReturned {
		percent = 0 // what is not synced now is lost, and was acknowledged
	}
	j := job{kind: kind, rng: rng}
	l.mu.Lock()
	j.hist.durable = l.hist.durable
	j.before = l.before
	l.mu.Unlock()
	j.mem = l.disk.crash(percent, rng)
	l.mu.Lock()
	j.hist.ops = l.hist.ops
	l.mu.Unlock()
	j.name = fmt.Sprintf("crash before the %s that is boundary %d, %d%% of what was not synced is left", kind, n, percent)
	s.v.jobs <- j
}

// A job is a file system after a crash, and what it must hold.
type job struct {
	name, kind string
	rng        *rand.Rand
	mem        *vfs.MemFS
	hist       history
	before     numbers
}

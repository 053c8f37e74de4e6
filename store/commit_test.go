package store

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/edgecache/edgecache/registry"
)

// gathered runs n calls so that the committer takes them in one round.
func gathered(t *testing.T, s *Store, n int, call func(i int) error) {
	t.Helper()
	release, held := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.do(func(*round) error { close(held); <-release; return nil }); err != nil {
			t.Error(err)
		}
	})
	<-held
	before := s.Stats()
	for i := range n {
		wg.Go(func() {
			if err := call(i); err != nil {
				t.Error(err)
			}
		})
	}
	poll(t, "all calls are queued", func() bool { return s.Stats().Queued == n })
	close(release)
	wg.Wait()
	if after := s.Stats(); after.Commits-before.Commits > 2 {
		t.Errorf("%d calls were committed in %d batches, want one and that of what held them up", n, after.Commits-before.Commits)
	}
}

func TestInvalidationsShareOneSync(t *testing.T) {
	s := mustOpen(t, memOptions(vfs.NewMem()))
	before := s.Stats().Syncs
	gathered(t, s, 50, func(i int) error {
		inv, keys := byName(registry.ModeSoft, "web")
		return s.Append(t.Context(), inv, registry.Applied{Position: uint64(i), Keys: keys})
	})
	if syncs := s.Stats().Syncs - before; syncs != 1 {
		t.Errorf("%d syncs for 50 invalidations that waited together, want 1", syncs)
	}
	before = s.Stats().Syncs
	mustWrite(t, s, []*registry.Stored{stored("web", "a", 1, 1)}, nil)
	if syncs := s.Stats().Syncs - before; syncs != 0 {
		t.Errorf("%d syncs for an entry, want none", syncs)
	}
}

func TestAnOpAloneReadsWhatItChanges(t *testing.T) {
	s := mustOpen(t, memOptions(vfs.NewMem()))
	release, held := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.do(func(*round) error { close(held); <-release; return nil }) })
	<-held
	wg.Go(func() { _ = s.Write(1, []*registry.Stored{stored("web", "a", 1, 1)}, nil, nil) })
	poll(t, "the write is queued", func() bool { return s.Stats().Queued == 1 })
	seen := make(chan bool, 1)
	wg.Go(func() {
		err := s.do(func(r *round) error {
			there, err := r.has(appendKey(nil, familyEntry, testKey("web")))
			seen <- there
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	poll(t, "the op is queued", func() bool { return s.Stats().Queued == 2 })
	close(release)
	if !<-seen {
		t.Error("an op does not see what was queued before it")
	}
	wg.Wait()
}

func TestAnOpThatFailsChangesNothing(t *testing.T) {
	s := mustOpen(t, memOptions(vfs.NewMem()))
	errTest := errors.New("refused by a test")
	if err := s.do(func(*round) error { return errTest }); !errors.Is(err, errTest) {
		t.Errorf("got %v", err)
	}
	mustWrite(t, s, []*registry.Stored{stored("web", "a", 1, 1)}, nil)
	if s.Status().State != stateOK {
		t.Errorf("the store is %+v", s.Status())
	}
}

// TestADeathAnswersAllWhoWait has the committer hang in a commit while another
// goroutine of the engine reports the end.
func TestADeathAnswersAllWhoWait(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	g := &gatedFS{FS: vfs.NewMem()}
	o := memOptions(g)
	o.Stall, o.Reopen = time.Hour, -1
	s := mustOpen(t, o)
	defer mustClose(t, s)
	defer g.open()
	g.shut()
	errs := make(chan error, 12)
	for i := range 10 {
		go func() {
			inv, keys := byName(registry.ModeSoft, "web")
			errs <- s.Append(context.Background(), inv, registry.Applied{Position: uint64(i), Keys: keys})
		}()
	}
	poll(t, "a commit hangs", func() bool { return g.waiting() > 0 })
	go func() { errs <- s.Write(1, []*registry.Stored{stored("web", "a", 1, 1)}, nil, nil) }()
	go func() { errs <- s.Mark([]registry.Key{testKey("web")}, registry.ModeHard, 3) }()
	d := s.dir.Load()
	poll(t, "the rest waits", func() bool { return s.Stats().Queued >= 2 })
	s.die(d, errors.New("reported by a test"))
	for range 12 {
		if err := <-errs; !errors.Is(err, errDead) || !strings.Contains(err.Error(), "reported by a test") {
			t.Errorf("who waited got %v; want errDead and why", err)
		}
	}
	inv, keys := byName(registry.ModeSoft, "web")
	err := s.Append(t.Context(), inv, registry.Applied{Position: 99, Keys: keys})
	if !errors.Is(err, registry.ErrNotDurable) || !errors.Is(err, errDead) || inv.Seq == 0 || inv.Origin != s.Node() {
		t.Errorf("Append to a dead store: %v, id %s; want ErrNotDurable and an id", err, inv.ID())
	}
	if _, err := s.Get(testKey("web")); !errors.Is(err, errDead) {
		t.Errorf("Get of a dead store: %v", err)
	}
	if st := s.Status(); st.State != stateDead || !strings.Contains(st.Error, "reported by a test") || s.Directory() != 0 {
		t.Errorf("status %+v, directory %d", st, s.Directory())
	}
	if got := s.Degraded(); len(got) != 1 || !strings.HasPrefix(got[0], "store dead: reported by a test") {
		t.Errorf("degraded: %q", got)
	}
	g.open()
	<-d.done
	if err := closePebble(d.db); err != nil {
		t.Error(err)
	}
}

func TestAStallIsNotWaitedFor(t *testing.T) {
	g := &gatedFS{FS: vfs.NewMem()}
	o := memOptions(g)
	o.Stall = 50 * time.Millisecond
	s := mustOpen(t, o)
	defer g.open()
	g.shut()
	inv, keys := byName(registry.ModeHard, "first")
	err := s.Append(t.Context(), inv, registry.Applied{Position: 1, Keys: keys})
	if !errors.Is(err, registry.ErrNotDurable) {
		t.Errorf("Append while a commit stalls: %v", err)
	}
	poll(t, "the store is slow", func() bool { return s.Status().State == stateSlow })
	if got := s.Degraded(); len(got) != 1 || !strings.HasPrefix(got[0], "store slow: a commit takes") {
		t.Errorf("degraded: %q", got)
	}
	// Who comes now does not wait at all: with a context that never ends and a
	// commit that does not return, waiting would be for the whole limit.
	inv2, keys2 := byName(registry.ModeHard, "second")
	if err := s.Append(t.Context(), inv2, registry.Applied{Position: 2, Keys: keys2}); !errors.Is(err, registry.ErrNotDurable) || !strings.Contains(err.Error(), "already") {
		t.Errorf("Append after a stall was seen: %v", err)
	}
	if inv2.Seq != inv.Seq+1 {
		t.Errorf("sequences %d and %d", inv.Seq, inv2.Seq)
	}
	g.open()
	poll(t, "the store is well again", func() bool { return s.Status().State == stateOK && s.Stats().Queued == 0 })
	appendName(t, s, registry.ModeHard, 3, "third")
	var seqs []uint64
	if err := s.Range(s.Node(), s.Epoch(), 1, func(seq uint64, _ []byte) bool { seqs = append(seqs, seq); return true }); err != nil || len(seqs) != 3 {
		t.Errorf("records %v, %v; want those that were not waited for, too", seqs, err)
	}
}

func TestAppendWaitsNoLongerThanItsContext(t *testing.T) {
	g := &gatedFS{FS: vfs.NewMem()}
	o := memOptions(g)
	o.Stall = time.Hour
	s := mustOpen(t, o)
	defer g.open()
	g.shut()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		inv, keys := byName(registry.ModeHard, "web")
		done <- s.Append(ctx, inv, registry.Applied{Position: 1, Keys: keys})
	}()
	poll(t, "the commit hangs", func() bool { return g.waiting() > 0 })
	cancel()
	if err := <-done; !errors.Is(err, registry.ErrNotDurable) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestADirectoryTooFarBehindIsGivenUp(t *testing.T) {
	g := &gatedFS{FS: vfs.NewMem()}
	o := memOptions(g)
	o.Stall, o.Reopen = time.Millisecond, -1
	s := mustOpen(t, o)
	defer g.open()
	g.shut()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var err error
	for i := range maxQueued + maxRoundOps + 10 {
		inv, keys := byName(registry.ModeHard, "web")
		err = s.Append(ctx, inv, registry.Applied{Position: uint64(i), Keys: keys})
	}
	if !errors.Is(err, registry.ErrNotDurable) || !errors.Is(err, errDead) || s.Status().State != stateDead {
		t.Errorf("got %v, status %+v", err, s.Status())
	}
	if n := s.Stats().Queued; n != 0 {
		t.Errorf("%d changes are kept for a directory that is dead", n)
	}
}

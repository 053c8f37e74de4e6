package torture

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/edgecache/edgecache/store"
)

// A verifier checks what crashes left, on goroutines outside of the bubble of
// the test, so that each is looked at under a clock of its own: the wall clock
// may have been set back while the node was down.
type verifier struct {
	jobs    chan job
	workers sync.WaitGroup
	failure atomic.Pointer[error]
}

func newVerifier(t *testing.T, r *run) *verifier {
	v := &verifier{jobs: make(chan job, 4)}
	for range 2 {
		v.workers.Go(func() {
			for j := range v.jobs {
				if v.failed() != nil {
					continue
				}
				var err error
				synctest.Test(t, func(*testing.T) { err = j.check() })
				if err != nil {
					err = fmt.Errorf("%s: %w%s", j.name, err, j.hist.tail(6))
					v.failure.CompareAndSwap(nil, &err)
				}
				summary.add(r.test, j.kind, tally{crashes: 1, checked: 1})
			}
		})
	}
	return v
}

// failed returns the first violation.
func (v *verifier) failed() error {
	if err := v.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// end waits for all checks.
func (v *verifier) end() error {
	close(v.jobs)
	v.workers.Wait()
	return v.failed()
}

func (j *job) check() error {
	time.Sleep(time.Duration(j.rng.IntN(3*3600)) * time.Second)
	h, err := check(j.mem, j.hist, j.before)
	if err != nil || j.rng.IntN(4) > 0 {
		return err
	}
	// What was opened once opens again to the same, even if it was cut off too.
	if j.rng.IntN(2) == 0 {
		j.mem = newDisk(j.mem).crash(0, nil)
	}
	if _, err = check(j.mem, h, j.before); err != nil {
		return fmt.Errorf("opened again: %w", err)
	}
	return nil
}

// check opens a store on a file system and compares what it shows with a
// history. It returns the part of the history that is there.
func check(mem *vfs.MemFS, h history, before numbers) (history, error) {
	o := options(newDisk(mem).FS)
	log := keepLog(&o)
	s, err := store.Open(o)
	if err != nil {
		return h, fmt.Errorf("Open: %w", err)
	}
	found, err := checkOpen(s, h, before)
	if closing := s.Close(); closing != nil {
		err = errors.Join(err, fmt.Errorf("Close: %w", closing))
	}
	if err != nil {
		err = fmt.Errorf("%w\nlog:\n%s", err, log)
	}
	return found, err
}

// keepLog returns what a store will log.
func keepLog(o *store.Options) *lockedBuffer {
	log := new(lockedBuffer)
	keepLogIn(o, log)
	return log
}

func keepLogIn(o *store.Options, log *lockedBuffer) {
	o.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

type lockedBuffer struct {
	mu sync.Mutex // protects b
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func checkOpen(s *store.Store, h history, before numbers) (history, error) {
	if st := s.Status(); st.State != "ok" || st.Error != "" {
		return h, fmt.Errorf("a crash is taken for more: state %s, %s", st.State, st.Error)
	}
	if d := s.Degraded(); len(d) > 0 {
		return h, fmt.Errorf("degraded: %q", d)
	}
	switch {
	case len(h.ops) == 0:
		return h, before.hold(s, h) // it may have been cut off while it was begun
	case s.Directory() != 1:
		return h, fmt.Errorf("a crash cost the directory: %d is in use", s.Directory())
	}
	seen, err := observe(s)
	if err != nil {
		return h, err
	}
	found, diff := h.match(seen)
	if diff != "" {
		return h, errors.New(diff)
	}
	return found, before.hold(s, found)
}

// hold checks that the numbers of a store that was opened after a history lie
// above those before.
func (n *numbers) hold(s *store.Store, h history) error {
	if node := s.Node(); node == 0 || n.node != 0 && node != n.node {
		return fmt.Errorf("node %x became %x", n.node, node)
	}
	if slices.Contains(n.epochs, s.Epoch()) {
		return fmt.Errorf("epoch %x was used before", s.Epoch())
	}
	if newest := h.position(); s.Position() <= newest {
		return fmt.Errorf("position %d, but %d was used before", s.Position(), newest)
	}
	if index := s.Clock().Next(0); index <= n.index {
		return fmt.Errorf("the clock gives %d after %d", index, n.index)
	}
	if now := s.Now(); now < n.now {
		return fmt.Errorf("the time is %d after %d", now, n.now)
	}
	return nil
}

// position returns the newest position of anything that h put on disk.
func (h history) position() uint64 {
	newest := uint64(0)
	for _, o := range h.ops {
		if len(o.marked) > 0 {
			newest = max(newest, o.at)
		}
		for _, e := range o.put {
			newest = max(newest, e.Began)
		}
		for i := range o.confirm {
			newest = max(newest, o.confirm[i].Began)
		}
		for i := range o.changes {
			newest = max(newest, o.changes[i].applied.Position)
		}
	}
	return newest
}

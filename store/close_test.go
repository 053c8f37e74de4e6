package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/edgecache/edgecache/registry"
)

func TestCloseCommitsWhatIsQueued(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	g := &gatedFS{FS: vfs.NewMem()}
	o := memOptions(g)
	o.Stall = time.Millisecond
	s := mustOpen(t, o)
	g.shut()
	for i := range 20 {
		inv, keys := byName(registry.ModeHard, "web")
		if err := s.Append(t.Context(), inv, registry.Applied{Position: uint64(i + 1), Keys: keys}); !errors.Is(err, registry.ErrNotDurable) {
			t.Fatal(err)
		}
	}
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	poll(t, "Close has begun", func() bool { return s.closed.Load() })
	g.open()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	again := mustOpen(t, o)
	if got := again.Status().Journal; got != 20 {
		t.Errorf("%d records after Close, want 20", got)
	}
	mustClose(t, again)
}

func TestCloseDoesNotWaitForADiskThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gatedFS{FS: vfs.NewMem()}
		s, err := open(memOptions(g), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		g.shut()
		inv, keys := byName(registry.ModeHard, "web")
		if err := s.Append(t.Context(), inv, registry.Applied{Position: 1, Keys: keys}); !errors.Is(err, registry.ErrNotDurable) {
			t.Fatal(err)
		}
		began := time.Now()
		if err := s.Close(); err == nil || !strings.Contains(err.Error(), "does not answer") {
			t.Errorf("Close: %v; want an error that says why", err)
		}
		if took := time.Since(began); took > closeLimit {
			t.Errorf("Close took %s, want %s at most", took, closeLimit)
		}
		g.open() // lets all that is left end
	})
}

// TestCloseWhileInUse has all methods called while the store closes: nothing
// of a database that is closed may be touched.
func TestCloseWhileInUse(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for range 20 {
		s := mustOpen(t, memOptions(vfs.NewMem()))
		mustWrite(t, s, []*registry.Stored{stored("web", "a", 1, 1)}, nil)
		var wg sync.WaitGroup
		var begun sync.WaitGroup
		for i, call := range []func(n int) error{
			func(int) error { _, err := s.Get(testKey("web")); return err },
			func(int) error { return s.Scan("consul", "", func(*registry.Stored) bool { return true }) },
			func(n int) error { return s.Write(1, []*registry.Stored{stored(fmt.Sprint(n), "a", 1, 1)}, nil, nil) },
			func(int) error { return s.Range(s.Node(), s.Epoch(), 1, func(uint64, []byte) bool { return true }) },
			func(n int) error { return s.Truncate(s.Node(), s.Epoch(), uint64(n)) },
			func(n int) error { return s.Mark([]registry.Key{testKey("web")}, registry.ModeSoft, uint64(n)) },
			func(n int) error {
				inv, keys := byName(registry.ModeSoft, "web")
				return s.Append(context.Background(), inv, registry.Applied{Position: uint64(n), Keys: keys})
			},
			func(int) error { s.Status(); s.Stats(); s.Degraded(); s.Directory(); return nil },
		} {
			begun.Add(1)
			wg.Go(func() {
				for n := 1; ; n++ {
					err := call(n)
					if n == 3 {
						begun.Done()
					}
					if errors.Is(err, errClosed) || err == nil && s.closed.Load() {
						return
					}
					if err != nil {
						t.Errorf("call %d: %v", i, err)
						return
					}
				}
			})
		}
		begun.Wait()
		mustClose(t, s)
		wg.Wait()
	}
}

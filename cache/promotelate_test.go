package cache_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
)

func TestDiskThatHangsCostsALookupItsPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := tagged()
		s, start := onDisk(t, f, nil)
		c := start()
		release := s.stop("get")
		began := time.Now()
		a, err := c.Lookup(t.Context(), query("web"))
		if waited := time.Since(began); err != nil || a.Stale || waited > 25*time.Millisecond {
			t.Errorf("first lookup: %s after %s, want it from the registry after 25ms", describe(a, err), waited)
		}
		for i := range 300 {
			began = time.Now()
			name := fmt.Sprint("n", i)
			c.Lookup(t.Context(), query(name))
			c.Lookup(t.Context(), query(name))
			if waited := time.Since(began); waited > 25*time.Millisecond || i > 130 && waited > 0 {
				t.Fatalf("lookup %d took %s", i, waited)
			}
		}
		if got := s.called("get"); got > 130 {
			t.Errorf("%d reads hang, want at most 128", got)
		}
		release()
		closeCache(t, c)
	})
}

func TestLookupThatCanHaveNothingElseWaitsForTheDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := tagged()
		s, start := onDisk(t, f, nil)
		f.SetError(errors.New("down"))
		c := start()
		for i := range 6 {
			c.Lookup(t.Context(), query(fmt.Sprint("other", i))) // opens the breaker
		}
		release := s.stop("get")
		var callers sync.WaitGroup
		for _, only := range []bool{true, false} {
			q := query("web")
			q.OnlyCached = only
			callers.Go(func() {
				began := time.Now()
				if a, err := c.Lookup(t.Context(), q); err != nil || !a.Stale || time.Since(began) < time.Second {
					t.Errorf("only cached=%t: %s after %s, want what the disk has", only, describe(a, err), time.Since(began))
				}
			})
		}
		time.Sleep(time.Second)
		release()
		callers.Wait()
		closeCache(t, c)
	})
}

func TestWhatTheDiskBringsLateIsServedIfTheRegistryFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := tagged()
		s, start := onDisk(t, f, nil)
		f.SetDelay(100 * time.Millisecond)
		f.SetError(errors.New("down"))
		c := start()
		release := s.stop("get")
		if _, err := c.Lookup(t.Context(), query("web")); err == nil {
			t.Error("answered by nobody")
		}
		time.Sleep(20 * time.Second) // the registry is asked again
		time.AfterFunc(150*time.Millisecond, release)
		if a, err := c.Lookup(t.Context(), query("web")); err != nil || !a.Stale || a.Details&registry.DetailDisk == 0 {
			t.Errorf("%s, want it from disk", describe(a, err))
		}
		calls := f.Calls("web")
		if a, err := c.Lookup(t.Context(), query("web")); err != nil || !a.Stale || f.Calls("web") != calls {
			t.Errorf("%s after %d more calls; the registry has just failed", describe(a, err), f.Calls("web")-calls)
		}
		closeCache(t, c)
	})
}

func TestWhatTheDiskBringsLateReplacesNothingNewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := tagged()
		s, start := onDisk(t, f, nil)
		f.Put("web", instance("b"))
		c := start()
		release := s.stop("get")
		first, err := c.Lookup(t.Context(), query("web"))
		if err != nil || ids(first) != "b" {
			t.Fatal(describe(first, err))
		}
		for _, evicted := range []bool{false, true} {
			if evicted {
				cache.Squeeze(c)
			}
			release()
			synctest.Wait()
			a, err := cached(c, "web")
			if err != nil || ids(a) != "b" || a.Index < first.Index {
				t.Errorf("evicted=%t: %s index %d, want b and an index of at least %d", evicted, describe(a, err), a.Index, first.Index)
			}
		}
		closeCache(t, c)
	})
}

func TestNewerRecordThatLeftMemoryIsNotReplacedByWhatWasReadBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := tagged()
		s, start := onDisk(t, f, nil)
		f.Put("web", instance("b"))
		c := start()
		release := s.stopDone("get")
		if a, err := c.Lookup(t.Context(), query("web")); err != nil || ids(a) != "b" {
			t.Fatal(describe(a, err))
		}
		synctest.Wait() // b is written, a is read
		cache.Squeeze(c)
		release()
		synctest.Wait()
		if a, err := cached(c, "web"); err != nil || ids(a) != "b" {
			t.Errorf("%s, want b", describe(a, err))
		}
		closeCache(t, c)
	})
}

package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

func TestWhatWaitsToBeWrittenIsFoundWithoutARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := tagged()
		s := newMapStore()
		c := openOver(t, s, nil, unwatched("r", f))
		release := s.stop("write")
		c.Lookup(t.Context(), query("web"))
		f.Put("other", instance("o"))
		c.Lookup(t.Context(), query("other"))
		synctest.Wait() // one is being written, the other waits
		reads := s.called("get")
		cache.Squeeze(c)
		f.SetError(errors.New("down"))
		for _, name := range []string{"web", "other"} {
			if a, err := cached(c, name); err != nil || !a.Stale || a.Details&registry.DetailDisk == 0 {
				t.Errorf("%s: %s, want it stale", name, describe(a, err))
			}
		}
		cache.Squeeze(c)
		invalidate(t, c, registry.ModeHard, web, registry.Selector{Key: registry.Key{Name: "other"}})
		for _, name := range []string{"web", "other"} {
			if a, err := cached(c, name); err == nil {
				t.Errorf("%s after a hard invalidation: %s", name, describe(a, err))
			}
		}
		if got := s.called("get"); got != reads {
			t.Errorf("%d reads of the disk", got-reads)
		}
		release()
		closeCache(t, c)
	})
}

func TestNameThatNobodyHasIsReadFromDiskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := tagged()
		s, start := onDisk(t, f, nil)
		f.SetError(errors.New("down"))
		c := start()
		before := s.called("get")
		for range 20 {
			if _, err := c.Lookup(t.Context(), query("nobody")); err == nil {
				t.Error("found")
			}
		}
		if got := s.called("get") - before; got != 1 {
			t.Errorf("%d reads of a name that the disk does not have, want 1", got)
		}
		closeCache(t, c)
	})
}

func TestWhatAFetchFoundOnDiskIsFoundThereAgainWhenMemoryLostIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := tagged()
		_, start := onDisk(t, f, nil)
		f.SetError(errors.New("down"))
		f.SetDelay(time.Second)
		c := start()
		done := make(chan struct{})
		go func() {
			defer close(done)
			if r, err := c.Refresh(t.Context(), []registry.Selector{web}); err != nil {
				t.Error(r, err)
			}
		}()
		synctest.Wait() // the registry is asked
		for _, when := range []string{"while the registry is asked", "after it failed"} {
			cache.Squeeze(c)
			if when == "after it failed" {
				<-done
			}
			if a, err := cached(c, "web"); err != nil || !a.Stale || a.Details&registry.DetailDisk == 0 {
				t.Errorf("%s: %s, want what the disk has", when, describe(a, err))
			}
		}
		closeCache(t, c)
	})
}

func TestLiveListProvesAbsenceWithoutARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := tagged()
		s := newMapStore()
		c := openOver(t, s, nil, watched("r", f))
		synctest.Wait()
		if _, err := c.Lookup(t.Context(), query("nobody")); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("%v, want not found", err)
		}
		if got := s.called("get"); got != 0 {
			t.Errorf("%d reads", got)
		}
		closeCache(t, c)
	})
}

func TestCancelledLookupLeavesTheReadToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := tagged()
		s, start := onDisk(t, f, nil)
		f.SetError(errors.New("down"))
		c := start()
		release := s.stop("get")
		ctx, cancel := context.WithCancel(t.Context())
		q := query("web")
		q.OnlyCached = true
		var callers sync.WaitGroup
		callers.Go(func() { c.Lookup(ctx, q) })
		callers.Go(func() {
			if a, err := c.Lookup(t.Context(), q); err != nil || ids(a) != "a" {
				t.Error(describe(a, err))
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		release()
		callers.Wait()
		if got := s.called("get"); got != 2 { // one for the cache that wrote it
			t.Errorf("%d reads, want one shared", got-1)
		}
		closeCache(t, c)
	})
}

func TestReadThatHangsIsWaitedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := tagged()
		s, start := onDisk(t, f, nil)
		f.SetDelay(time.Second)
		c := start()
		release := s.stop("get")
		var callers sync.WaitGroup
		callers.Go(func() { c.Lookup(t.Context(), query("web")) })
		time.Sleep(time.Second + 20*time.Millisecond)
		// Its fetch ends in 5 ms.
		began := time.Now()
		if a, err := c.Lookup(t.Context(), query("web")); err != nil || time.Since(began) > 5*time.Millisecond {
			t.Errorf("%s after %s", describe(a, err), time.Since(began))
		}
		callers.Wait()
		release()
		closeCache(t, c)
	})
}

func TestFetchUnderWayIsNotReadFromDiskAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := tagged()
		f.Put("new", instance("a"))
		s, start := onDisk(t, f, nil)
		f.SetDelay(time.Second)
		c := start()
		before := s.called("get")
		var callers sync.WaitGroup
		for range 50 {
			callers.Go(func() { c.Lookup(t.Context(), query("new")) })
			synctest.Wait()
		}
		callers.Wait()
		if got := s.called("get") - before; got != 1 {
			t.Errorf("%d reads during one fetch, want 1", got)
		}
		closeCache(t, c)
	})
}

func TestEntryOfAnotherKindIsNotServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := tagged()
		s, _ := onDisk(t, f, nil)
		f.SetError(errors.New("down"))
		r := unwatched("r", f)
		r.Kind = registry.KindAgent
		c := openOver(t, s, nil, r)
		if a, err := cached(c, "web"); err == nil {
			t.Errorf("%s, kind %s", describe(a, err), a.Record.Kind)
		}
		synctest.Wait()
		if s.names() != "" {
			t.Errorf("%q is left on disk", s.names())
		}
		closeCache(t, c)
	})
}

func TestManyNamesAreReadAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := registrytest.NewFake("r"), newMapStore()
		c := openOver(t, s, nil, unwatched("r", f))
		const names = 1000
		for i := range names {
			key := registry.Key{Registry: "r", Name: fmt.Sprint("n", i)}
			c.Upsert(t.Context(), &registry.Record{Key: key, Wishes: registry.NoWishes})
		}
		synctest.Wait()
		closeCache(t, c)
		f.SetError(errors.New("down"))
		c = openOver(t, s, nil, unwatched("r", f))
		time.Sleep(time.Minute)
		s.mu.Lock()
		reading, most := 0, 0
		s.hold = func(_ string, _ registry.Key, do func()) {
			s.mu.Lock()
			reading++
			most = max(most, reading)
			s.mu.Unlock()
			time.Sleep(time.Millisecond)
			do()
			s.mu.Lock()
			reading--
			s.mu.Unlock()
		}
		s.mu.Unlock()
		var callers sync.WaitGroup
		for i := range names {
			callers.Go(func() {
				if a, err := c.Lookup(t.Context(), query(fmt.Sprint("n", i))); err != nil || !a.Stale {
					t.Errorf("n%d: %s", i, describe(a, err))
				}
			})
		}
		callers.Wait()
		if most != 128 {
			t.Errorf("%d reads at once, want 128", most)
		}
		closeCache(t, c)
	})
}

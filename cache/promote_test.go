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

// tagged returns a registry that has web, with the tag x.
func tagged() *registrytest.Fake {
	f := registrytest.NewFake("r")
	f.PutRecord(&registry.Record{Key: registry.Key{Name: "web"}, Instances: []registry.Instance{instance("a")}, Tags: []string{"x"}, Wishes: registry.NoWishes})
	return f
}

// onDisk returns a store that has web of the registry, and a function that
// opens a cache over it.
func onDisk(t *testing.T, f *registrytest.Fake, change func(*cache.Options)) (*mapStore, func() *cache.Cache) {
	t.Helper()
	s := newMapStore()
	start := func() *cache.Cache { return openOver(t, s, change, unwatched("r", f)) }
	c := start()
	if _, err := c.Lookup(t.Context(), query("web")); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	closeCache(t, c)
	if s.names() != "web" {
		t.Fatalf("%q on disk, want web", s.names())
	}
	return s, start
}

var everySelector = []registry.Selector{web, {Key: registry.Key{Registry: "r", Name: "web"}}, {Prefix: "w"}, {Tag: "x"},
	{Key: registry.Key{Registry: "r"}}, {All: true}, {Key: registry.Key{Registry: "m"}}, {Key: registry.Key{Registry: "m", Name: "web"}}}

// What is on disk honours an invalidation, wherever it was when that came: in
// memory, on disk, being read, or on the disk of a node that was down.
func TestInvalidationCoversWhatIsOnDisk(t *testing.T) {
	when := map[string]func(t *testing.T, s *mapStore, start func() *cache.Cache, invalidate func(*cache.Cache)) (*cache.Cache, func()){
		"in memory, then evicted": func(t *testing.T, _ *mapStore, start func() *cache.Cache, invalidate func(*cache.Cache)) (*cache.Cache, func()) {
			c := start()
			cached(c, "web")
			invalidate(c)
			cache.Squeeze(c)
			return c, nil
		},
		"on disk only": func(_ *testing.T, _ *mapStore, start func() *cache.Cache, invalidate func(*cache.Cache)) (*cache.Cache, func()) {
			c := start()
			invalidate(c)
			return c, nil
		},
		"being read": func(t *testing.T, s *mapStore, start func() *cache.Cache, invalidate func(*cache.Cache)) (*cache.Cache, func()) {
			c := start()
			release := s.stop("get")
			go cached(c, "web")
			synctest.Wait()
			s.mu.Lock()
			s.hold = nil
			s.mu.Unlock()
			invalidate(c)
			return c, release
		},
		"before a restart": func(t *testing.T, _ *mapStore, start func() *cache.Cache, invalidate func(*cache.Cache)) (*cache.Cache, func()) {
			c := start()
			invalidate(c)
			closeCache(t, c)
			return start(), nil
		},
	}
	for what, do := range when {
		for _, mode := range []registry.Mode{registry.ModeSoft, registry.ModeVerify, registry.ModeHard} {
			for _, sel := range everySelector {
				t.Run(fmt.Sprintf("%s/%s %+v", what, mode, sel), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						f := tagged()
						s := newMapStore()
						start := func() *cache.Cache {
							return openOver(t, s, nil, unwatched("r", f), cache.Registry{Name: "m", Kind: registry.KindService, Of: []string{"r"}})
						}
						c := start()
						c.Lookup(t.Context(), query("web"))
						synctest.Wait()
						closeCache(t, c)
						f.SetError(errors.New("down"))
						c, release := do(t, s, start, func(c *cache.Cache) { invalidate(t, c, mode, sel) })
						if release != nil {
							release()
							synctest.Wait()
						}
						coveredAnswer(t, c, mode)
						closeCache(t, c)
					})
				})
			}
		}
	}
}

// coveredAnswer asserts what is said of web, which an invalidation covers.
func coveredAnswer(t *testing.T, c *cache.Cache, mode registry.Mode) {
	t.Helper()
	a, err := cached(c, "web")
	if mode == registry.ModeHard {
		if !errors.Is(err, registry.ErrNotCached) {
			t.Errorf("only cached: %s, want nothing", describe(a, err))
		}
		return
	}
	if err != nil || !a.Stale || a.Details&registry.DetailDisk == 0 || a.Details&registry.DetailInvalidated == 0 {
		t.Errorf("only cached: %s, want it stale, from disk and invalidated", describe(a, err))
	}
	if a, err := c.Lookup(t.Context(), query("web")); err != nil || !a.Stale {
		t.Errorf("with the registry down: %s, want it stale", describe(a, err))
	}
}

// A soft one is served at once, one to verify only if the registry does not
// answer.
func TestModeOfAnInvalidationOnDiskDecidesWhetherTheRegistryIsWaitedFor(t *testing.T) {
	for _, mode := range []registry.Mode{registry.ModeSoft, registry.ModeVerify} {
		synctest.Test(t, func(t *testing.T) {
			f := tagged()
			_, start := onDisk(t, f, nil)
			c := start()
			invalidate(t, c, mode, registry.Selector{Tag: "x"})
			f.SetDelay(time.Second)
			began := time.Now()
			a, err := c.Lookup(t.Context(), query("web"))
			waited := time.Since(began)
			switch {
			case mode == registry.ModeSoft && (err != nil || !a.Stale || waited > 0):
				t.Errorf("soft: %s after %s, want it stale at once", describe(a, err), waited)
			case mode == registry.ModeVerify && (err != nil || a.Stale || waited < time.Second):
				t.Errorf("verify: %s after %s, want it fresh from the registry", describe(a, err), waited)
			}
			closeCache(t, c)
		})
	}
}

func TestAnswerFromDiskIsStaleUntilTheRegistryConfirmedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := tagged()
		_, start := onDisk(t, f, func(o *cache.Options) { o.TTL = time.Hour })
		f.SetError(errors.New("down"))
		time.Sleep(10 * time.Second)
		c := start()
		a, err := c.Lookup(t.Context(), query("web"))
		if err != nil || !a.Stale || !a.Hit || a.Age != 10*time.Second || a.Details&registry.DetailDisk == 0 {
			t.Errorf("registry down: %s, want it stale, from disk, 10s old", describe(a, err))
		}
		index := a.Index
		f.SetError(nil)
		time.Sleep(time.Minute)
		if _, err := c.Lookup(t.Context(), query("web")); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		a, err = c.Lookup(t.Context(), query("web"))
		if err != nil || a.Stale || a.Details != 0 || a.Index != index || a.Age >= time.Minute {
			t.Errorf("registry back: %s, want it fresh under index %d", describe(a, err), index)
		}
		if got := c.Stats(); got.Unchanged == 0 || got.Persisted.Confirmed != 1 || got.Persisted.Written != 0 {
			t.Errorf("%+v; want the fetch conditional, and its confirmation alone written", got)
		}
		closeCache(t, c)
	})
}

func TestAnswerFromDiskIsVerifiedWhileTheRegistryIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := tagged()
		_, start := onDisk(t, f, func(o *cache.Options) { o.TTL = time.Hour })
		f.Put("web", instance("b"))
		c := start()
		if a, err := c.Lookup(t.Context(), query("web")); err != nil || a.Stale || ids(a) != "b" {
			t.Errorf("registry up: %s; want b, fresh", describe(a, err))
		}
		closeCache(t, c)
		f.SetDelay(time.Second)
		c = start()
		if a, err := c.Lookup(t.Context(), query("web")); err != nil || !a.Stale || a.Details&registry.DetailVerifyTimeout == 0 {
			t.Errorf("registry slow: %s; want it stale after verify", describe(a, err))
		}
		closeCache(t, c)
	})
}

func TestAnswerFromDiskIsNeverOlderThanItsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := tagged()
		_, start := onDisk(t, f, func(o *cache.Options) { o.StaleIfError = time.Hour })
		f.SetError(errors.New("down"))
		time.Sleep(time.Hour - time.Second)
		c := start()
		if a, err := cached(c, "web"); err != nil || a.Age != time.Hour-time.Second {
			t.Errorf("just within: %s age %s", describe(a, err), a.Age)
		}
		closeCache(t, c)
		time.Sleep(2 * time.Second)
		c = start()
		if a, err := cached(c, "web"); err == nil {
			t.Errorf("older than stale_if_error: %s", describe(a, err))
		}
		closeCache(t, c)
	})
}

func TestEventWithTheSameContentConfirmsWhatCameFromDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := tagged()
		f.Caps.WatchList = false
		_, start := onDisk(t, f, nil)
		c := start()
		if a, err := cached(c, "web"); err != nil || !a.Stale {
			t.Fatalf("before: %s", describe(a, err))
		}
		rec, _ := f.Lookup(t.Context(), "web", nil)
		rec.Key = registry.Key{Registry: "r", Name: "web"}
		if err := c.Upsert(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		if a, err := cached(c, "web"); err != nil || a.Stale || a.Details != 0 {
			t.Errorf("after the event: %s, want it fresh", describe(a, err))
		}
		closeCache(t, c)
	})
}

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

func TestIndexNeverFallsBelowThatOfAnAbsenceThatWasForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := tagged()
		s, start := onDisk(t, f, nil)
		f.Remove("web")
		c := start()
		release := s.stop("get")
		gone, err := c.Lookup(t.Context(), query("web"))
		if !errors.Is(err, registry.ErrNotFound) {
			t.Fatal(describe(gone, err))
		}
		release()
		synctest.Wait()
		cache.Squeeze(c)
		if a, err := cached(c, "web"); err != nil || a.Index <= gone.Index {
			t.Errorf("%s index %d, want it above %d", describe(a, err), a.Index, gone.Index)
		}
		closeCache(t, c)
	})
}

func TestIndexNeverFallsBelowThatOfARecordThatWasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := tagged()
		s, start := onDisk(t, f, nil)
		f.Put("web", instance("b"))
		c := start()
		s.breakDown("write", errors.New("no space left on device"))
		lost, err := c.Lookup(t.Context(), query("web"))
		if err != nil || ids(lost) != "b" {
			t.Fatal(describe(lost, err))
		}
		synctest.Wait()
		cache.Squeeze(c)
		a, err := cached(c, "web")
		if err != nil || ids(a) != "a" || !a.Stale || a.Index <= lost.Index {
			t.Errorf("%s index %d, want a, stale, above %d", describe(a, err), a.Index, lost.Index)
		}
		closeCache(t, c)
	})
}

func TestFirstFetchAfterARestartIsSuspiciousOfEmptyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := tagged()
		_, start := onDisk(t, f, nil)
		f.Vanish("web")
		c := start()
		if _, err := c.Refresh(t.Context(), []registry.Selector{web}); err != nil {
			t.Fatal(err)
		}
		if a, err := c.Lookup(t.Context(), query("web")); err != nil || ids(a) != "a" || a.Details&registry.DetailEmptyUnconfirmed == 0 {
			t.Errorf("%s, want what the disk had, kept", describe(a, err))
		}
		closeCache(t, c)
	})
}

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

package cache_test

import (
	"errors"
	"fmt"
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

package cache_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

// used fills a store with n0 to n99, of which n0 to n9 were asked for lately.
func used(t *testing.T) (*mapStore, *registrytest.Fake) {
	t.Helper()
	f, s := registrytest.NewFake("r"), newMapStore()
	c := openOver(t, s, nil, unwatched("r", f))
	for i := range 100 {
		f.Put(fmt.Sprint("n", i), instance("a"))
		c.Lookup(t.Context(), query(fmt.Sprint("n", i)))
	}
	time.Sleep(3 * time.Hour)
	for i := range 10 {
		c.Lookup(t.Context(), query(fmt.Sprint("n", i)))
	}
	time.Sleep(time.Minute)
	closeCache(t, c)
	f.SetError(errors.New("down"))
	return s, f
}

func TestRestartLoadsWhatIsConfigured(t *testing.T) {
	for what, test := range map[string]struct {
		change func(*cache.Registry)
		want   int
	}{
		"nothing":     {func(*cache.Registry) {}, 0},
		"all":         {func(r *cache.Registry) { r.WarmAll = true }, 100},
		"in use":      {func(r *cache.Registry) { r.WarmWatched = true }, 10},
		"names":       {func(r *cache.Registry) { r.Warm = []string{"n50", "n51", "unknown"} }, 2},
		"covered":     {func(r *cache.Registry) { r.WarmAll, r.Services = true, []string{"n1*"} }, 11},
		"both":        {func(r *cache.Registry) { r.WarmWatched, r.Warm = true, []string{"n50"} }, 11},
		"idle longer": {func(r *cache.Registry) { d := 4 * time.Hour; r.WarmWatched, r.Overrides.Idle = true, &d }, 100},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, f := used(t)
				r := unwatched("r", f)
				test.change(&r)
				c := openOver(t, s, nil, r)
				synctest.Wait()
				held := 0
				gets := s.called("get")
				s.renew(0) // from here on memory alone answers
				for i := range 100 {
					a, err := cached(c, fmt.Sprint("n", i))
					switch {
					case err == nil && a.Stale && a.Age > 30*time.Second && a.Details&registry.DetailDisk > 0:
						held++
					case err == nil:
						t.Errorf("n%d: %s, %s old", i, describe(a, err), a.Age)
					}
				}
				if held != test.want || s.called("get") != gets {
					t.Errorf("%d entries are in memory, want %d", held, test.want)
				}
				closeCache(t, c)
			})
		})
	}
}

func TestNamesInUseBeforeTheRestartAreFetchedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := used(t)
		f.SetError(nil)
		f.SetDelay(time.Second)
		r := unwatched("r", f)
		r.WarmWatched = true
		calls := f.Calls("")
		c := openOver(t, s, nil, r)
		synctest.Wait()
		if ready, _ := c.Ready(); ready {
			t.Error("ready before what was in use is fetched")
		}
		time.Sleep(3 * time.Second)
		if ready, _ := c.Ready(); !ready || f.Calls("")-calls != 10 {
			t.Errorf("ready=%t after %d calls, want ready after 10", ready, f.Calls("")-calls)
		}
		if a, err := cached(c, "n5"); err != nil || a.Stale || a.Details != 0 {
			t.Errorf("n5: %s, want it fresh", describe(a, err))
		}
		if got := c.Stats(); got.Unchanged != 10 {
			t.Errorf("%d of the fetches were conditional, want all 10", got.Unchanged)
		}
		closeCache(t, c)
	})
}

func TestDiskThatHangsHoldsUpNoStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := used(t)
		f.SetError(nil)
		release := s.stop("scan")
		r := unwatched("r", f)
		r.WarmAll = true
		c := openOver(t, s, nil, r)
		time.Sleep(time.Minute)
		if ready, _ := c.Ready(); !ready {
			t.Error("not ready: the first load waits for the disk")
		}
		if a, err := c.Lookup(t.Context(), query("n5")); err != nil || !a.Hit {
			t.Errorf("n5: %s", describe(a, err))
		}
		release()
		closeCache(t, c)
	})
}

func TestRestartLoadsNoMoreThanMemoryHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := registrytest.NewFake("r"), newMapStore()
		c := openOver(t, s, nil, unwatched("r", f))
		for i := range 4000 {
			rec := &registry.Record{Key: registry.Key{Registry: "r", Name: fmt.Sprintf("n%04d", i)}, Instances: []registry.Instance{instance("a")}, Wishes: registry.NoWishes}
			c.Upsert(t.Context(), rec)
		}
		synctest.Wait()
		closeCache(t, c)
		f.SetError(errors.New("down"))
		r := unwatched("r", f)
		r.WarmAll = true
		c = openOver(t, s, func(o *cache.Options) { o.Memory = 1 << 20 }, r)
		synctest.Wait()
		m, loaded := c.Memory(), c.Stats().Persisted.Loaded
		if m.Bytes > m.Limit || m.Bytes < m.Limit/2 || loaded > 2*uint64(m.Entries) {
			t.Errorf("%d entries loaded, %d of %d bytes in use by %d", loaded, m.Bytes, m.Limit, m.Entries)
		}
		if a, err := cached(c, "n3999"); err != nil {
			t.Errorf("what was not loaded is not read: %s", describe(a, err))
		}
		closeCache(t, c)
	})
}

func TestLoadedEntryHonoursInvalidations(t *testing.T) {
	for _, mode := range []registry.Mode{registry.ModeSoft, registry.ModeVerify, registry.ModeHard} {
		for _, during := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				f := tagged()
				s, start := onDisk(t, f, nil)
				f.SetError(errors.New("down"))
				if !during {
					c := start()
					invalidate(t, c, mode, web)
					closeCache(t, c)
				}
				release := s.stopDone("scan")
				r := unwatched("r", f)
				r.WarmAll = true
				c := openOver(t, s, nil, r)
				synctest.Wait()
				if during {
					invalidate(t, c, mode, web)
				}
				release()
				synctest.Wait()
				if loaded := c.Stats().Persisted.Loaded; loaded != 1 && mode != registry.ModeHard {
					t.Errorf("%d loaded", loaded)
				}
				coveredAnswer(t, c, mode)
				closeCache(t, c)
			})
		}
	}
}

func TestLoadReplacesNothingNewer(t *testing.T) {
	for _, evicted := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := tagged()
			s, start := onDisk(t, f, nil)
			_ = start
			f.Put("web", instance("b"))
			release := s.stopDone("scan")
			r := unwatched("r", f)
			r.WarmAll = true
			c := openOver(t, s, nil, r)
			synctest.Wait()
			if a, err := c.Lookup(t.Context(), query("web")); err != nil || ids(a) != "b" {
				t.Fatal(describe(a, err))
			}
			synctest.Wait()
			if evicted {
				cache.Squeeze(c)
			}
			release()
			synctest.Wait()
			if a, err := cached(c, "web"); err != nil || ids(a) != "b" {
				t.Errorf("evicted=%t: %s, want b", evicted, describe(a, err))
			}
			closeCache(t, c)
		})
	}
}

func TestEntriesOfAnotherRegistryAreNotCompared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := tagged(), newMapStore()
		for range 50 {
			f.Put("web", instance("old")) // a high revision
		}
		r := unwatched("r", f)
		r.Identity = "https://user:secret@registry.example"
		c := openOver(t, s, nil, r)
		c.Lookup(t.Context(), query("web"))
		synctest.Wait()
		closeCache(t, c)
		if id, _ := s.Identity("r"); id == "" || strings.Contains(id, "secret") {
			t.Errorf("identity on disk: %q", id)
		}
		other := registrytest.NewFake("r")
		other.Put("web", instance("new"))
		moved := unwatched("r", other)
		moved.Identity = "https://elsewhere.example"
		for i, want := range []string{"moved", "still moved"} {
			c = openOver(t, s, func(o *cache.Options) { o.Verify = time.Second }, moved)
			if i == 0 {
				if a, err := cached(c, "web"); err != nil || ids(a) != "old" || !a.Stale {
					t.Errorf("%s: %s; want old, stale", want, describe(a, err))
				}
				synctest.Wait()
			}
			if i == 1 {
				if a, err := c.Lookup(t.Context(), query("web")); err != nil || ids(a) != "new" || a.Stale {
					t.Errorf("%s: %s; want new at once, though its revision is lower", want, describe(a, err))
				}
				if got := c.Stats().Unchanged; got != 0 {
					t.Errorf("%s: %d conditional fetches", want, got)
				}
			}
			closeCache(t, c)
		}
	})
}

func TestReloadTellsTheDiskOfAnotherRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := tagged(), newMapStore()
		for range 50 {
			f.Put("web", instance("old"))
		}
		c := openOver(t, s, nil, unwatched("r", f))
		c.Lookup(t.Context(), query("web"))
		synctest.Wait()
		before, _ := s.Identity("r")
		other := registrytest.NewFake("r")
		other.SetError(errors.New("down"))
		moved := unwatched("r", other)
		moved.Identity = "https://elsewhere.example"
		if err := c.Reload([]cache.Registry{moved}, cache.Defaults()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if after, _ := s.Identity("r"); after == before {
			t.Error("the identity on disk is that from before")
		}
		closeCache(t, c)
		other.SetError(nil)
		other.Put("web", instance("new"))
		c = openOver(t, s, func(o *cache.Options) { o.Verify = time.Second }, moved)
		if a, err := c.Lookup(t.Context(), query("web")); err != nil || ids(a) != "new" || a.Stale {
			t.Errorf("after a restart: %s; want new at once, though its revision is lower", describe(a, err))
		}
		closeCache(t, c)
	})
}

func TestEntriesOfARegistryThatIsGoneLeaveTheDisk(t *testing.T) {
	for _, restart := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f, g, s := tagged(), tagged(), newMapStore()
			both := []cache.Registry{unwatched("r", f), unwatched("gone", g)}
			c := openOver(t, s, nil, both...)
			for _, name := range []string{"r", "gone"} {
				q := query("web")
				q.Registry = name
				c.Lookup(t.Context(), q)
			}
			synctest.Wait()
			if s.names() != "web web" {
				t.Fatalf("%q on disk", s.names())
			}
			if restart {
				closeCache(t, c)
				c = openOver(t, s, nil, both[0])
			} else if err := c.Reload(both[:1], cache.Defaults()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if s.names() != "web" {
				t.Errorf("restart=%t: %q on disk, want what r says of web", restart, s.names())
			}
			closeCache(t, c)
			g.SetError(errors.New("down"))
			c = openOver(t, s, nil, both...)
			q := query("web")
			q.Registry = "gone"
			if a, err := c.Lookup(t.Context(), q); err == nil {
				t.Errorf("restart=%t: %s of a registry that was gone", restart, describe(a, err))
			}
			closeCache(t, c)
		})
	}
}

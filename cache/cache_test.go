package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// instance returns a passing instance with that id.
func instance(id string) registry.Instance {
	return registry.Instance{ID: id, Health: registry.HealthPassing, Weight: registry.DefaultWeight,
		Endpoints: []registry.Endpoint{{Address: "10.0.0.1", Port: 8080}}}
}

// open returns an open cache that the test closes.
func open(t testing.TB, change func(*cache.Options), list ...cache.Registry) *cache.Cache {
	t.Helper()
	o := cache.Defaults()
	o.Jitter = 0
	o.Registries = list
	if change != nil {
		change(&o)
	}
	c, err := cache.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return c
}

// unwatched returns a registry over a fake that is asked only, never followed.
func unwatched(name string, f *registrytest.Fake) cache.Registry {
	return cache.Registry{Name: name, Type: "fake", Kind: registry.KindService, Source: f}
}

func watched(name string, f *registrytest.Fake) cache.Registry {
	r := unwatched(name, f)
	r.Watch = true
	return r
}

func query(name string) *registry.Query {
	return &registry.Query{Name: name, MaxAge: -1, Timeout: 5 * time.Second, Select: registry.DefaultSelect}
}

func ids(a registry.Answer) string {
	if a.Record == nil {
		return "-"
	}
	s := ""
	for i, in := range a.Record.Instances {
		if i > 0 {
			s += ","
		}
		s += in.ID
	}
	return s
}

func TestTenThousandConcurrentMissesMakeOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := registrytest.NewFake("r")
		f.Put("web", instance("a"))
		f.SetDelay(time.Second)
		c := open(t, nil, unwatched("r", f))
		var callers sync.WaitGroup
		for range 10_000 {
			callers.Go(func() {
				if a, err := c.Lookup(t.Context(), query("web")); err != nil || ids(a) != "a" {
					t.Errorf("Lookup(web) = %s, %v; want a", ids(a), err)
				}
			})
		}
		callers.Wait()
		if got := f.Calls("web"); got != 1 {
			t.Errorf("upstream calls = %d, want 1", got)
		}
	})
}

func TestConcurrentMissesOfAnAbsentNameMakeOneCallAndAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := registrytest.NewFake("r")
		f.SetDelay(2 * time.Second)
		r := unwatched("r", f)
		r.Timeout = 5 * time.Second
		c := open(t, nil, r)
		var callers sync.WaitGroup
		for range 1000 {
			callers.Go(func() {
				if _, err := c.Lookup(t.Context(), query("nope")); !errors.Is(err, registry.ErrNotFound) {
					t.Errorf("Lookup(nope): %v, want ErrNotFound", err)
				}
			})
		}
		callers.Wait()
		a, err := c.Lookup(t.Context(), query("nope"))
		if !errors.Is(err, registry.ErrNotFound) || !a.Hit || a.Index == 0 {
			t.Errorf("second Lookup = %+v, %v; want a hit with an index and ErrNotFound", a, err)
		}
		if got := f.Calls("nope"); got != 1 {
			t.Errorf("upstream calls = %d, want 1", got)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := c.Stats(); got.Flights != 0 || got.Watches != 0 {
			t.Errorf("after the negative TTL: %d flights and %d watches are left", got.Flights, got.Watches)
		}
	})
}

func TestHitAllocatesNothing(t *testing.T) {
	f := registrytest.NewFake("r")
	g := registrytest.NewFake("s")
	g.Put("web", instance("a"))
	single := open(t, nil, unwatched("s", g))
	resolved := open(t, nil, unwatched("r", f), unwatched("s", fill(registrytest.NewFake("s"))))
	merged := open(t, nil, unwatched("r", fill(registrytest.NewFake("r"))), unwatched("s", fill(registrytest.NewFake("s"))),
		cache.Registry{Name: "m", Type: "merge", Kind: registry.KindService, Of: []string{"r", "s"}})
	for name, c := range map[string]*cache.Cache{"single": single, "resolved": resolved, "merged": merged} {
		// No negative TTL may run out while the test runs.
		q := query("web")
		ctx := context.Background()
		if _, err := c.Lookup(ctx, q); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		n := testing.AllocsPerRun(500, func() {
			if a, err := c.Lookup(ctx, q); err != nil || a.Stale {
				t.Fatalf("%s: Lookup = %+v, %v", name, a, err)
			}
		})
		if n != 0 {
			t.Errorf("%s: a hit makes %v allocations, want 0", name, n)
		}
	}
}

func TestStaleHitAllocatesNothing(t *testing.T) {
	f := fill(registrytest.NewFake("r"))
	r := unwatched("r", f)
	soon, ahead := 10*time.Millisecond, registry.Share(0)
	r.Overrides = cache.Overrides{TTL: &soon, RefreshAhead: &ahead, Recheck: &cache.Recheck{Min: time.Hour, Max: time.Hour}}
	c := open(t, nil, r)
	q := query("web")
	if _, err := c.Lookup(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	f.SetError(errors.New("down"))
	for end := time.Now().Add(10 * time.Second); ; {
		if a, _ := c.Lookup(t.Context(), q); a.Stale && a.Hit && a.Details == registry.DetailSIE {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the answer does not become stale")
		}
	}
	n := testing.AllocsPerRun(500, func() {
		if a, err := c.Lookup(context.Background(), q); err != nil || !a.Stale {
			t.Fatalf("Lookup = %+v, %v", a, err)
		}
	})
	if n != 0 {
		t.Errorf("a stale hit makes %v allocations, want 0", n)
	}
}

func fill(f *registrytest.Fake) *registrytest.Fake {
	f.Put("web", instance("a"))
	return f
}

func TestCancelledLeaderHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fill(registrytest.NewFake("r"))
		release := f.Hold()
		c := open(t, nil, unwatched("r", f))
		leading, cancel := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		callers.Go(func() {
			if _, err := c.Lookup(leading, query("web")); err == nil {
				t.Error("the cancelled leader got an answer before there was one")
			}
		})
		synctest.Wait()
		callers.Go(func() {
			if a, err := c.Lookup(t.Context(), query("web")); err != nil || ids(a) != "a" {
				t.Errorf("the follower got %s, %v; want a", ids(a), err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		release()
		callers.Wait()
		if got := f.Calls("web"); got != 1 {
			t.Errorf("upstream calls = %d, want 1", got)
		}
	})
}

func TestCallerAfterAnInvalidationNeverJoinsAnOlderFlight(t *testing.T) {
	for _, mode := range []registry.Mode{registry.ModeSoft, registry.ModeVerify, registry.ModeHard} {
		for _, sel := range []registry.Selector{{Key: registry.Key{Name: "web"}}, {Prefix: "w"}, {Tag: "x"}, {Key: registry.Key{Registry: "r"}}, {All: true}} {
			t.Run(fmt.Sprintf("%s %+v", mode, sel), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { callerAfterInvalidation(t, mode, sel) })
			})
		}
	}
}

func callerAfterInvalidation(t *testing.T, mode registry.Mode, sel registry.Selector) {
	f := registrytest.NewFake("r")
	f.Early = true // the answer is what the registry had when it was asked
	put := func(id string) {
		f.PutRecord(&registry.Record{Key: registry.Key{Name: "web"}, Instances: []registry.Instance{instance(id)}, Tags: []string{"x"}, Wishes: registry.NoWishes})
	}
	put("old")
	c := open(t, nil, unwatched("r", f))
	release := f.Hold()
	var callers sync.WaitGroup
	callers.Go(func() {
		a, err := c.Lookup(t.Context(), query("web"))
		if mode == registry.ModeHard {
			if err != nil || ids(a) != "new" {
				t.Errorf("caller from before: %s, %v; want new, or nothing", ids(a), err)
			}
		} else if err != nil || ids(a) == "old" && !a.Stale {
			t.Errorf("caller from before: %s stale=%t, %v; an old answer must be stale", ids(a), a.Stale, err)
		}
	})
	synctest.Wait()
	put("new")
	if err := c.Invalidate(t.Context(), &registry.Invalidation{Mode: mode, Selectors: []registry.Selector{sel}}); err != nil {
		t.Fatal(err)
	}
	callers.Go(func() {
		if a, err := c.Lookup(t.Context(), query("web")); err != nil || ids(a) != "new" {
			t.Errorf("caller from after: %s, %v; want new", ids(a), err)
		}
	})
	synctest.Wait()
	release()
	callers.Wait()
	if a, err := c.Lookup(t.Context(), query("web")); err != nil || ids(a) != "new" || a.Stale {
		t.Errorf("later: %s stale=%t, %v; want new, fresh", ids(a), a.Stale, err)
	}
}

func TestWhatASourceDoesWithItsRecordAfterwardsChangesNothing(t *testing.T) {
	list := []registry.Instance{instance("a")}
	tags := []string{"x"}
	source := registry.SourceFunc(func(context.Context, string, *registry.Record) (*registry.Record, error) {
		return &registry.Record{Instances: list, Tags: tags, Wishes: registry.NoWishes}, nil
	})
	c := open(t, nil, cache.Registry{Name: "r", Kind: registry.KindService, Source: source})
	first, err := c.Lookup(t.Context(), query("web"))
	if err != nil {
		t.Fatal(err)
	}
	list[0].ID, list[0].Endpoints[0].Address, tags[0] = "spoiled", "spoiled", "spoiled"
	again, err := c.Lookup(t.Context(), query("web"))
	if err != nil || !again.Hit || ids(again) != "a" || again.Record.Instances[0].Main().Address != "10.0.0.1" || again.Record.Tags[0] != "x" {
		t.Errorf("after the source changed its memory: %+v, %v", again.Record, err)
	}
	if first.Record.ContentHash() != first.Record.Hash() {
		t.Error("a sealed record changed")
	}
}

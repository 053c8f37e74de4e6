package cache_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

// cached looks a name up without asking the registry.
func cached(c *cache.Cache, name string) (registry.Answer, error) {
	q := query(name)
	q.OnlyCached = true
	return c.Lookup(context.Background(), q)
}

func TestWhatIsFollowedIsRefreshedAgainAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := registrytest.NewFake("r")
		names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
		for _, n := range names {
			f.Put(n, instance("old"))
		}
		c := open(t, func(o *cache.Options) { o.TTL = 10 * time.Second }, unwatched("r", f))
		sub := c.Subscribe(registry.Subscribe{Names: names})
		defer sub.Close()
		for _, n := range names {
			c.Lookup(t.Context(), query(n))
		}
		f.SetError(errors.New("down"))
		time.Sleep(5 * time.Minute)
		for _, n := range names {
			f.Put(n, instance("new"))
		}
		f.SetError(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		for _, n := range names {
			if a, err := cached(c, n); err != nil || ids(a) != "new" {
				t.Errorf("%s: %s; want new: somebody follows it", n, describe(a, err))
			}
		}
	})
}

func TestWhatIsFollowedIsRefreshedThoughItsRefreshWasVoided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fill(registrytest.NewFake("r"))
		f.Early = true
		c := open(t, func(o *cache.Options) { o.TTL = 10 * time.Second }, unwatched("r", f))
		prefix := "we"
		sub := c.Subscribe(registry.Subscribe{Prefix: &prefix})
		defer sub.Close()
		c.Lookup(t.Context(), query("web"))
		release := f.Hold()
		time.Sleep(9500 * time.Millisecond) // the refresh ahead is under way
		f.Put("web", instance("b"))
		invalidate(t, c, registry.ModeSoft, web)
		release()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if a, err := cached(c, "web"); err != nil || ids(a) != "b" || a.Stale {
			t.Errorf("%s; want b, fresh", describe(a, err))
		}
	})
}

func TestNewFollowerRevivesTheRefreshOfWhatNobodyWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fill(each("r"))
		c := open(t, nil, watched("r", f))
		c.Lookup(t.Context(), query("web"))
		time.Sleep(10 * time.Minute) // the refresher has put it aside: its watch is live
		sub := c.Subscribe(registry.Subscribe{Names: []string{"web"}})
		defer sub.Close()
		before := f.Calls("web")
		invalidate(t, c, registry.ModeSoft, web)
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if f.Calls("web") == before {
			t.Error("an invalidated name that somebody follows was never asked for")
		}
	})
}

// drain takes what a subscription owes.
func drain(s registry.Subscription) map[string]bool {
	got := map[string]bool{}
	names, _, _ := s.Take(nil)
	for _, n := range names {
		got[n] = true
	}
	return got
}

func TestInvalidationWakesWhoFollowsWhatItCovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := fill(registrytest.NewFake("a")), fill(registrytest.NewFake("b"))
		b.Put("api", instance("x"))
		c := open(t, nil, unwatched("a", a), unwatched("b", b),
			cache.Registry{Name: "m", Type: "merge", Kind: registry.KindService, Of: []string{"a", "b"}})
		for _, n := range []string{"web", "api"} {
			if _, err := c.Lookup(t.Context(), query(n)); err != nil {
				t.Fatal(err)
			}
		}
		w := "w"
		subs := map[string]registry.Subscription{
			"resolved": c.Subscribe(registry.Subscribe{Names: []string{"web", "api"}}),
			"merge":    c.Subscribe(registry.Subscribe{Registry: "m", Names: []string{"web", "api"}}),
			"part":     c.Subscribe(registry.Subscribe{Registry: "b", Names: []string{"web", "api"}}),
			"prefix":   c.Subscribe(registry.Subscribe{Prefix: &w}),
		}
		for _, s := range subs {
			defer s.Close()
		}
		key := func(reg, name string) registry.Selector {
			return registry.Selector{Key: registry.Key{Registry: reg, Name: name}}
		}
		for _, test := range []struct {
			selectors []registry.Selector
			wakes     map[string][]string
		}{
			{[]registry.Selector{key("a", "web"), key("b", "api")},
				map[string][]string{"resolved": {"web", "api"}, "merge": {"web", "api"}, "part": {"api"}, "prefix": {"web"}}},
			{[]registry.Selector{key("m", "web")},
				map[string][]string{"resolved": {"web"}, "merge": {"web"}, "part": {"web"}, "prefix": {"web"}}},
			{[]registry.Selector{{Prefix: "a"}}, map[string][]string{"resolved": {"api"}, "merge": {"api"}, "part": {"api"}}},
			{[]registry.Selector{{All: true}},
				map[string][]string{"resolved": {"web", "api"}, "merge": {"web", "api"}, "part": {"web", "api"}, "prefix": {"web"}}},
		} {
			for _, s := range subs {
				drain(s)
			}
			invalidate(t, c, registry.ModeSoft, test.selectors...)
			for which, s := range subs {
				got := drain(s)
				for _, n := range test.wakes[which] {
					if !got[n] {
						t.Errorf("%+v: the %s subscription does not hear of %s", test.selectors, which, n)
					}
					delete(got, n)
				}
				for n := range got {
					t.Errorf("%+v: the %s subscription hears of %s", test.selectors, which, n)
				}
			}
		}
	})
}

func TestTokenFromBeforeAReloadDoesNotResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := fill(registrytest.NewFake("a")), fill(registrytest.NewFake("b"))
		c := open(t, nil, unwatched("a", a), unwatched("b", b))
		sub := c.Subscribe(registry.Subscribe{Names: []string{"web"}})
		_, token, _ := sub.Take(nil)
		sub.Close()
		if err := c.Reload([]cache.Registry{unwatched("b", b)}, cache.Defaults()); err != nil {
			t.Fatal(err)
		}
		resumed := c.Subscribe(registry.Subscribe{Names: []string{"web"}, Resume: token})
		defer resumed.Close()
		if resumed.Resumed() {
			t.Error("resumed over a change of the registries, of which no name tells")
		}
		_, token, _ = resumed.Take(nil)
		again := c.Subscribe(registry.Subscribe{Names: []string{"web"}, Resume: token})
		defer again.Close()
		if !again.Resumed() {
			t.Error("a token from after the reload does not resume")
		}
	})
}

func TestWatchOfEverythingDuringAFirstFetchWins(t *testing.T) {
	for _, change := range []string{"upsert", "delete"} {
		t.Run(change, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := fill(registrytest.NewFake("r"))
				f.Caps = registry.Capabilities{Watch: true, WatchAll: true, Ordered: true}
				f.Early = true
				c := open(t, nil, watched("r", f))
				time.Sleep(time.Minute)
				release := f.Hold() // the fetch reads a, and is late
				var callers sync.WaitGroup
				background(t, c, &callers)
				if change == "upsert" {
					f.Put("web", instance("b"))
				} else {
					f.Remove("web")
				}
				synctest.Wait()
				release()
				callers.Wait()
				time.Sleep(time.Second)
				c.Lookup(t.Context(), query("web"))
				time.Sleep(time.Second)
				a, err := c.Lookup(t.Context(), query("web"))
				if err == nil && ids(a) == "a" && !a.Stale {
					t.Errorf("%s; the watch has told of the %s", describe(a, err), change)
				}
			})
		})
	}
}

func TestPanickingAdapterHarmsOnlyItsOwnCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := registry.SourceFunc(func(context.Context, string, *registry.Record) (*registry.Record, error) { panic("boom") })
		f := fill(registrytest.NewFake("s"))
		c := open(t, nil, cache.Registry{Name: "r", Kind: registry.KindService, Source: source}, unwatched("s", f))
		a, err := c.Lookup(t.Context(), query("web"))
		if err != nil || ids(a) != "a" || a.Details&registry.DetailPartial == 0 {
			t.Errorf("%s; want the next registry's answer, partial", describe(a, err))
		}
		q := query("web")
		q.Registry = "r"
		if _, err := c.Lookup(t.Context(), q); !errors.Is(err, registry.ErrRegistryFailed) {
			t.Errorf("%v; want the registry's failure", err)
		}
	})
}

func TestIndexNeverFallsWhenTheDerivedAnswerIsEvicted(t *testing.T) {
	a, b := fill(registrytest.NewFake("a")), registrytest.NewFake("b")
	const others = 1000
	name := func(i int) string {
		return "n" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
	}
	for i := range others {
		b.Put(name(i), instance("x"))
	}
	b.Put("web", instance("b"))
	c := open(t, func(o *cache.Options) { o.Memory, o.TTL, o.NegativeTTL = 1<<20, time.Hour, time.Hour }, unwatched("b", b), unwatched("a", a))
	look := func(n string) registry.Answer {
		answer, err := c.Lookup(t.Context(), query(n))
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	look("web")
	b.Vanish("web")
	q := query("web")
	q.Registry = "b"
	invalidate(t, c, registry.ModeVerify, web)
	last := look("web").Index // from a, whose record is younger or raised
	b.Put("web", instance("b"))
	invalidate(t, c, registry.ModeHard, registry.Selector{Key: registry.Key{Registry: "b", Name: "web"}})
	last = max(last, look("web").Index)
	b.Vanish("web")
	invalidate(t, c, registry.ModeVerify, registry.Selector{Key: registry.Key{Registry: "b", Name: "web"}})
	last = max(last, look("web").Index) // a again: its own index is long past
	for range 5 {
		for i := range others {
			look(name(i))
		}
	}
	if got := look("web").Index; got < last {
		t.Errorf("index %d after its derived answer was evicted, %d before", got, last)
	}
}

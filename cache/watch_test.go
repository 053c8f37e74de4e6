package cache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

// each returns a fake that is followed name by name, as Consul is.
func each(name string) *registrytest.Fake {
	f := registrytest.NewFake(name)
	f.Caps = registry.Capabilities{Watch: true, Ordered: true, Interval: 10 * time.Second}
	return f
}

func TestManyFirstLookupsStartOneWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fill(each("r"))
		f.SetDelay(time.Second)
		c := open(t, nil, watched("r", f))
		var callers sync.WaitGroup
		for range 1000 {
			callers.Go(func() {
				if a, err := c.Lookup(t.Context(), query("web")); err != nil || ids(a) != "a" {
					t.Errorf("%s, %v", ids(a), err)
				}
			})
		}
		callers.Wait()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if f.Calls("web") != 1 || f.Watches() != 1 {
			t.Errorf("%d calls and %d watches, want 1 and 1", f.Calls("web"), f.Watches())
		}
	})
}

func TestWatchEventDuringAFetchWins(t *testing.T) {
	for _, ordered := range []bool{true, false} {
		t.Run(fmt.Sprintf("ordered=%t", ordered), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := fill(each("r"))
				f.Caps.Ordered, f.Early = ordered, true
				c := open(t, nil, watched("r", f))
				c.Lookup(t.Context(), query("web"))
				synctest.Wait()
				release := f.Hold() // the next fetch reads a, and is late
				refreshed := make(chan struct{})
				go func() {
					defer close(refreshed)
					c.Refresh(t.Context(), []registry.Selector{{Key: registry.Key{Name: "web"}}})
				}()
				synctest.Wait()
				f.Put("web", instance("b"))
				synctest.Wait()
				release()
				<-refreshed
				if a, err := c.Lookup(t.Context(), query("web")); err != nil || ids(a) != "b" || a.Stale {
					t.Errorf("%s stale=%t, %v; want b, the newer", ids(a), a.Stale, err)
				}
			})
		})
	}
}

func TestIdleWatchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fill(each("r"))
		c := open(t, func(o *cache.Options) { o.Idle = 10 * time.Minute }, watched("r", f))
		c.Lookup(t.Context(), query("web"))
		time.Sleep(8 * time.Minute)
		synctest.Wait()
		if f.Watches() != 1 {
			t.Fatalf("%d watches before the idle time is over, want 1", f.Watches())
		}
		time.Sleep(8 * time.Minute)
		synctest.Wait()
		if f.Watches() != 0 || c.Stats().Watches != 0 {
			t.Errorf("%d watches are left after the idle time", f.Watches())
		}
		sub := c.Subscribe(registry.Subscribe{Names: []string{"web"}})
		defer sub.Close()
		c.Lookup(t.Context(), query("web"))
		time.Sleep(time.Hour)
		synctest.Wait()
		if f.Watches() != 1 {
			t.Errorf("%d watches of a name that somebody follows, want 1", f.Watches())
		}
	})
}

func TestBrokenWatchListsAnewAndFindsWhatVanished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fill(each("r"))
		f.Put("api", instance("x"))
		c := open(t, nil, watched("r", f))
		for _, n := range []string{"web", "api"} {
			if _, err := c.Lookup(t.Context(), query(n)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		f.SetError(errors.New("down"))
		f.DropWatches(errors.New("connection reset"))
		f.Put("web", instance("b"))
		f.Vanish("api")
		time.Sleep(5 * time.Second)
		f.SetError(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if a, err := c.Lookup(t.Context(), query("web")); err != nil || ids(a) != "b" || a.Stale {
			t.Errorf("web: %s stale=%t, %v; want b, fresh", ids(a), a.Stale, err)
		}
		if a, err := c.Lookup(t.Context(), query("api")); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("api: %s, %v; want ErrNotFound", ids(a), err)
		}
	})
}

func TestOlderRevisionNeverReplacesNewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fill(each("r"))
		f.Caps.Watch = false
		order := uint64(10)
		source := registry.SourceFunc(func(ctx context.Context, name string, _ *registry.Record) (*registry.Record, error) {
			rec, err := f.Lookup(ctx, name, nil)
			if err == nil {
				rec.Revision = registry.Revision{Order: order}
			}
			return rec, err
		})
		c := open(t, nil, cache.Registry{Name: "r", Kind: registry.KindService, Source: source})
		c.Lookup(t.Context(), query("web"))
		order = 9 // a server that lags
		f.Put("web", instance("old"))
		c.Refresh(t.Context(), []registry.Selector{{All: true}})
		a, err := c.Lookup(t.Context(), query("web"))
		if err != nil || ids(a) != "a" || !a.Stale {
			t.Errorf("%s stale=%t, %v; want a, stale: something newer is known", ids(a), a.Stale, err)
		}
		time.Sleep(40 * time.Second) // empty.grace: the registry was reset
		synctest.Wait()
		if a, err = c.Lookup(t.Context(), query("web")); err != nil || ids(a) != "old" || a.Stale {
			t.Errorf("%s stale=%t, %v; want old, believed after the grace", ids(a), a.Stale, err)
		}
	})
}

func TestSubscriptionGathersNamesAndResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fill(each("r"))
		c := open(t, nil, watched("r", f))
		prefix := ""
		sub := c.Subscribe(registry.Subscribe{Names: []string{"web"}, Prefix: &prefix})
		c.Lookup(t.Context(), query("web"))
		synctest.Wait()
		<-sub.Wake()
		names, token, reset := sub.Take(nil)
		if !slices.Equal(names, []string{"web"}) || reset {
			t.Fatalf("Take = %v reset=%t, want [web]", names, reset)
		}
		for i := range 100 {
			f.Put("web", instance(fmt.Sprint(i)))
			synctest.Wait()
		}
		if names, _, _ := sub.Take(nil); !slices.Equal(names, []string{"web"}) {
			t.Errorf("a slow reader owes %v, want web once", names)
		}
		sub.Close()
		resumed := c.Subscribe(registry.Subscribe{Names: []string{"web", "other"}, Resume: token})
		defer resumed.Close()
		names, _, _ = resumed.Take(nil)
		if !resumed.Resumed() || !slices.Equal(names, []string{"web"}) {
			t.Errorf("resumed=%t with %v, want web", resumed.Resumed(), names)
		}
		foreign := c.Subscribe(registry.Subscribe{Names: []string{"web"}, Resume: "1234-5"})
		defer foreign.Close()
		if foreign.Resumed() {
			t.Error("a token of another node was honoured")
		}
	})
}

func TestFollowedNameOfARegistryWithoutWatchIsPolled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fill(registrytest.NewFake("r"))
		f.Caps = registry.Capabilities{}
		c := open(t, nil, unwatched("r", f))
		sub := c.Subscribe(registry.Subscribe{Names: []string{"web", "late"}})
		defer sub.Close()
		for _, n := range []string{"web", "late"} {
			c.Lookup(t.Context(), query(n))
		}
		synctest.Wait()
		sub.Take(nil)
		f.Put("web", instance("b"))
		f.Put("late", instance("c"))
		time.Sleep(31 * time.Second)
		synctest.Wait()
		names, _, _ := sub.Take(nil)
		slices.Sort(names)
		if !slices.Equal(names, []string{"late", "web"}) {
			t.Errorf("changed names = %v within a TTL, want late and web", names)
		}
	})
}

func TestProbationIsNotHiddenByALiveWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fill(each("r"))
		c := open(t, nil, watched("r", f))
		c.Lookup(t.Context(), query("web"))
		synctest.Wait()
		if a, _ := c.Lookup(t.Context(), query("web")); a.TTL <= time.Second {
			t.Errorf("ttl under a live watch = %s, want the watch's", a.TTL)
		}
		// The registry says the same after the invalidation: it may not know yet.
		if err := c.Invalidate(t.Context(), &registry.Invalidation{Mode: registry.ModeVerify, Selectors: []registry.Selector{{All: true}}}); err != nil {
			t.Fatal(err)
		}
		if a, err := c.Lookup(t.Context(), query("web")); err != nil || a.Stale || a.TTL > time.Second {
			t.Errorf("after the invalidation: ttl=%s stale=%t, %v; want at most 1s, fresh", a.TTL, a.Stale, err)
		}
	})
}

// lateDeletes tells of deletions a little after the list of names did.
type lateDeletes struct{ *registrytest.Fake }

func (f lateDeletes) Watch(ctx context.Context, from registry.Revision, names []string, emit func(registry.Event)) error {
	return f.Fake.Watch(ctx, from, names, func(ev registry.Event) {
		if ev.Kind == registry.EventDelete {
			time.Sleep(10 * time.Millisecond)
		}
		emit(ev)
	})
}

// A registry's list and its watch of a name tell of a deletion at the same
// moment, in either order.
func TestDeliberateDeletionIsBelievedWhicheverWatchTellsFirst(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("list first=%t", late), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := fill(each("r"))
				f.Put("other", instance("x")) // an empty list would not be believed
				f.Caps.List, f.Caps.WatchList = true, true
				r := watched("r", f)
				if late {
					r.Source = lateDeletes{f}
				}
				c := open(t, nil, r)
				sub := c.Subscribe(registry.Subscribe{Names: []string{"web"}})
				defer sub.Close()
				c.Lookup(t.Context(), query("web"))
				synctest.Wait()
				sub.Take(nil)
				f.Remove("web")
				time.Sleep(20 * time.Millisecond)
				synctest.Wait()
				if names, _, _ := sub.Take(nil); len(names) != 1 {
					t.Errorf("who follows the name was not woken")
				}
				if a, err := c.Lookup(t.Context(), query("web")); !errors.Is(err, registry.ErrNotFound) {
					t.Errorf("%s, %v; want ErrNotFound", describe(a, err), err)
				}
			})
		})
	}
}

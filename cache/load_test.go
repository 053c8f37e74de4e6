package cache_test

import (
	"context"
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

func TestWarmStartLoadsInParallelAndReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := registrytest.NewFake("r")
		for i := range 64 {
			f.Put(fmt.Sprintf("n%02d", i), instance("a"))
		}
		f.SetDelay(100 * time.Millisecond)
		r := unwatched("r", f)
		r.WarmAll, r.Warm = true, []string{"missing"}
		c := open(t, nil, r)
		synctest.Wait()
		if ready, _ := c.Ready(); ready {
			t.Error("ready before the first load ended")
		}
		time.Sleep(700 * time.Millisecond)
		synctest.Wait()
		ready, _ := c.Ready()
		report, ok := c.Report()
		if !ready || !ok || report.Running || len(report.Services) != 65 {
			t.Fatalf("ready=%t after the load, report %t running=%t with %d services, want 65", ready, ok, report.Running, len(report.Services))
		}
		if got := report.Services[0]; got.Name != "missing" || got.Result != "absent" {
			t.Errorf("first row %+v, want missing: absent", got)
		}
		if a, err := c.Lookup(t.Context(), query("n63")); err != nil || !a.Hit {
			t.Errorf("a warm name: hit=%t, %v", a.Hit, err)
		}
	})
}

func TestNodeStartsBeforeItsRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fill(registrytest.NewFake("r"))
		f.SetError(errors.New("not up yet"))
		r := unwatched("r", f)
		r.WarmAll = true
		c := open(t, func(o *cache.Options) { o.ReadyAfter, o.TTL = 30*time.Second, time.Hour }, r)
		time.Sleep(31 * time.Second)
		if ready, degraded := c.Ready(); !ready || len(degraded) == 0 {
			t.Errorf("ready=%t degraded=%v after ready_after, want ready and degraded", ready, degraded)
		}
		f.SetError(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if a, err := c.Lookup(t.Context(), query("web")); err != nil || !a.Hit {
			t.Errorf("after the registry came up: hit=%t, %v; want it loaded", a.Hit, err)
		}
	})
}

func TestRefreshKeepsTheLastGoodAndReportsFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := registrytest.NewFake("r")
		for _, n := range []string{"same", "changed", "gone"} {
			f.Put(n, instance("a"))
		}
		c := open(t, nil, unwatched("r", f))
		for _, n := range []string{"same", "changed", "gone"} {
			c.Lookup(t.Context(), query(n))
		}
		f.Put("changed", instance("b"))
		f.Vanish("gone")
		report, err := c.Refresh(t.Context(), []registry.Selector{{All: true}})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, s := range report.Services {
			got[s.Name] = s.Result
		}
		if fmt.Sprint(got) != "map[changed:changed gone:kept same:unchanged]" {
			t.Errorf("report = %v", got)
		}
		f.SetError(errors.New("down"))
		report, err = c.Refresh(t.Context(), []registry.Selector{{Key: registry.Key{Name: "same"}}})
		if err != nil || len(report.Services) != 1 || report.Services[0].Result != "failed" || report.Services[0].Error == "" {
			t.Errorf("report = %+v, %v; want same: failed, and why", report.Services, err)
		}
		if a, err := c.Lookup(t.Context(), query("same")); err != nil || ids(a) != "a" {
			t.Errorf("after a failed refresh: %s, %v", ids(a), err)
		}
	})
}

func TestFailedReloadChangesNothing(t *testing.T) {
	f := fill(registrytest.NewFake("r"))
	c := open(t, nil, unwatched("r", f))
	c.Lookup(t.Context(), query("web"))
	bad := cache.Registry{Name: "m", Kind: registry.KindService, Of: []string{"nobody"}}
	if err := c.Reload([]cache.Registry{bad}, cache.Defaults()); err == nil {
		t.Fatal("a merge of nobody was accepted")
	}
	if a, err := c.Lookup(t.Context(), query("web")); err != nil || !a.Hit {
		t.Errorf("after the failed reload: hit=%t, %v", a.Hit, err)
	}
}

func TestReloadKeepsEntriesStaleWhereTheIdentityChangedAndForgetsTheRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		same, moved, gone := fill(registrytest.NewFake("same")), fill(registrytest.NewFake("moved")), fill(registrytest.NewFake("gone"))
		rs, rm, rg := unwatched("same", same), unwatched("moved", moved), unwatched("gone", gone)
		c := open(t, nil, rs, rm, rg)
		look := func(name string) (registry.Answer, error) {
			q := query("web")
			q.Registry = name
			return c.Lookup(t.Context(), q)
		}
		for _, n := range []string{"same", "moved", "gone"} {
			if _, err := look(n); err != nil {
				t.Fatal(err)
			}
		}
		there := registrytest.NewFake("moved")
		there.SetError(errors.New("not yet"))
		rm.Source, rm.Identity = there, "elsewhere"
		if err := c.Reload([]cache.Registry{rs, rm}, cache.Defaults()); err != nil {
			t.Fatal(err)
		}
		if a, err := look("same"); err != nil || !a.Hit || a.Stale {
			t.Errorf("same: hit=%t stale=%t, %v", a.Hit, a.Stale, err)
		}
		if a, err := look("moved"); err != nil || !a.Stale || ids(a) != "a" {
			t.Errorf("moved: %s stale=%t, %v; want the old entry, stale", ids(a), a.Stale, err)
		}
		if _, err := look("gone"); !errors.Is(err, registry.ErrNoRegistry) {
			t.Errorf("gone: %v, want ErrNoRegistry", err)
		}
		rows, _ := c.Entries(registry.EntriesQuery{})
		for _, r := range rows {
			if r.Registry == "gone" {
				t.Errorf("an entry of a removed registry is left: %+v", r)
			}
		}
	})
}

func TestPrivateAnswersAreForTheCallersWaitingNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		source := registry.SourceFunc(func(context.Context, string, *registry.Record) (*registry.Record, error) {
			calls++
			w := registry.NoWishes
			w.NoStore = true
			return &registry.Record{Instances: []registry.Instance{instance(fmt.Sprint(calls))}, Wishes: w}, nil
		})
		c := open(t, nil, cache.Registry{Name: "r", Kind: registry.KindService, Source: source})
		for want := 1; want <= 2; want++ {
			if a, err := c.Lookup(t.Context(), query("web")); err != nil || ids(a) != fmt.Sprint(want) || a.Stored {
				t.Errorf("lookup %d: %s stored=%t, %v", want, ids(a), a.Stored, err)
			}
		}
	})
}

func TestReloadToAnotherRegistryComparesNoRevisions(t *testing.T) {
	for _, lower := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			here, there := registrytest.NewFake("r"), registrytest.NewFake("r")
			if lower {
				here.Put("other", instance("x")) // so web's revision is above the one there
			}
			here.Put("web", instance("old"))
			there.Put("web", instance("new"))
			c := open(t, nil, unwatched("r", here))
			c.Lookup(t.Context(), query("web"))
			moved := unwatched("r", there)
			moved.Identity = "elsewhere"
			if err := c.Reload([]cache.Registry{moved}, cache.Defaults()); err != nil {
				t.Fatal(err)
			}
			c.Lookup(t.Context(), query("web"))
			synctest.Wait()
			if a, err := c.Lookup(t.Context(), query("web")); err != nil || ids(a) != "new" || a.Stale {
				t.Errorf("lower=%t: %s; want new", lower, describe(a, err))
			}
		})
	}
}

func TestReloadResizesTheMemory(t *testing.T) {
	f := fill(registrytest.NewFake("r"))
	c := open(t, nil, unwatched("r", f))
	o := cache.Defaults()
	o.Memory = 8 << 20
	if err := c.Reload([]cache.Registry{unwatched("r", f)}, o); err != nil {
		t.Fatal(err)
	}
	if m := c.Memory(); m.Limit != 8<<20 {
		t.Errorf("the budget is %d bytes after the reload, want 8 MiB", m.Limit)
	}
	o.Memory = 1
	if err := c.Reload([]cache.Registry{unwatched("r", f)}, o); err == nil {
		t.Error("a budget of one byte was accepted")
	}
}

func TestARegistryThatNeverAnsweredIsDownAndSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := registrytest.NewFake("r")
		f.SetError(errors.New("connection refused"))
		c := open(t, nil, unwatched("r", f))
		var err error
		for i := range 6 {
			_, err = c.Lookup(t.Context(), query(fmt.Sprint("n", i)))
			if got := c.Registries()[0].State; got != "down" {
				t.Errorf("state after %d failures and no success = %s, want down", i+1, got)
			}
		}
		if !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("err = %v, want the cause of the open breaker in it", err)
		}
	})
}

func TestNoRegistryOfAKindIsACompleteEmptyList(t *testing.T) {
	c := open(t, nil, unwatched("r", fill(registrytest.NewFake("r"))))
	page, err := c.Names(t.Context(), &registry.NamesQuery{Kind: registry.KindAgent, Limit: 10})
	if err != nil || len(page.Rows) != 0 || !page.Complete {
		t.Errorf("Names = %+v, %v; want an empty complete list", page, err)
	}
}

func TestRefreshesOfDifferentServicesQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fill(registrytest.NewFake("r"))
		f.Put("api", instance("x"))
		f.SetDelay(time.Second)
		stuck := registrytest.NewFake("stuck") // whose first load never ends
		stuck.SetError(errors.New("down"))
		never := unwatched("stuck", stuck)
		never.WarmAll, never.Services = true, []string{"stuck-*"}
		c := open(t, nil, unwatched("r", f), never)
		refresh := func(name string, within time.Duration) registry.Report {
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			r, err := c.Refresh(ctx, []registry.Selector{{Key: registry.Key{Name: name}}})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		if r := refresh("web", 100*time.Millisecond); !r.Running {
			t.Errorf("a refresh that had no time: %+v, want it running", r)
		}
		r := refresh("api", 10*time.Second)
		if r.Running || len(r.Services) != 1 || r.Services[0].Name != "api" {
			t.Errorf("report of api = %+v", r)
		}
		if f.Calls("web") != 1 || f.Calls("api") != 1 {
			t.Errorf("calls: web %d, api %d; want 1 each", f.Calls("web"), f.Calls("api"))
		}
	})
}

package cache_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

// A teller is a cluster in which this node owns all, and what it told of.
type teller struct {
	cache.Cluster
	mu   sync.Mutex
	told []string
}

func (p *teller) Publish(inv *registry.Invalidation, _ bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, s := range inv.Selectors {
		p.told = append(p.told, fmt.Sprintf("%s@%d", s.Key.Name, inv.Versions[i].Order))
	}
}

// take returns what was told since it was last called.
func (p *teller) take() string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	told := fmt.Sprint(p.told)
	p.told = nil
	return told
}

func (p *teller) Push([]registry.Ask)    {}
func (p *teller) Synced() bool           { return true }
func (p *teller) Owns(registry.Key) bool { return true }
func (p *teller) Fetch(context.Context, registry.Ask) (registry.Copy, uint64, bool) {
	return registry.Copy{}, 0, false
}

// A lateWatch tells of changes only while nobody holds it back.
type lateWatch struct {
	*registrytest.Fake
	back chan struct{} // has room for one who holds it back; no mutex, which is no durable wait in a bubble
}

func (w *lateWatch) Watch(ctx context.Context, since registry.Revision, names []string, emit func(registry.Event)) error {
	return w.Fake.Watch(ctx, since, names, func(ev registry.Event) {
		w.back <- struct{}{}
		defer func() { <-w.back }()
		emit(ev)
	})
}

func now(name string) *registry.Query {
	q := query(name)
	q.MaxAge = 0
	return q
}

func TestTheOthersAreToldOfAChangeThatAFetchFoundFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fill(registrytest.NewFake("r"))
		w, cluster := &lateWatch{f, make(chan struct{}, 1)}, &teller{}
		r := watched("r", f)
		r.Source = w
		c := open(t, func(o *cache.Options) { o.Cluster = cluster }, r)
		synctest.Wait()
		c.Lookup(t.Context(), query("web"))
		cluster.take()

		w.back <- struct{}{}
		f.Put("web", instance("b"))
		if a, err := c.Lookup(t.Context(), now("web")); err != nil || ids(a) != "b" {
			t.Fatal(describe(a, err))
		}
		if told := cluster.take(); told != "[]" {
			t.Errorf("told %s of what a fetch found; the watch is to say it", told)
		}
		<-w.back
		if told, want := cluster.take(), fmt.Sprintf("[web@%d]", revision(t, c, "web")); told != want {
			t.Errorf("told %s, want %s", told, want)
		}

		w.back <- struct{}{}
		f.Remove("web")
		if a, err := c.Lookup(t.Context(), now("web")); err != nil {
			t.Log(describe(a, err)) // it may have to be confirmed
		}
		<-w.back
		if told := cluster.take(); told != "[web@0]" {
			t.Errorf("told %s of a name that is gone, want web@0", told)
		}
	})
}

func revision(t *testing.T, c *cache.Cache, name string) uint64 {
	a, err := cached(c, name)
	if err != nil {
		t.Fatal(err)
	}
	return a.Record.Revision.Order
}

func TestTheOthersAreToldOfNamesThatThisNodeDoesNotHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := registrytest.NewFake("r")
		f.Put("web", instance("a"))
		f.Put("db", instance("a"))
		cluster := &teller{}
		open(t, func(o *cache.Options) { o.Cluster = cluster }, watched("r", f))
		if told := cluster.take(); told != "[db@2 web@1]" && told != "[web@1 db@2]" {
			t.Errorf("as its watch began it told %s; want all names with their versions", told)
		}
		f.Put("db", instance("b"))
		if told := cluster.take(); told != "[db@3]" {
			t.Errorf("told %s of a change, want db@3", told)
		}
		f.Remove("db")
		if told := cluster.take(); told != "[db@0]" {
			t.Errorf("told %s of a name that is gone, want db@0", told)
		}
		time.Sleep(time.Minute) // signs of life
		if told := cluster.take(); told != "[]" {
			t.Errorf("told %s without a change", told)
		}
	})
}

// A busyOwner answers as it is told to.
type busyOwner struct {
	laggingOwner
	fetch func(context.Context) (registry.Copy, uint64, bool)
}

func (p *busyOwner) Fetch(ctx context.Context, _ registry.Ask) (registry.Copy, uint64, bool) {
	if p.fetch == nil {
		return registry.Copy{}, 0, false
	}
	return p.fetch(ctx)
}

func TestAnOwnerIsAskedAgainWhenAnInvalidationOvertookItsAnswer(t *testing.T) {
	fake, owner := fill(registrytest.NewFake("r")), &busyOwner{}
	c := open(t, func(o *cache.Options) { o.Cluster = owner }, unwatched("r", fake))
	a, err := c.Lookup(t.Context(), query("web"))
	if err != nil {
		t.Fatal(err)
	}
	calls, asked, position := fake.Calls(""), 0, uint64(0)
	owner.fetch = func(context.Context) (registry.Copy, uint64, bool) {
		if asked++; asked == 1 {
			position = c.Apply(&registry.Invalidation{Mode: registry.ModeSoft, Selectors: []registry.Selector{web}}).Position
			return registry.Copy{Entry: registry.Entry{Key: a.Record.Key, Record: a.Record}, Fresh: true}, 0, true
		}
		return registry.Copy{Entry: registry.Entry{Key: a.Record.Key, Record: a.Record}, Fresh: true}, position, true
	}
	invalidate(t, c, registry.ModeVerify, web)
	if a, err = c.Lookup(t.Context(), query("web")); err != nil || a.Stale {
		t.Error(describe(a, err))
	}
	if n := fake.Calls("") - calls; n != 0 || asked != 2 {
		t.Errorf("%d calls of the registry, %d of the owner; want none and two", n, asked)
	}
}

func TestARegistryIsNotAskedForWhatNobodyWaitsForAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, owner := fill(registrytest.NewFake("r")), &busyOwner{}
		c := open(t, func(o *cache.Options) { o.Cluster = owner }, unwatched("r", fake))
		if _, err := c.Lookup(t.Context(), query("web")); err != nil {
			t.Fatal(err)
		}
		calls, given := fake.Calls(""), 0
		owner.fetch = func(ctx context.Context) (registry.Copy, uint64, bool) {
			<-ctx.Done()
			given++
			return registry.Copy{}, 0, false
		}
		invalidate(t, c, registry.ModeSoft, web)
		c.Lookup(t.Context(), query("web")) // stale, and refreshed by a question to the owner
		synctest.Wait()
		invalidate(t, c, registry.ModeSoft, web)
		synctest.Wait()
		if n := fake.Calls("") - calls; n != 0 || given != 1 {
			t.Errorf("%d calls of the registry for a refresh that was given up %d times", n, given)
		}
	})
}

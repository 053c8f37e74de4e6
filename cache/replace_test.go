package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

// A closable counts how often its source was asked with a record that it may
// confirm, followed and closed.
type closable struct {
	*registrytest.Fake
	have, watches, closed atomic.Int64
}

func (s *closable) Lookup(ctx context.Context, name string, have *registry.Record) (*registry.Record, error) {
	if have != nil {
		s.have.Add(1)
	}
	return s.Fake.Lookup(ctx, name, have)
}

func (s *closable) Watch(ctx context.Context, from registry.Revision, names []string, emit func(registry.Event)) error {
	s.watches.Add(1)
	return s.Fake.Watch(ctx, from, names, emit)
}

func (s *closable) Close() error { s.closed.Add(1); return nil }

func closing(name string) *closable { return &closable{Fake: fill(registrytest.NewFake(name))} }

// lookIn looks web up in one registry.
func lookIn(t *testing.T, c *cache.Cache, name string) (registry.Answer, error) {
	t.Helper()
	q := query("web")
	q.Registry = name
	return c.Lookup(t.Context(), q)
}

// A registry whose source is another one: what it said is asked for anew, and not
// by its revision; its neighbour notices nothing.
func TestARegistryIsReplacedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		was, beside, now := closing("r"), closing("beside"), closing("r")
		was.Caps.Watch, beside.Caps.List, beside.Caps.WatchList = false, false, false
		beside.Put("slow", instance("s"))
		r := cache.Registry{Name: "r", Type: "fake", Kind: registry.KindService, Source: was, Watch: true, Identity: "one"}
		m := cache.Registry{Name: "both", Type: "merge", Kind: registry.KindService, Of: []string{"r", "beside"}}
		c := open(t, nil, m, r, cache.Registry{Name: "beside", Type: "fake", Kind: registry.KindService, Source: beside, Watch: true})
		for _, name := range [...]string{"r", "beside", "both"} {
			if _, err := lookIn(t, c, name); err != nil {
				t.Fatal(err)
			}
		}
		release := beside.Hold()
		late := make(chan string, 2)
		ask := func() {
			q := query("slow")
			q.Registry = "beside"
			a, _ := c.Lookup(t.Context(), q)
			late <- ids(a)
		}
		go ask()
		synctest.Wait()

		now.Put("web", instance("new"))
		now.SetDelay(time.Millisecond)
		r.Source, r.Identity = now, "two"
		if err := c.Replace(r); err != nil {
			t.Fatal(err)
		}
		if a, err := lookIn(t, c, "r"); err != nil || !a.Stale || ids(a) != "a" {
			t.Errorf("right after: %s stale=%t, %v; want what was held, stale", ids(a), a.Stale, err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if a, err := lookIn(t, c, "r"); err != nil || a.Stale || ids(a) != "new" {
			t.Errorf("later: %s stale=%t, %v", ids(a), a.Stale, err)
		}
		if a, err := lookIn(t, c, "both"); err != nil || ids(a) != "r/new" && ids(a) != "r/new,beside/a" {
			t.Errorf("the merge: %s, %v", ids(a), err)
		}
		if now.have.Load() != 0 {
			t.Error("the new source was asked to confirm what the old one said")
		}
		if now.watches.Load() != 1 || was.closed.Load() != 1 || now.closed.Load() != 0 {
			t.Errorf("%d watches; closed: the old one %d times, the new one %d times", now.watches.Load(), was.closed.Load(), now.closed.Load())
		}
		if a, err := lookIn(t, c, "beside"); err != nil || !a.Hit || a.Stale {
			t.Errorf("beside it: hit=%t stale=%t, %v", a.Hit, a.Stale, err)
		}
		go ask()
		synctest.Wait()
		release()
		if one, other := <-late, <-late; one != "s" || other != "s" {
			t.Errorf("what was on its way beside it: %s, %s", one, other)
		}
		if beside.Calls("slow") != 1 || beside.watches.Load() != 1 || beside.closed.Load() != 0 {
			t.Errorf("beside it: %d calls, %d watches, closed %d times", beside.Calls("slow"), beside.watches.Load(), beside.closed.Load())
		}
		now.Put("web", instance("newer"))
		synctest.Wait()
		if a, err := lookIn(t, c, "r"); err != nil || !a.Hit || ids(a) != "newer" {
			t.Errorf("followed: %s, %v", ids(a), err)
		}
		now.SetError(errors.New("down"))
		c.Apply(&registry.Invalidation{Mode: registry.ModeHard, Selectors: []registry.Selector{{Key: registry.Key{Registry: "r"}}}})
		if a, err := lookIn(t, c, "both"); err != nil || ids(a) != "beside/a" && ids(a) != "a" {
			t.Errorf("the merge goes by a part that is gone: %s, %v", ids(a), err)
		}
	})
}

// What is on its way when the source is replaced is asked for anew, and the old
// source is closed after that.
func TestWhatIsOnItsWayWhenARegistryIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		was, now := closing("r"), closing("r")
		now.Put("web", instance("new"))
		r := unwatched("r", was.Fake)
		r.Source, r.Identity = was, "one"
		c := open(t, nil, r)
		release := was.Hold()
		done := make(chan registry.Answer, 1)
		go func() { a, _ := lookIn(t, c, "r"); done <- a }()
		synctest.Wait()
		r.Source, r.Identity = now, "two"
		if err := c.Replace(r); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if was.closed.Load() != 0 {
			t.Error("it is closed, and a call under way")
		}
		if a, err := lookIn(t, c, "r"); err != nil || ids(a) != "new" {
			t.Errorf("%s, %v", ids(a), err)
		}
		release()
		<-done
		synctest.Wait()
		if was.closed.Load() != 1 {
			t.Errorf("closed %d times", was.closed.Load())
		}
		if a, err := lookIn(t, c, "r"); err != nil || !a.Hit || ids(a) != "new" {
			t.Errorf("what came late was taken: %s hit=%t, %v", ids(a), a.Hit, err)
		}
	})
}

func TestARegistryThatDidNotChangeIsNotReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		was, same, more := closing("r"), closing("r"), closing("r")
		was.Caps.Watch, same.Caps.Watch = false, false
		r := cache.Registry{Name: "r", Type: "fake", Kind: registry.KindService, Source: was, Watch: true, Identity: "one"}
		c := open(t, nil, r)
		if _, err := lookIn(t, c, "r"); err != nil {
			t.Fatal(err)
		}
		r.Source = same
		if err := c.Replace(r); err != nil || same.closed.Load() != 1 || was.closed.Load() != 0 {
			t.Errorf("%v; closed: the new one %d times, the old one %d times", err, same.closed.Load(), was.closed.Load())
		}
		if a, err := lookIn(t, c, "r"); err != nil || !a.Hit || a.Stale {
			t.Errorf("hit=%t stale=%t, %v", a.Hit, a.Stale, err)
		}
		r.Source = more // which can watch
		if err := c.Replace(r); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if a, err := lookIn(t, c, "r"); err != nil || !a.Hit || a.Stale || more.watches.Load() != 1 || was.closed.Load() != 1 {
			t.Errorf("hit=%t stale=%t, %v; %d watches, the old one closed %d times", a.Hit, a.Stale, err, more.watches.Load(), was.closed.Load())
		}
		r.Name, r.Source = "other", same
		if err := c.Replace(r); !errors.Is(err, registry.ErrNoRegistry) || same.closed.Load() != 1 {
			t.Errorf("%v, closed %d times", err, same.closed.Load())
		}
	})
}

func TestReplacingUnderLoadIsSeenAtOnce(t *testing.T) {
	list, fakes := hammered()
	c := open(t, quick, list...)
	stop := hammer(t, c, fakes)
	defer stop()
	generation := 0
	for end := time.Now().Add(hammerFor / 2); time.Now().Before(end); generation++ {
		next, more := hammered()
		i := []int{0, 2}[generation%2] // all, and by-name, of which merged is made
		more[i].Put("generation", instance(fmt.Sprint(generation)))
		next[i].Identity = fmt.Sprint("new", generation)
		if err := c.Replace(next[i]); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{next[i].Name, "merged"}[:1+i/2] {
			q := query("generation")
			q.Registry = name
			a, err := c.Lookup(t.Context(), q)
			if err == nil && !a.Stale && ids(a) != fmt.Sprint(generation) && ids(a) != fmt.Sprint("by-name/", generation) {
				t.Fatalf("after %d in %s: %s as fresh", generation, name, describe(a, err))
			}
		}
	}
	t.Logf("%d replaced", generation)
}

// The disk knows which source its entries are from.
func TestAReplacedRegistryIsAnotherOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, was, now := newMapStore(), closing("r"), closing("r")
		r := unwatched("r", was.Fake)
		r.Source, r.Identity = was, "one"
		c := openOver(t, s, nil, r)
		if _, err := lookIn(t, c, "r"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		before, _ := s.Identity("r")
		r.Source, r.Identity = now, "two"
		if err := c.Replace(r); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if after, _ := s.Identity("r"); before == "" || after == "" || after == before {
			t.Errorf("identity %q, %q before", after, before)
		}
		closeCache(t, c)
	})
}

package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

// hammerFor is how long each hammer goes on.
const hammerFor = 400 * time.Millisecond

// hammered returns registries that every part of the cache has to do with:
// followed as a whole, by name and not at all, listed, and merged.
func hammered() (list []cache.Registry, fakes []*registrytest.Fake) {
	all, listed := registrytest.NewFake("all"), registrytest.NewFake("listed")
	listed.Caps.Watch, listed.Caps.WatchAll = false, false
	byName, asked := each("by-name"), registrytest.NewFake("asked")
	asked.Caps = registry.Capabilities{List: true}
	fakes = []*registrytest.Fake{all, listed, byName, asked}
	for i, f := range fakes {
		name := []string{"all", "listed", "by-name", "asked"}[i]
		r := watched(name, f)
		r.WarmAll = i%2 == 0
		list = append(list, r)
	}
	list = append(list, cache.Registry{Name: "merged", Type: "merge", Kind: registry.KindService, Of: []string{"by-name", "asked"}})
	return list, fakes
}

func hammeredName() string { return fmt.Sprint("n", rand.IntN(40)) }

// hammer runs everything that a node does to a cache, at once, until the
// returned function is called.
func hammer(t *testing.T, c *cache.Cache, fakes []*registrytest.Fake) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	each := func(do func()) {
		running.Go(func() {
			for ctx.Err() == nil {
				do()
			}
		})
	}
	look := func() {
		q := query(hammeredName())
		q.Registry = []string{"", "", "all", "merged", "by-name"}[rand.IntN(5)]
		q.MaxAge = []time.Duration{-1, -1, -1, 0, time.Millisecond}[rand.IntN(5)]
		c.Lookup(ctx, q)
	}
	each(look)
	each(look)
	each(func() {
		f := fakes[rand.IntN(len(fakes))]
		switch rand.IntN(8) {
		case 0:
			f.Remove(hammeredName())
		case 1:
			f.Vanish(hammeredName())
		case 2:
			f.SetError(errors.New("down"))
		case 3:
			f.DropWatches(errors.New("reset"))
		case 4, 5:
			f.SetError(nil)
		default:
			f.Put(hammeredName(), instance(fmt.Sprint(rand.IntN(3))))
		}
		time.Sleep(time.Millisecond)
	})
	each(func() {
		sel := []registry.Selector{{Key: registry.Key{Name: hammeredName()}}, {Prefix: "n1"}, {Tag: "x"},
			{Key: registry.Key{Registry: "asked"}}, {All: true}}[rand.IntN(5)]
		c.Invalidate(ctx, &registry.Invalidation{Mode: registry.ModeSoft + registry.Mode(rand.IntN(3)), Selectors: []registry.Selector{sel}})
		time.Sleep(100 * time.Microsecond)
	})
	each(func() {
		prefix := hammeredName()[:1]
		s := c.Subscribe([]registry.Subscribe{{Names: []string{hammeredName()}}, {Prefix: &prefix}, {Lists: true},
			{Registry: "merged", Names: []string{hammeredName(), hammeredName()}}}[rand.IntN(4)])
		select {
		case <-s.Wake():
		case <-time.After(time.Millisecond):
		}
		s.Take(nil)
		s.Close()
	})
	each(func() {
		c.Names(ctx, &registry.NamesQuery{Limit: 100})
		c.Entries(registry.EntriesQuery{})
		c.Registries()
		c.Stats()
		c.Ready()
		c.Report()
		wait, done := context.WithTimeout(ctx, 5*time.Millisecond)
		c.Refresh(wait, []registry.Selector{{All: true}})
		done()
		c.Upsert(ctx, &registry.Record{Key: registry.Key{Registry: "asked", Name: hammeredName()}, Wishes: registry.NoWishes})
	})
	return func() { cancel(); running.Wait() }
}

func quick(o *cache.Options) {
	o.TTL, o.NegativeTTL, o.Idle, o.Verify = 20*time.Millisecond, 5*time.Millisecond, 50*time.Millisecond, time.Millisecond
	o.Recheck = cache.Recheck{Min: time.Millisecond, Max: 5 * time.Millisecond}
	o.Empty = cache.Empty{Confirm: 2, Grace: 10 * time.Millisecond}
}

func TestCloseUnderLoadLeavesNothing(t *testing.T) {
	for range 3 {
		list, fakes := hammered()
		o := cache.Defaults()
		quick(&o)
		o.Registries = list
		c, err := cache.New(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Open(); err != nil {
			t.Fatal(err)
		}
		stop := hammer(t, c, fakes)
		time.Sleep(hammerFor / 4)
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if s := c.Stats(); s.Flights != 0 {
			t.Errorf("%d flights after Close", s.Flights)
		}
		stop()
	}
}

func TestReloadUnderLoadIsSeenAtOnce(t *testing.T) {
	list, fakes := hammered()
	c := open(t, quick, list...)
	stop := hammer(t, c, fakes)
	defer stop()
	p := cache.Defaults()
	quick(&p)
	generation := 0
	for end := time.Now().Add(hammerFor); time.Now().Before(end); generation++ {
		next, more := hammered()
		for i := range next {
			if next[i].Source != nil && i != generation%4 {
				next[i].Identity = fmt.Sprint(generation)
			}
		}
		// A name of which only the new registry knows this content.
		more[0].Put("generation", instance(fmt.Sprint(generation)))
		next[0].Identity = fmt.Sprint("new", generation)
		if err := c.Reload(next, p); err != nil {
			t.Fatal(err)
		}
		q := query("generation")
		q.Registry = "all"
		a, err := c.Lookup(t.Context(), q)
		if err == nil && !a.Stale && ids(a) != fmt.Sprint(generation) {
			t.Fatalf("after reload %d: %s as fresh", generation, describe(a, err))
		}
	}
	t.Logf("%d reloads", generation)
}

func TestSubscribersLoseNoChange(t *testing.T) {
	f := registrytest.NewFake("r")
	f.Caps = registry.Capabilities{Watch: true, WatchAll: true, Ordered: true}
	const names, changes = 8, 300
	name := func(i int) string { return fmt.Sprint("n", i) }
	for i := range names {
		f.Put(name(i), instance("0"))
	}
	c := open(t, func(o *cache.Options) { o.TTL = time.Hour }, watched("r", f))
	var readers sync.WaitGroup
	for r := range 4 {
		prefix := "n"
		spec := registry.Subscribe{Prefix: &prefix}
		if r%2 == 0 {
			spec = registry.Subscribe{}
			for i := range names {
				spec.Names = append(spec.Names, name(i))
			}
		}
		sub := c.Subscribe(spec)
		readers.Go(func() {
			defer sub.Close()
			seen := map[string]string{}
			for i := range names {
				if a, err := c.Lookup(t.Context(), query(name(i))); err == nil {
					seen[name(i)] = ids(a)
				}
			}
			deadline := time.After(20 * time.Second)
			for {
				done := 0
				for _, id := range seen {
					if id == fmt.Sprint(changes) {
						done++
					}
				}
				if done == names {
					return
				}
				select {
				case <-sub.Wake():
				case <-deadline:
					t.Errorf("reader %d saw %v, want %d of each", r, seen, changes)
					return
				}
				got, _, _ := sub.Take(nil)
				for _, n := range got {
					if a, err := c.Lookup(t.Context(), query(n)); err == nil {
						seen[n] = ids(a)
					}
				}
			}
		})
	}
	for v := range changes {
		for i := range names {
			f.Put(name(i), instance(fmt.Sprint(v+1)))
		}
		if v%10 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	readers.Wait()
}

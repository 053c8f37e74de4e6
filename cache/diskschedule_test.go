package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
)

// An evictor empties the memory of a cache.
type evictor struct{ c *cache.Cache }

func (e evictor) step(*rand.Rand) { cache.Squeeze(e.c) }
func (evictor) idle() bool        { return true }

// A sleeper lets time pass: the patience with the disk runs out, what failed is
// tried again.
type sleeper struct{}

func (sleeper) step(rng *rand.Rand) {
	unit := time.Millisecond
	if rng.IntN(4) == 0 {
		unit = 300 * time.Millisecond
	}
	time.Sleep(time.Duration(rng.IntN(40)) * unit)
}

func (sleeper) idle() bool { return true }

// A diskSubject is asked for what is cached only, each second time, and
// invalidates other names too: the tables are full of those.
type diskSubject struct {
	edgecacheSubject
	lookups *atomic.Int64
}

func (s diskSubject) lookup(name string) (int, bool, error) {
	q := query(name)
	q.Timeout = time.Hour
	q.OnlyCached = s.lookups.Add(1)%2 == 0
	return s.look(q)
}

func (s diskSubject) invalidation(name string, rng *rand.Rand) (do func(), m registry.Mode) {
	inv := &registry.Invalidation{Mode: registry.ModeSoft + registry.Mode(rng.IntN(3))}
	if rng.IntN(3) == 0 {
		inv.Mode = registry.ModeHard
	}
	other := fmt.Sprint("other", rng.IntN(5))
	sel := [...]registry.Selector{
		{Key: registry.Key{Name: name}}, {Key: registry.Key{Registry: "r", Name: name}}, {Tag: "tag-" + name}, {Prefix: name},
		{Key: registry.Key{Registry: "r"}},
		{Key: registry.Key{Name: other}}, {Key: registry.Key{Name: other}}, {Tag: other}, {Tag: other}, {Prefix: other},
	}[rng.IntN(10)]
	inv.Selectors = []registry.Selector{sel}
	if !sel.Covers(registry.Key{Registry: "r", Name: name}, []string{"tag-" + name}) {
		return s.invalidate(inv), registry.ModeNone
	}
	return s.invalidate(inv), inv.Mode
}

// TestNoStaleSetWithADisk holds the calls of the disk as those of the registry
// are held: reads race writes, marks of invalidations and evictions.
func TestNoStaleSetWithADisk(t *testing.T) {
	t.Run("full tables", func(t *testing.T) { diskSchedules(t, nil) })
	t.Run("small tables", func(t *testing.T) {
		diskSchedules(t, func(c *cache.Cache, _ *steppedStore, _ *rand.Rand) { cache.Forget(c, 1, 2) })
	})
	t.Run("small tables and a disk that fails", func(t *testing.T) {
		diskSchedules(t, func(c *cache.Cache, s *steppedStore, rng *rand.Rand) {
			cache.Forget(c, 1, 2)
			s.fail = func(string) error { // under the store's lock
				if rng.IntN(8) == 0 {
					return errors.New("input/output error")
				}
				return nil
			}
		})
	})
}

func diskSchedules(t *testing.T, change func(*cache.Cache, *steppedStore, *rand.Rand)) {
	s := newSeed(t)
	synctest.Test(t, func(t *testing.T) {
		r, disk := &steppedRegistry{}, newSteppedStore()
		source := registry.SourceFunc(func(ctx context.Context, name string, _ *registry.Record) (*registry.Record, error) {
			v, err := r.lookup(ctx)
			if err != nil {
				return nil, err
			}
			return &registry.Record{Instances: []registry.Instance{instance(strconv.Itoa(v))}, Tags: []string{"tag-" + name}, Wishes: registry.NoWishes}, nil
		})
		zero := time.Duration(0)
		c := openOver(t, disk, nil,
			cache.Registry{Name: "r", Kind: registry.KindService, Source: source, Timeout: time.Hour, Overrides: cache.Overrides{Verify: &zero}})
		if change != nil {
			change(c, disk, rand.New(rand.NewPCG(s, 5)))
		}
		rng := rand.New(rand.NewPCG(s, 4))
		subject := diskSubject{edgecacheSubject{c}, new(atomic.Int64)}
		n := *schedules / 4
		for i := range n {
			// The disk has what earlier schedules left of the name.
			if err := runSchedule(subject, r, fmt.Sprintf("n%d.", i%2), rng, disk, disk, disk, evictor{c}, sleeper{}); err != nil {
				t.Fatalf("schedule %d: %v", i, err)
			}
		}
		p := c.Stats().Persisted
		t.Logf("%d schedules: %+v", n, p)
		if p.Found < uint64(n)/10 || p.Refused == 0 || p.Confirmed == 0 {
			t.Errorf("%+v: the schedules test too little", p)
		}
		disk.release()
		closeCache(t, c)
	})
}

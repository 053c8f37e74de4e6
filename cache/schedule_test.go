package cache_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
)

var (
	schedules = flag.Int("schedules", 5_000, "adversarial fill and invalidate schedules to try")
	seed      = flag.Uint64("seed", 0, "seed of the random tests; 0: a new one")
)

func newSeed(t *testing.T) uint64 {
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("repeat with -seed=%d", s)
	return s
}

// A steppedRegistry has one value per name; a test decides when each call
// reads it and when it returns.
type steppedRegistry struct {
	mu    sync.Mutex
	value int
	calls []*steppedCall
}

type steppedCall struct {
	read   int // the value it read; 0: not yet
	result chan int
}

func (r *steppedRegistry) lookup(ctx context.Context) (int, error) {
	call := &steppedCall{result: make(chan int, 1)}
	r.mu.Lock()
	r.calls = append(r.calls, call)
	r.mu.Unlock()
	select {
	case v := <-call.result:
		return v, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// step lets a random call go on: first it reads, then it returns.
func (r *steppedRegistry) step(rng *rand.Rand) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.calls) == 0 {
		return
	}
	i := rng.IntN(len(r.calls))
	call := r.calls[i]
	if call.read == 0 {
		call.read = r.value
		return
	}
	r.calls = append(r.calls[:i:i], r.calls[i+1:]...)
	call.result <- call.read
}

func (r *steppedRegistry) idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.calls) == 0
}

// A subject is a cache under the schedules.
type subject interface {
	// lookup returns the value, and whether it is declared stale.
	lookup(name string) (value int, stale bool, err error)
	// invalidation is acknowledged when do returns; with mode hard, what was
	// read before may not be served at all, with mode none it covers another
	// name.
	invalidation(name string, rng *rand.Rand) (do func(), m registry.Mode)
}

type edgecacheSubject struct{ c *cache.Cache }

func (s edgecacheSubject) lookup(name string) (int, bool, error) {
	q := query(name)
	q.Timeout = time.Hour
	return s.look(q)
}

func (s edgecacheSubject) look(q *registry.Query) (int, bool, error) {
	a, err := s.c.Lookup(context.Background(), q)
	if err != nil {
		return 0, false, err
	}
	v, err := strconv.Atoi(a.Record.Instances[0].ID)
	return v, a.Stale, err
}

func (s edgecacheSubject) invalidation(name string, rng *rand.Rand) (do func(), m registry.Mode) {
	inv := &registry.Invalidation{Mode: registry.ModeSoft + registry.Mode(rng.IntN(3))}
	for range 1 + rng.IntN(2) {
		inv.Selectors = append(inv.Selectors, [...]registry.Selector{
			{Key: registry.Key{Name: name}}, {Key: registry.Key{Registry: "r", Name: name}},
			{Tag: "tag-" + name}, {Prefix: name}, {Key: registry.Key{Registry: "r"}}, {All: true},
		}[rng.IntN(6)])
	}
	return s.invalidate(inv), inv.Mode
}

func (s edgecacheSubject) invalidate(inv *registry.Invalidation) func() {
	return func() {
		if err := s.c.Invalidate(context.Background(), inv); err != nil && !errors.Is(err, registry.ErrNotDurable) {
			panic(err)
		}
	}
}

// A singleflightCache is how groupcache and its successors do it: the fill is
// coalesced, stored after it ends, and a removal removes what is stored.
type singleflightCache struct {
	source  *steppedRegistry
	mu      sync.Mutex
	values  map[string]int
	flights map[string]*singleflightCall
}

type singleflightCall struct {
	done  chan struct{}
	value int
	err   error
}

func (s *singleflightCache) lookup(name string) (int, bool, error) {
	s.mu.Lock()
	if v, ok := s.values[name]; ok {
		s.mu.Unlock()
		return v, false, nil
	}
	if f := s.flights[name]; f != nil {
		s.mu.Unlock()
		<-f.done
		return f.value, false, f.err
	}
	f := &singleflightCall{done: make(chan struct{})}
	s.flights[name] = f
	s.mu.Unlock()
	f.value, f.err = s.source.lookup(context.Background())
	s.mu.Lock()
	delete(s.flights, name)
	s.values[name] = f.value
	s.mu.Unlock()
	close(f.done)
	return f.value, false, f.err
}

func (s *singleflightCache) invalidation(name string, _ *rand.Rand) (do func(), m registry.Mode) {
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.values, name)
	}, registry.ModeSoft
}

// noAnswer are the failures that a lookup of a schedule may have.
var noAnswer = []error{registry.ErrRegistryFailed, registry.ErrRegistryTimeout, registry.ErrNotCached}

// A stepper lets one of the calls go on that it holds, or does something else
// that a schedule comes upon.
type stepper interface {
	step(rng *rand.Rand)
	idle() bool // it holds none
}

// runSchedule interleaves lookups, changes, invalidations and the steps of the
// registry's calls, and of others, at random and returns the first stale set: a
// lookup that began after an invalidation was acknowledged and got an older
// value as fresh, or at all if it was hard.
func runSchedule(s subject, r *steppedRegistry, name string, rng *rand.Rand, others ...stepper) error {
	var (
		mu               sync.Mutex
		violation        error
		floor, hardFloor int
		callers          sync.WaitGroup
	)
	r.mu.Lock()
	r.value++ // above all that was read before
	r.mu.Unlock()
	lookup := func() {
		mu.Lock()
		fresh, hard := floor, hardFloor
		mu.Unlock()
		callers.Go(func() {
			v, stale, err := s.lookup(name)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case violation != nil:
			case err != nil && !slices.ContainsFunc(noAnswer, func(none error) bool { return errors.Is(err, none) }):
				violation = err
			case err == nil && v < hard:
				violation = fmt.Errorf("served %d after a hard invalidation at %d", v, hard)
			case err == nil && !stale && v < fresh:
				violation = fmt.Errorf("served %d as fresh after an invalidation at %d", v, fresh)
			}
		})
	}
	steppers := append([]stepper{r}, others...)
	drain := func() {
		for {
			busy := slices.IndexFunc(steppers, func(s stepper) bool { return !s.idle() })
			if busy < 0 {
				return
			}
			steppers[busy].step(rng)
			synctest.Wait()
		}
	}
	for range 6 + len(others)*6 + rng.IntN(18) {
		switch rng.IntN(6) {
		case 0, 1:
			lookup()
		case 2:
			r.mu.Lock()
			r.value++
			r.mu.Unlock()
		case 3:
			value := r.value
			do, mode := s.invalidation(name, rng)
			callers.Go(func() {
				do()
				mu.Lock()
				defer mu.Unlock()
				if mode > registry.ModeNone {
					floor = max(floor, value)
				}
				if mode == registry.ModeHard {
					hardFloor = max(hardFloor, value)
				}
			})
		default:
			steppers[rng.IntN(len(steppers))].step(rng)
		}
		synctest.Wait()
	}
	drain()
	callers.Wait()
	lookup()
	synctest.Wait()
	drain()
	callers.Wait()
	return violation
}

func TestNoStaleSetUnderAdversarialSchedules(t *testing.T) {
	s := newSeed(t)
	synctest.Test(t, func(t *testing.T) {
		r := &steppedRegistry{}
		source := registry.SourceFunc(func(ctx context.Context, name string, _ *registry.Record) (*registry.Record, error) {
			v, err := r.lookup(ctx)
			if err != nil {
				return nil, err
			}
			return &registry.Record{Instances: []registry.Instance{instance(strconv.Itoa(v))}, Tags: []string{"tag-" + name}, Wishes: registry.NoWishes}, nil
		})
		zero := time.Duration(0)
		c := open(t, func(o *cache.Options) { o.Memory = 4 << 20 },
			cache.Registry{Name: "r", Kind: registry.KindService, Source: source, Timeout: time.Hour, Overrides: cache.Overrides{Verify: &zero}})
		rng := rand.New(rand.NewPCG(s, 1))
		for i := range *schedules {
			if err := runSchedule(edgecacheSubject{c}, r, fmt.Sprintf("n%d.", i), rng); err != nil {
				t.Fatalf("schedule %d: %v", i, err)
			}
		}
		t.Logf("%d schedules, %d flights voided by invalidations", *schedules, c.Stats().Voided)
		if c.Stats().Voided == 0 {
			t.Error("no invalidation met a flight: the schedules test nothing")
		}
	})
}

// The schedules find the stale set that singleflight caches have, so they
// would find ours.
func TestSchedulesFindTheStaleSetOfASingleflightCache(t *testing.T) {
	s := newSeed(t)
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(s, 2))
		for i := range 10_000 {
			r := &steppedRegistry{}
			subject := &singleflightCache{source: r, values: map[string]int{}, flights: map[string]*singleflightCall{}}
			if err := runSchedule(subject, r, "n", rng); err != nil {
				t.Logf("schedule %d: %v", i, err)
				return
			}
		}
		t.Error("10 000 schedules found no stale set in a cache that has one")
	})
}

package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

// A heldCall is one lookup of a heldSource, answered when the test says so.
type heldCall struct {
	name   string
	answer chan func() (*registry.Record, error)
}

// A heldSource hands each call to the test.
type heldSource chan heldCall

func (s heldSource) Lookup(ctx context.Context, name string, _ *registry.Record) (*registry.Record, error) {
	call := heldCall{name, make(chan func() (*registry.Record, error), 1)}
	s <- call
	select {
	case answer := <-call.answer:
		return answer()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (heldSource) Can() registry.Capabilities { return registry.Capabilities{} }

func (c heldCall) says(id string) {
	c.answer <- func() (*registry.Record, error) {
		return &registry.Record{Instances: []registry.Instance{instance(id)}, Wishes: registry.NoWishes}, nil
	}
}

func (c heldCall) saysAbsent() {
	c.answer <- func() (*registry.Record, error) { return nil, registry.ErrNotFound }
}

func (c heldCall) fails() {
	c.answer <- func() (*registry.Record, error) { return nil, errors.New("down") }
}

// holding opens a cache over a held source whose calls may take an hour.
func holding(t *testing.T) (*cache.Cache, heldSource) {
	s := make(heldSource, 64)
	zero := time.Duration(0)
	return open(t, nil, cache.Registry{Name: "r", Kind: registry.KindService, Source: s, Timeout: time.Hour,
		Overrides: cache.Overrides{Verify: &zero}}), s
}

// background looks web up without waiting for the answer.
func background(t *testing.T, c *cache.Cache, callers *sync.WaitGroup) {
	q := query("web")
	q.Timeout = time.Hour
	callers.Go(func() { c.Lookup(t.Context(), q) })
	synctest.Wait()
}

func invalidate(t *testing.T, c *cache.Cache, mode registry.Mode, sel ...registry.Selector) {
	t.Helper()
	if err := c.Invalidate(t.Context(), &registry.Invalidation{Mode: mode, Selectors: sel}); err != nil {
		t.Fatal(err)
	}
}

var web = registry.Selector{Key: registry.Key{Name: "web"}}

func TestOlderRecordNeverReplacesANewerAbsence(t *testing.T) {
	for _, mode := range []registry.Mode{registry.ModeSoft, registry.ModeVerify} {
		synctest.Test(t, func(t *testing.T) {
			c, s := holding(t)
			var callers sync.WaitGroup
			background(t, c, &callers)
			older := <-s
			invalidate(t, c, mode, web)
			background(t, c, &callers)
			(<-s).saysAbsent()
			synctest.Wait()
			older.says("ghost")
			callers.Wait()
			if a, err := c.Lookup(t.Context(), query("web")); !errors.Is(err, registry.ErrNotFound) || !a.Hit {
				t.Errorf("%s: %s, %v; want the newer answer, which is absence", mode, ids(a), err)
			}
		})
	}
}

func TestOlderAnswersChangeNothingOfANewerRecord(t *testing.T) {
	for what, end := range map[string]func(heldCall){"absent": heldCall.saysAbsent, "failed": heldCall.fails} {
		synctest.Test(t, func(t *testing.T) {
			c, s := holding(t)
			var callers sync.WaitGroup
			background(t, c, &callers)
			older := <-s
			invalidate(t, c, registry.ModeSoft, web)
			background(t, c, &callers)
			(<-s).says("a")
			synctest.Wait()
			end(older)
			callers.Wait()
			if a, err := c.Lookup(t.Context(), query("web")); err != nil || ids(a) != "a" || a.Stale || a.Details != 0 {
				t.Errorf("%s: %s; want a, fresh", what, describe(a, err))
			}
		})
	}
}

// others are selectors of so many names that the generations of names
// invalidated before are forgotten.
func others() []registry.Selector {
	list := make([]registry.Selector, 70_000)
	for i := range list {
		list[i].Key.Name = fmt.Sprint("other-", i)
	}
	return list
}

func TestAnswerOlderThanAForgottenInvalidationIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := holding(t)
		var callers sync.WaitGroup
		background(t, c, &callers)
		older := <-s
		invalidate(t, c, registry.ModeSoft, web)
		invalidate(t, c, registry.ModeSoft, others()...)
		older.saysAbsent()
		callers.Wait()
		background(t, c, &callers)
		select {
		case call := <-s:
			call.says("a")
		default:
			t.Error("an absence from before the invalidation is remembered")
		}
		callers.Wait()
	})
}

func TestAnswerOlderThanAForgottenHardInvalidationIsNeverServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := holding(t)
		var callers sync.WaitGroup
		q := query("web")
		q.Timeout = time.Hour
		callers.Go(func() {
			if a, err := c.Lookup(t.Context(), q); err != nil || ids(a) != "new" {
				t.Errorf("%s; want new", describe(a, err))
			}
		})
		older := <-s
		invalidate(t, c, registry.ModeHard, web)
		invalidate(t, c, registry.ModeSoft, others()...)
		older.says("old")
		(<-s).says("new")
		callers.Wait()
	})
}

func TestFullTagTableForgetsNoInvalidationOfWhatIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := registrytest.NewFake("r")
		for _, n := range []string{"web", "api"} {
			f.PutRecord(&registry.Record{Key: registry.Key{Name: n}, Instances: []registry.Instance{instance("a")}, Tags: []string{n}, Wishes: registry.NoWishes})
		}
		c := open(t, func(o *cache.Options) { o.TTL = time.Hour }, unwatched("r", f))
		c.Lookup(t.Context(), query("web"))
		c.Lookup(t.Context(), query("api"))
		invalidate(t, c, registry.ModeHard, registry.Selector{Tag: "web"})
		for i := range 3 {
			list := make([]registry.Selector, 40_000)
			for j := range list {
				list[j].Tag = fmt.Sprint("t", i, "-", j)
			}
			invalidate(t, c, registry.ModeSoft, list...)
		}
		q := query("web")
		q.OnlyCached = true
		if a, err := c.Lookup(t.Context(), q); err == nil {
			t.Errorf("web: %s after a hard invalidation of its tag", describe(a, err))
		}
		q.Name = "api"
		if a, err := c.Lookup(t.Context(), q); err != nil || a.Stale {
			t.Errorf("api: %s; no invalidation covers it", describe(a, err))
		}
	})
}

func TestHardInvalidationReachesWhoWaitsForARefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fill(registrytest.NewFake("r"))
		c := open(t, nil, unwatched("r", f))
		c.Lookup(t.Context(), query("web"))
		invalidate(t, c, registry.ModeVerify, web)
		f.SetDelay(time.Second)
		f.SetError(&registry.UpstreamError{Registry: "r", Status: 500, Err: errors.New("down")})
		var callers sync.WaitGroup
		callers.Go(func() {
			if a, err := c.Lookup(t.Context(), query("web")); err == nil {
				t.Errorf("%s after a hard invalidation", describe(a, err))
			}
		})
		time.Sleep(500 * time.Millisecond)
		invalidate(t, c, registry.ModeHard, web)
		callers.Wait()
	})
}

func TestVerifyAsksEvenWhileAnEmptyAnswerIsUnconfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fill(registrytest.NewFake("r"))
		c := open(t, nil, unwatched("r", f))
		c.Lookup(t.Context(), query("web"))
		f.Vanish("web")
		time.Sleep(40 * time.Second)
		if a, err := c.Lookup(t.Context(), query("web")); err != nil || !a.Stale {
			t.Fatalf("%s; want it kept", describe(a, err))
		}
		invalidate(t, c, registry.ModeVerify, web)
		if a, err := c.Lookup(t.Context(), query("web")); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("%s; want the registry's word", describe(a, err))
		}
	})
}

func TestMaxAgeNeverJoinsAnOlderFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fill(registrytest.NewFake("r"))
		f.Early = true
		f.SetDelay(time.Second)
		c := open(t, nil, unwatched("r", f))
		var callers sync.WaitGroup
		background(t, c, &callers)
		time.Sleep(500 * time.Millisecond)
		f.Put("web", instance("b"))
		q := query("web")
		q.MaxAge = 0
		if a, err := c.Lookup(t.Context(), q); err != nil || ids(a) != "b" {
			t.Errorf("%s; want what the registry said when it was asked", describe(a, err))
		}
		callers.Wait()
	})
}

func TestKeptAnswerIsNotServedBeyondMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fill(registrytest.NewFake("r"))
		c := open(t, nil, unwatched("r", f))
		c.Lookup(t.Context(), query("web"))
		time.Sleep(20 * time.Second)
		f.Vanish("web") // the first empty answer is not believed
		q := query("web")
		q.MaxAge = 5 * time.Second
		if a, err := c.Lookup(t.Context(), q); !errors.Is(err, registry.ErrTooOld) {
			t.Errorf("%s; want too old", describe(a, err))
		}
	})
}

func TestBreakerOutlivesAProbeThatAnInvalidationOvertook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := registrytest.NewFake("r")
		f.SetError(failWith(500))
		c := open(t, nil, unwatched("r", f))
		for i := range 6 {
			c.Lookup(t.Context(), query(fmt.Sprint("n", i)))
		}
		f.SetError(nil)
		f.Put("web", instance("a"))
		time.Sleep(2 * time.Second)
		release := f.Hold()
		ctx, cancel := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		callers.Go(func() { c.Lookup(ctx, query("web")) }) // the probe
		synctest.Wait()
		cancel()
		callers.Wait()
		invalidate(t, c, registry.ModeHard, registry.Selector{All: true}) // nobody waits: it is given up
		release()
		time.Sleep(5 * time.Second)
		if a, err := c.Lookup(t.Context(), query("web")); err != nil || ids(a) != "a" || breaker(c) != "closed" {
			t.Errorf("%s, breaker %s; want the next probe to close it", describe(a, err), breaker(c))
		}
	})
}

func TestConfirmationsAreKeptForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, nil, unwatched("r", fill(registrytest.NewFake("r"))))
		inv := &registry.Invalidation{Mode: registry.ModeVerify, Selectors: []registry.Selector{web}}
		if err := c.Invalidate(t.Context(), inv); err != nil {
			t.Fatal(err)
		}
		time.Sleep(59 * time.Minute)
		if got, err := c.Await(t.Context(), inv.ID(), registry.LevelAll); err != nil || len(got.Confirmed) != 1 {
			t.Errorf("%+v, %v; want it confirmed by this node", got, err)
		}
		time.Sleep(2 * time.Minute)
		if _, ok := c.Confirmation(inv.ID()); ok {
			t.Error("still known after more than an hour")
		}
	})
}

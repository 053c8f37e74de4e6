package cache_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
)

// A loggedJournal has invalidations from before a restart.
type loggedJournal struct {
	mode      registry.Mode
	selectors []registry.Selector
}

func (loggedJournal) Append(context.Context, *registry.Invalidation, registry.Applied) error {
	return nil
}

func (loggedJournal) Records(context.Context, []registry.Received) error {
	return nil
}

func (loggedJournal) Forget([]registry.Selector, uint64) error { return nil }
func (loggedJournal) Position() uint64                         { return 10 }

func (j loggedJournal) Generations(yield func(registry.Selector, registry.Mode, uint64)) error {
	for _, s := range j.selectors {
		yield(s, j.mode, 20)
	}
	return nil
}

func TestFetchFromBeforeTheLogWasReadIsJudgedByIt(t *testing.T) {
	for _, sel := range []registry.Selector{web, {Key: registry.Key{Registry: "m", Name: "web"}}, {Prefix: "w"}, {Key: registry.Key{Registry: "m"}}, {All: true}} {
		synctest.Test(t, func(t *testing.T) {
			s := make(heldSource, 64)
			o := cache.Defaults()
			o.Journal = loggedJournal{registry.ModeHard, []registry.Selector{sel}}
			o.Registries = []cache.Registry{{Name: "r", Kind: registry.KindService, Source: s},
				{Name: "m", Kind: registry.KindService, Of: []string{"r"}}}
			c, err := cache.New(o)
			if err != nil {
				t.Fatal(err)
			}
			var callers sync.WaitGroup
			callers.Go(func() {
				q := query("web")
				q.Registry = "r"
				if a, err := c.Lookup(context.Background(), q); err != nil || ids(a) != "new" {
					t.Errorf("%+v: %s; want new", sel, describe(a, err))
				}
			})
			older := <-s
			if err := c.Open(); err != nil {
				t.Fatal(err)
			}
			older.says("old")
			(<-s).says("new")
			callers.Wait()
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

package cache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
)

// An invalidation whose mark is not on disk yet covers what is read from it,
// though its generation was forgotten.
func TestForgottenInvalidationCoversWhatTheDiskDoesNotKnowOf(t *testing.T) {
	other := func(i int) registry.Selector {
		return registry.Selector{Key: registry.Key{Name: fmt.Sprint("other", i)}}
	}
	for _, mode := range []registry.Mode{registry.ModeVerify, registry.ModeHard} {
		for _, fails := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				f := tagged()
				s, start := onDisk(t, f, nil)
				f.SetError(errors.New("down"))
				c := start()
				cache.Forget(c, 1, 1000)
				var release func()
				var callers sync.WaitGroup
				inv := &registry.Invalidation{Mode: mode, Selectors: []registry.Selector{web}}
				if fails {
					s.breakDown("append", errIO)
					release = s.stop("mark")
					if err := c.Invalidate(t.Context(), inv); !errors.Is(err, registry.ErrNotDurable) {
						t.Fatal(err)
					}
					s.breakDown("append", nil)
				} else {
					release = s.stop("append")
					callers.Go(func() { c.Invalidate(t.Context(), inv) })
				}
				synctest.Wait()
				for i := range 3 {
					c.Apply(&registry.Invalidation{Mode: mode, Selectors: []registry.Selector{other(i)}})
				}
				coveredAnswer(t, c, mode)
				cache.Squeeze(c)
				release()
				callers.Wait()
				synctest.Wait()
				cache.Squeeze(c)
				coveredAnswer(t, c, mode) // by its mark on disk
				if mode == registry.ModeVerify {
					s.mu.Lock()
					if got := s.stored(registry.Key{Registry: "r", Name: "web"}); got.Mode != mode {
						t.Errorf("on disk it is marked %s", got.Mode)
					}
					s.mu.Unlock()
				}
				closeCache(t, c)
			})
		}
	}
}

func TestInvalidationThatTheDiskDidNotTakeIsForgottenWithItsDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := tagged()
		s, start := onDisk(t, f, nil)
		c := start()
		c.Lookup(t.Context(), query("web"))
		cache.Forget(c, 1, 1000)
		s.breakDown("append", errIO)
		release := s.stop("mark")
		for i := range 3 {
			sel := registry.Selector{Key: registry.Key{Name: fmt.Sprint("other", i)}}
			c.Invalidate(t.Context(), &registry.Invalidation{Mode: registry.ModeHard, Selectors: []registry.Selector{sel}})
		}
		s.renew(0)
		release()
		s.breakDown("append", nil)
		time.Sleep(5 * time.Second)
		s.renew(2)
		time.Sleep(time.Minute)
		cache.Squeeze(c)
		f.SetError(errors.New("down"))
		if a, err := cached(c, "web"); err != nil {
			t.Errorf("from the fresh directory: %s", describe(a, err))
		}
		closeCache(t, c)
	})
}

func TestInvalidationWaitsForTheJournalForABoundedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &patientJournal{newMapStore()}
		c := openOver(t, s, nil, unwatched("r", tagged()))
		began := time.Now()
		err := c.Invalidate(context.Background(), &registry.Invalidation{Mode: registry.ModeHard, Selectors: []registry.Selector{web}})
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != time.Minute {
			t.Errorf("%v after %s, want the end of its time after a minute", err, took)
		}
		closeCache(t, c)
	})
}

// A patientJournal appends nothing before the caller's time is up.
type patientJournal struct{ *mapStore }

func (j *patientJournal) Append(ctx context.Context, _ *registry.Invalidation, _ registry.Applied) error {
	<-ctx.Done()
	return ctx.Err()
}

// The generations of tags and prefixes that a full table forgets cover what is
// on disk, wherever it was when they were forgotten.
func TestFullTableForgetsNoInvalidationOfWhatIsOnDisk(t *testing.T) {
	fill := func(t *testing.T, c *cache.Cache) {
		for i := range 20 {
			invalidate(t, c, registry.ModeSoft, registry.Selector{Tag: fmt.Sprint("other", i)})
			synctest.Wait() // a sweep is over, or held
		}
	}
	places := map[string]func(t *testing.T, c *cache.Cache, s *mapStore){
		"on disk": func(t *testing.T, c *cache.Cache, s *mapStore) {
			cache.Squeeze(c)
			fill(t, c)
		},
		"waiting to be written": func(t *testing.T, c *cache.Cache, s *mapStore) {
			release := s.stop("write")
			c.Refresh(t.Context(), []registry.Selector{{Key: registry.Key{Name: "first"}}}) // is being written
			c.Refresh(t.Context(), []registry.Selector{{Key: registry.Key{Name: "late"}}})  // waits
			invalidate(t, c, registry.ModeHard, registry.Selector{Tag: "y"}, registry.Selector{Prefix: "late"})
			cache.Squeeze(c)
			fill(t, c)
			synctest.Wait()
			release()
		},
		"being written": func(t *testing.T, c *cache.Cache, s *mapStore) {
			release := s.stop("write")
			c.Refresh(t.Context(), []registry.Selector{{Key: registry.Key{Name: "late"}}})
			invalidate(t, c, registry.ModeHard, registry.Selector{Tag: "y"}, registry.Selector{Prefix: "late"})
			cache.Squeeze(c)
			fill(t, c)
			synctest.Wait()
			release()
		},
		"being read": func(t *testing.T, c *cache.Cache, s *mapStore) {
			cache.Squeeze(c)
			release := s.stopDone("get")
			go cached(c, "web")
			synctest.Wait()
			s.mu.Lock()
			s.hold = nil
			s.mu.Unlock()
			fill(t, c)
			synctest.Wait()
			release()
		},
	}
	for what, place := range places {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := tagged()
				for _, name := range []string{"first", "late"} {
					f.PutRecord(&registry.Record{Key: registry.Key{Name: name}, Instances: []registry.Instance{instance("a")}, Tags: []string{"y"}, Wishes: registry.NoWishes})
				}
				s := newMapStore()
				c := openOver(t, s, nil, unwatched("r", f))
				cache.Forget(c, 1000, 4)
				c.Lookup(t.Context(), query("web"))
				synctest.Wait()
				invalidate(t, c, registry.ModeHard, registry.Selector{Tag: "x"}, registry.Selector{Prefix: "we"})
				f.SetError(errors.New("down"))
				if what != "on disk" && what != "being read" {
					f.SetError(nil)
				}
				place(t, c, s)
				f.SetError(errors.New("down"))
				synctest.Wait()
				cache.Squeeze(c)
				for range 2 {
					for _, name := range []string{"web", "late"} {
						if a, err := cached(c, name); err == nil {
							t.Errorf("%s: %s after a hard invalidation", name, describe(a, err))
						}
					}
					if left := len(s.wide); left > 10 && !strings.HasPrefix(what, "waiting") && !strings.HasSuffix(what, "written") {
						t.Errorf("%d generations left on disk", left)
					}
					closeCache(t, c)
					c = openOver(t, s, nil, unwatched("r", f))
				}
				closeCache(t, c)
			})
		})
	}
}

func TestFullTableDoesNotGrowWhileTheDiskHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := tagged()
		s, start := onDisk(t, f, nil)
		f.SetError(errors.New("down"))
		c := start()
		cache.Forget(c, 1000, 4)
		release := s.stop("scan")
		invalidate(t, c, registry.ModeVerify, registry.Selector{Tag: "x"})
		for i := range 100 {
			invalidate(t, c, registry.ModeSoft, registry.Selector{Prefix: fmt.Sprint("other", i)})
		}
		if got := cache.Generations(c); got > 20 {
			t.Errorf("%d generations kept", got)
		}
		coveredAnswer(t, c, registry.ModeVerify)
		release()
		closeCache(t, c)
		c = start()
		coveredAnswer(t, c, registry.ModeVerify)
		closeCache(t, c)
	})
}

func TestSweepThatTheDiskRefusesForgetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := tagged()
		s, start := onDisk(t, f, nil)
		f.SetError(errors.New("down"))
		c := start()
		cache.Forget(c, 1000, 4)
		s.breakDown("scan", errIO)
		invalidate(t, c, registry.ModeHard, registry.Selector{Tag: "x"})
		for i := range 10 {
			invalidate(t, c, registry.ModeSoft, registry.Selector{Prefix: fmt.Sprint("other", i)})
		}
		synctest.Wait()
		coveredAnswer(t, c, registry.ModeHard)
		if got := s.called("forget"); got > 0 {
			t.Error("generations were taken off the disk that no entry was marked with")
		}
		s.breakDown("scan", nil)
		time.Sleep(time.Minute)
		if got := s.called("forget"); got == 0 {
			t.Error("the sweep is not tried again")
		}
		closeCache(t, c)
	})
}

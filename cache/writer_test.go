package cache_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

// Close writes for a bounded time, also if it comes while the writer gathers.
func TestCloseWhileTheWriterGathersIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const names = 8000
		s := newMapStore()
		f := registrytest.NewFake("r")
		for i := range names {
			f.Put(fmt.Sprint("n", i), instance("a"))
		}
		c := openOver(t, s, func(o *cache.Options) { o.TTL = time.Hour }, unwatched("r", f))
		for i := range 20 { // until it gathers
			c.Lookup(t.Context(), query(fmt.Sprint("n", i)))
			synctest.Wait()
		}
		if cache.Unfinished(c) == 0 {
			t.Fatal("the writer does not gather")
		}
		for i := range names {
			c.Lookup(t.Context(), query(fmt.Sprint("n", i)))
		}
		s.mu.Lock()
		s.hold = func(what string, _ registry.Key, do func()) {
			if what == "write" {
				time.Sleep(time.Second)
			}
			do()
		}
		s.mu.Unlock()
		began, before := time.Now(), s.called("write")
		closeCache(t, c)
		if took, n := time.Since(began), s.called("write")-before; took >= 6*time.Second || n > 6 {
			t.Errorf("Close took %s for %d writes of a second, want less than six of both", took, n)
		}
	})
}

// What replaces an entry while that is written, and has the same record, is on
// disk too: then it is confirmed there and not written again.
func TestWhatIsReplacedWhileItIsWrittenIsNotWrittenAgain(t *testing.T) {
	replace := map[string]func(t *testing.T, c *cache.Cache, f *registrytest.Fake){
		"a failure is noted": func(t *testing.T, c *cache.Cache, f *registrytest.Fake) {
			f.SetError(errors.New("down"))
			q := query("web")
			q.MaxAge = 0
			if _, err := c.Lookup(t.Context(), q); err == nil {
				t.Error("the fetch did not fail")
			}
			f.SetError(nil)
		},
		"it left memory and comes back": func(t *testing.T, c *cache.Cache, _ *registrytest.Fake) {
			cache.Squeeze(c)
			if a, err := cached(c, "web"); err != nil || ids(a) != "a" {
				t.Error(describe(a, err))
			}
		},
	}
	for name, replaced := range replace {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, f := newMapStore(), registrytest.NewFake("r")
				f.Put("web", instance("a"))
				c := openOver(t, s, nil, unwatched("r", f))
				release := s.stop("write")
				if a, err := c.Lookup(t.Context(), query("web")); err != nil || ids(a) != "a" {
					t.Fatal(describe(a, err))
				}
				synctest.Wait()
				replaced(t, c, f)
				release()
				time.Sleep(time.Minute)
				q := query("web")
				q.MaxAge = 0
				if a, err := c.Lookup(t.Context(), q); err != nil || ids(a) != "a" {
					t.Error(describe(a, err))
				}
				time.Sleep(time.Second)
				if puts, confirms, _ := s.count("web"); puts != 1 || confirms == 0 {
					t.Errorf("written %d times and confirmed %d times, want once and at least once", puts, confirms)
				}
				closeCache(t, c)
			})
		})
	}
}

package cache_test

import (
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

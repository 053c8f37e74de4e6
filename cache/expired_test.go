package cache_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

// The store deletes what expired, while memory may still have its record.
func TestWhatExpiredOnDiskIsWrittenAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := newMapStore(), registrytest.NewFake("r")
		f.Put("web", instance("a"))
		c := openOver(t, s, func(o *cache.Options) { o.StaleIfError = 10 * time.Minute }, unwatched("r", f))
		defer closeCache(t, c)
		key := registry.Key{Registry: "r", Name: "web"}
		look := func() { c.Lookup(t.Context(), query("web")); synctest.Wait() }
		look()
		f.SetError(errors.New("down"))
		time.Sleep(11 * time.Minute)
		s.mu.Lock()
		delete(s.kept, key)
		s.mu.Unlock()
		f.SetError(nil)
		time.Sleep(time.Minute)
		look()
		time.Sleep(time.Minute)
		if kept, err := s.Get(key); kept == nil || err != nil {
			t.Errorf("the disk has %v, %v after the registry was back", kept, err)
		}
	})
}

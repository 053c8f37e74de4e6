package cache

import (
	"testing"
	"testing/synctest"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

func TestARefreshOfWhatWasReplacedMeanwhileIsNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := registrytest.NewFake("r")
		fake.SetEmpty("web")
		o := Defaults()
		o.Registries = []Registry{{Name: "r", Type: "fake", Kind: registry.KindService, Source: fake, Identity: "r"}}
		c, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Open(); err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ask := func() {
			q := &registry.Query{Name: "web", Timeout: maxLookup, Select: registry.DefaultSelect}
			if _, err := c.Lookup(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
		ask()
		key := registry.Key{Registry: "r", Name: "web"}
		seen := c.mem.peek(key)
		ask()
		calls := fake.Calls("web")
		c.fetchSoon(c.ups.Load().byName["r"], "web", seen)
		synctest.Wait()
		if n := fake.Calls("web") - calls; n != 0 {
			t.Errorf("%d calls: what the caller saw had been replaced by something fresh", n)
		}
		c.fetchSoon(c.ups.Load().byName["r"], "web", c.mem.peek(key))
		synctest.Wait()
		if n := fake.Calls("web") - calls; n != 1 {
			t.Errorf("%d calls, want one", n)
		}
	})
}

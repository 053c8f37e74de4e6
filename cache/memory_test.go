package cache_test

import (
	"errors"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

var invented = flag.Int("invented", 20_000, "names that do not exist to look up")

func TestInventedNamesEvictNoRealOne(t *testing.T) {
	f := registrytest.NewFake("r")
	const real = 300
	for i := range real {
		f.Put(fmt.Sprintf("real-%d", i), instance("a"))
	}
	c := open(t, func(o *cache.Options) { o.Memory, o.TTL, o.StaleIfError = 2<<20, time.Hour, 24*time.Hour }, unwatched("r", f))
	look := func(name string) (registry.Answer, error) { return c.Lookup(t.Context(), query(name)) }
	for i := range real {
		if _, err := look(fmt.Sprintf("real-%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range *invented {
		if _, err := look(fmt.Sprintf("invented-%d", i)); !errors.Is(err, registry.ErrNotFound) {
			t.Fatalf("invented-%d: %v", i, err)
		}
	}
	for i := range real {
		if a, err := look(fmt.Sprintf("real-%d", i)); err != nil || !a.Hit {
			t.Errorf("real-%d was evicted: hit=%t, %v", i, a.Hit, err)
		}
	}
	if m := c.Memory(); m.Bytes > m.Limit {
		t.Errorf("%d bytes in use of %d", m.Bytes, m.Limit)
	}
}

func TestMemoryStaysWithinItsBudget(t *testing.T) {
	f := registrytest.NewFake("r")
	const names = 4000
	for i := range names {
		f.Put(fmt.Sprintf("n%d", i), instance("a"))
	}
	c := open(t, func(o *cache.Options) { o.Memory = 1 << 20 }, unwatched("r", f))
	for i := range names {
		if _, err := c.Lookup(t.Context(), query(fmt.Sprintf("n%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	rows, _ := c.Entries(registry.EntriesQuery{})
	if len(rows) == 0 || len(rows) >= names {
		t.Errorf("%d of %d entries are held in 1 MiB", len(rows), names)
	}
}

func TestIndexRisesAcrossEviction(t *testing.T) {
	f := registrytest.NewFake("r")
	f.Put("web", instance("a"))
	c := open(t, func(o *cache.Options) { o.Memory = 1 << 20 }, unwatched("r", f))
	first, err := c.Lookup(t.Context(), query("web"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5000 {
		name := fmt.Sprintf("n%d", i)
		f.Put(name, instance("a"))
		c.Lookup(t.Context(), query(name))
	}
	second, err := c.Lookup(t.Context(), query("web"))
	if err != nil {
		t.Fatal(err)
	}
	if second.Index < first.Index || !second.Hit && second.Index == first.Index {
		t.Errorf("index %d before the eviction, %d after", first.Index, second.Index)
	}
}

package cache_test

import (
	"context"
	"testing"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

// A lagging owner has a record, and has not heard of any invalidation.
type laggingOwner struct {
	cache.Cluster
	copy registry.Copy
}

func (p *laggingOwner) Publish(*registry.Invalidation, bool) {}
func (p *laggingOwner) Push([]registry.Ask)                  {}
func (p *laggingOwner) Synced() bool                         { return true }
func (p *laggingOwner) Owns(registry.Key) bool               { return false }
func (p *laggingOwner) Fetch(context.Context, registry.Ask) (registry.Copy, uint64, bool) {
	return p.copy, 0, p.copy.Record != nil
}

func TestAnOwnerThatLacksAnInvalidationIsNotBelieved(t *testing.T) {
	fake := registrytest.NewFake("r")
	fake.Put("web", instance("old"))
	owner := &laggingOwner{}
	c := open(t, func(o *cache.Options) { o.Cluster = owner }, unwatched("r", fake))
	a, err := c.Lookup(t.Context(), query("web"))
	if err != nil {
		t.Fatal(err)
	}
	owner.copy = registry.Copy{Entry: registry.Entry{Key: a.Record.Key, Record: a.Record}, Fresh: true}
	fake.Put("web", instance("new"))
	inv := &registry.Invalidation{Mode: registry.ModeVerify, Selectors: []registry.Selector{{Key: registry.Key{Name: "web"}}}}
	if err := c.Invalidate(t.Context(), inv); err != nil {
		t.Fatal(err)
	}
	if a, err = c.Lookup(t.Context(), query("web")); err != nil || a.Stale || ids(a) != "new" {
		t.Errorf("%s, stale %t, %v; want what the registry says", ids(a), a.Stale, err)
	}
}

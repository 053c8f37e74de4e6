package cache_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

// An oldPeer is a cluster with one peer that calls anything fresh.
type oldPeer struct {
	cache.Cluster
	age time.Duration
}

func (p *oldPeer) Publish(*registry.Invalidation, bool) {}
func (p *oldPeer) Synced() bool                         { return true }
func (p *oldPeer) Owns(registry.Key) bool               { return true }
func (p *oldPeer) Copies(_ context.Context, a registry.Ask) []registry.PeerCopy {
	cp := registry.Copy{Entry: registry.Entry{Key: a.Key}, Age: p.age, Fresh: true}
	return []registry.PeerCopy{{Name: "edge-2", Copy: cp}}
}

func TestSamplesFindWhoServesOlder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := &oldPeer{}
		e := open(t, func(o *cache.Options) { o.Cluster = peer }, unwatched("r", registrytest.NewFake("r")))
		for _, c := range []struct {
			age                time.Duration
			verified, violated uint64
		}{{time.Second, 1, 0}, {time.Minute, 1, 1}} {
			peer.age = c.age
			inv := &registry.Invalidation{Mode: registry.ModeVerify, Selectors: []registry.Selector{{Key: registry.Key{Name: "web"}}}}
			if err := e.Invalidate(t.Context(), inv); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			if s := e.Stats(); s.Verified != c.verified || s.Violated != c.violated {
				t.Errorf("age %s: %d verified, %d violated; want %d and %d", c.age, s.Verified, s.Violated, c.verified, c.violated)
			}
		}
	})
}

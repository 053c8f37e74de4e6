package gossip_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/edgecache/edgecache/gossip"
	"github.com/edgecache/edgecache/registry"
)

// Clients that give up, of a node without a majority, leave nothing behind.
func TestWhoGaveUpIsForgotten(t *testing.T) {
	all := cluster(t, "edge-1", "edge-2")
	m := all[0]
	m.node.Isolate(true)
	m.mustSync(false)
	inv := &registry.Invalidation{Mode: registry.ModeVerify, Selectors: []registry.Selector{{Key: registry.Key{Name: "web"}}}}
	if err := m.cache.Invalidate(t.Context(), inv); err != nil {
		t.Fatal(err)
	}
	const clients = 1000
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	var waiting sync.WaitGroup
	for range clients {
		waiting.Go(func() {
			if c, err := m.node.Await(ctx, inv, registry.LevelQuorum); !errors.Is(err, context.Canceled) || len(c.Confirmed) != 1 {
				t.Errorf("%+v, %v; want one that confirmed, and that it was given up", c, err)
			}
		})
	}
	wait := func(want int) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d wait", want), func() error {
			if callers, core := gossip.Waiting(m.node); callers != want || core != want {
				return fmt.Errorf("%d callers and %d of the core wait", callers, core)
			}
			return nil
		})
	}
	wait(clients)
	giveUp()
	waiting.Wait()
	wait(0)
	m.node.Isolate(false)
	if c, err := m.invalidate(registry.LevelAll, 20*time.Second); err != nil || len(c.Confirmed) != 2 {
		t.Errorf("%+v, %v; want two that confirmed", c, err)
	}
	wait(0)
}

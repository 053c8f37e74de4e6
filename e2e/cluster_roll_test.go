package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A balancer sends requests to the nodes that say that they are ready, and
// tries none twice.
type balancer struct {
	f     *fleet
	ready []atomic.Bool
	wg    sync.WaitGroup
	stop  context.CancelFunc

	lookups, invalidations atomic.Int64
	mu                     sync.Mutex // protects failed
	failed                 []string
}

const askReady = 100 * time.Millisecond

func newBalancer(f *fleet) *balancer {
	ctx, cancel := context.WithCancel(f.t.Context())
	b := &balancer{f: f, ready: make([]atomic.Bool, len(f.sites)), stop: cancel}
	for i := range f.sites {
		b.ready[i].Store(true)
		b.wg.Go(func() { b.watch(ctx, i) })
	}
	for caller := range 4 {
		b.wg.Go(func() { b.call(ctx, caller) })
	}
	return b
}

// watch asks a node whether it is ready, again and again.
func (b *balancer) watch(ctx context.Context, i int) {
	pace := time.NewTicker(askReady)
	defer pace.Stop()
	for {
		a, err := b.f.send(patience, http.MethodGet, b.f.sites[i].data+"/readyz", nil)
		b.ready[i].Store(err == nil && a.status == http.StatusOK)
		select {
		case <-pace.C:
		case <-ctx.Done():
			return
		}
	}
}

// call sends requests one after the other; one in ten is an invalidation, which
// a majority must confirm.
func (b *balancer) call(ctx context.Context, caller int) {
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		<-pace.C
		i := rand.IntN(len(b.ready))
		if !b.ready[i].Load() {
			continue
		}
		service := fmt.Sprintf("s-%d", rand.IntN(8))
		var err error
		if n%10 == 0 {
			_, err = b.f.invalidate(i, service, "verify", "quorum", deadline)
			b.invalidations.Add(1)
		} else {
			_, _, err = b.f.lookup(i, service, deadline)
			b.lookups.Add(1)
		}
		if err != nil {
			b.mu.Lock()
			b.failed = append(b.failed, fmt.Sprintf("%s caller %d, request %d, edge-%d: %v", time.Now().Format(time.StampMilli), caller, n, i+1, err))
			b.mu.Unlock()
		}
	}
}

func (b *balancer) failures() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed
}

// Every node of a cluster is stopped and started again, one after the other,
// behind a load balancer that heeds /readyz: no request fails.
func TestARollingRestartFailsNoRequest(t *testing.T) {
	t.Parallel()
	f := newFleet(t, outfit{nodes: 3, binary: program, drain: 2 * time.Second})
	b := newBalancer(f)
	defer func() {
		b.stop()
		b.wg.Wait()
	}()
	goesOn := func() {
		t.Helper()
		more := b.lookups.Load() + 50
		eventually(t, "requests go on", func() error {
			if got := b.lookups.Load(); got < more {
				return fmt.Errorf("%d lookups", got)
			}
			return nil
		})
	}
	goesOn()
	for i := range f.sites {
		f.nodes[i].stop()
		goesOn()
		f.restart(i)
		eventually(t, "all nodes have the same under load", f.synced)
		eventually(t, "the balancer sends it requests", func() error {
			if !b.ready[i].Load() {
				return fmt.Errorf("edge-%d is not ready", i+1)
			}
			return nil
		})
		goesOn()
		if list := b.failures(); len(list) > 0 {
			t.Fatalf("restart of edge-%d: %d requests failed; the first: %s", i+1, len(list), list[0])
		}
	}
	b.stop()
	b.wg.Wait()
	if list := b.failures(); len(list) > 0 {
		t.Errorf("%d requests failed; the first: %s", len(list), list[0])
	}
	f.sameInTheEnd([]string{"s-0"})
	t.Logf("3 restarts under %d lookups and %d invalidations, none failed", b.lookups.Load(), b.invalidations.Load())
}

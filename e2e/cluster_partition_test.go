package e2e_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var clusterApart = flag.Duration("cluster.apart", 10*time.Second, "how long one node of three is cut off under load")

// A gauge is what the process of a node takes.
type gauge struct {
	goroutines     float64
	resident, heap float64 // bytes
}

// measure asks a node for what it takes.
func (f *fleet) measure(i int) (g gauge, err error) {
	a, err := f.send(deadline, http.MethodGet, f.sites[i].admin+"/metrics", nil)
	if err != nil {
		return g, err
	}
	for line, value := range map[string]*float64{
		"go_goroutines": &g.goroutines, "process_resident_memory_bytes": &g.resident, "go_memstats_heap_inuse_bytes": &g.heap,
	} {
		_, rest, found := strings.Cut(string(a.body), "\n"+line+" ")
		if _, err := fmt.Sscan(rest, value); !found || err != nil {
			return g, fmt.Errorf("no %s in the metrics: %w", line, err)
		}
	}
	return g, nil
}

func (g gauge) most(other gauge) gauge {
	return gauge{max(g.goroutines, other.goroutines), max(g.resident, other.resident), max(g.heap, other.heap)}
}

func (g gauge) String() string {
	return fmt.Sprintf("%.0f goroutines, %.1f MiB resident, %.1f MiB of heap", g.goroutines, g.resident/(1<<20), g.heap/(1<<20))
}

// Sides are clients on both sides of a cut: each node is asked all the time,
// and told of invalidations that are acknowledged by its own disk.
type sides struct {
	f    *fleet
	stop context.CancelFunc
	wg   sync.WaitGroup

	lookups, invalidations, failed atomic.Int64
	mu                             sync.Mutex     // protects newest
	newest                         map[string]int // version that was acknowledged by the node that took it
}

const (
	lookEvery       = 5 * time.Millisecond // each node
	invalidateEvery = 30 * time.Millisecond
)

func newSides(f *fleet) *sides {
	ctx, cancel := context.WithCancel(f.t.Context())
	s := &sides{f: f, stop: cancel, newest: map[string]int{}}
	for i := range f.sites {
		s.every(ctx, lookEvery, func() {
			if _, _, err := f.lookup(i, s.service(), deadline); err != nil {
				s.failed.Add(1)
			}
			s.lookups.Add(1)
		})
		s.every(ctx, invalidateEvery, func() { s.invalidate(i) })
	}
	return s
}

func (s *sides) service() string { return fmt.Sprintf("s-%d", rand.IntN(100)) }

func (s *sides) invalidate(i int) {
	service := s.service()
	version := s.f.versions.next(service)
	if _, err := s.f.invalidate(i, service, "verify", "local", deadline); err != nil {
		s.failed.Add(1)
		return
	}
	s.invalidations.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest[service] = max(s.newest[service], version)
}

func (s *sides) every(ctx context.Context, pause time.Duration, do func()) {
	s.wg.Go(func() {
		pace := time.NewTicker(pause)
		defer pace.Stop()
		for ctx.Err() == nil {
			do()
			<-pace.C
		}
	})
}

func (s *sides) end() {
	s.stop()
	s.wg.Wait()
}

// Of three nodes one is cut off under load. All go on answering, none grows,
// and once they meet again all soon have the same.
func TestAPartitionUnderLoadCostsNoMemory(t *testing.T) {
	t.Parallel()
	f := newFleet(t, outfit{nodes: 3, binary: shipped(t)})
	s := newSides(f)
	defer s.end()
	f.network.cut([]int{2})
	early, late := s.watchedFor(*clusterApart)
	s.end()
	if err := f.settled(); err == nil {
		t.Error("all nodes hear each other, and one was cut off")
	}
	f.network.heal()
	healed := time.Now()
	eventually(t, "all nodes have the same", f.settled)
	took := time.Since(healed)
	if took > 10*time.Second {
		t.Errorf("they have the same %s after the network was healed, want at most 10 s", took)
	}
	for i := range f.sites {
		t.Logf("edge-%d: first quarter %v; second half %v", i+1, early[i], late[i])
		if late[i].goroutines > 1.5*early[i].goroutines+50 {
			t.Errorf("edge-%d: goroutines grew", i+1)
		}
		if late[i].resident > 1.5*early[i].resident+64<<20 {
			t.Errorf("edge-%d: memory grew", i+1)
		}
	}
	if failed := s.failed.Load(); failed > 0 {
		t.Errorf("%d requests failed", failed)
	}
	if s.invalidations.Load() < 30 || s.lookups.Load() < 100 {
		t.Error("too little load to prove anything")
	}
	s.mustHaveReached()
	t.Logf("apart for %s under %d lookups and %d invalidations, the same again %s after the network was healed",
		*clusterApart, s.lookups.Load(), s.invalidations.Load(), took.Round(time.Millisecond))
}

// watchedFor measures all nodes for a while and returns the most that each took
// in the first quarter, and in the second half.
func (s *sides) watchedFor(lasting time.Duration) (early, late []gauge) {
	s.f.t.Helper()
	early, late = make([]gauge, len(s.f.sites)), make([]gauge, len(s.f.sites))
	pace := time.NewTicker(max(lasting/100, 200*time.Millisecond))
	defer pace.Stop()
	for began := time.Now(); time.Since(began) < lasting; <-pace.C {
		for i := range s.f.sites {
			g, err := s.f.measure(i)
			if err != nil {
				s.f.t.Fatal(err)
			}
			switch passed := time.Since(began); {
			case passed < lasting/4:
				early[i] = early[i].most(g)
			case passed > lasting/2:
				late[i] = late[i].most(g)
			}
		}
	}
	return early, late
}

// mustHaveReached checks on every node what was told on either side.
func (s *sides) mustHaveReached() {
	s.f.t.Helper()
	for service, newest := range s.newest {
		for i := range s.f.sites {
			switch version, fresh, err := s.f.lookup(i, service, deadline); {
			case err != nil:
				s.f.t.Errorf("edge-%d: %v", i+1, err)
			case fresh && version < newest:
				s.f.t.Errorf("edge-%d: %s is %d and fresh, and %d was acknowledged on one side of the cut", i+1, service, version, newest)
			}
		}
	}
}

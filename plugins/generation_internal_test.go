package plugins

import (
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// newGen runs a hostile guest in a pool of at most so many.
func newGen(t *testing.T, name string, pool int) *generation {
	t.Helper()
	m, err := Load("testdata/hostile/"+name+".wasm", "testdata/hostile/hostile.yaml", "")
	if err != nil {
		t.Fatal(err)
	}
	o := FilterDefaults()
	o.Name, o.Pool = name, pool
	g, err := newGeneration(&o, m, slog.New(slog.DiscardHandler), &stats{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *generation) pass(rec *registry.Record) error {
	return g.run(nil, rec, &registry.Selection{All: true})
}

// However many take instances at a time: nobody shares one, there are no more than
// places, and each call is counted.
func TestAnInstanceIsWithOneCallerAtATime(t *testing.T) {
	const callers, rounds = 8, 20_000
	p := newPool(3)
	made := [3]atomic.Int32{}
	var calls, live atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for k := range rounds {
				i := p.take()
				if i == nil {
					at, ok := p.room()
					if !ok {
						runtime.Gosched()
						continue
					}
					if n := made[at].Add(1); n != 1 || live.Add(1) > 3 {
						t.Errorf("place %d has %d instances", at, n)
					}
					i = &filterInstance{}
					p.settle(i, at)
				}
				i.calls++ // the race detector looks
				calls.Add(1)
				if k%100 != 0 {
					p.put(i)
					continue
				}
				made[i.at].Add(-1)
				live.Add(-1)
				p.leave(i.at)
			}
		})
	}
	wg.Wait()
	if got := p.calls(); got != uint64(calls.Load()) || int64(p.count()) != live.Load() {
		t.Errorf("%d calls of %d, %d instances of %d", got, calls.Load(), p.count(), live.Load())
	}
}

func TestCallsStayCountedWhenAGenerationEnds(t *testing.T) {
	g := newGen(t, "leak", 1)
	rec := benchRecord(2)
	for range 3 {
		if err := g.pass(rec); err != nil {
			t.Fatal(err)
		}
	}
	before := g.stats.called()
	g.close()
	<-g.over
	if after := g.stats.called(); before != 3 || after != 3 {
		t.Errorf("%d calls counted, %d after the end; want 3", before, after)
	}
}

func TestAGenerationThatEndsIsNotBusy(t *testing.T) {
	g := newGen(t, "moody", 1)
	i, err := g.acquire()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.acquire(); !errors.Is(err, errBusy) {
		t.Errorf("%v, want that it is busy", err)
	}
	g.close()
	if _, err := g.acquire(); !errors.Is(err, errOver) {
		t.Errorf("%v, want that another one is asked", err)
	}
	g.release(i)
	<-g.over
}

// A guest that grows at each call is not begun anew at each.
func TestWhatBeginsAnewIsBounded(t *testing.T) {
	g := newGen(t, "leak", 1)
	defer func() { g.close(); <-g.over }()
	rec := benchRecord(2)
	g.starts.Store(int64(time.Hour))
	for range 8 {
		if err := g.pass(rec); err != nil {
			t.Fatal(err)
		}
	}
	if n := g.stats.recycled.Load(); n != 0 {
		t.Errorf("%d instances were recycled, each of which took an hour to begin", n)
	}
	g.starts.Store(0)
	if err := g.pass(rec); err != nil || g.stats.recycled.Load() != 1 {
		t.Errorf("%v, %d were recycled, want the one that has grown", err, g.stats.recycled.Load())
	}
}

// A record that nobody asks for any more keeps its frame, and no generation.
func TestAColdRecordHoldsNoGeneration(t *testing.T) {
	rec := benchRecord(2)
	var gone atomic.Bool
	func() {
		g := newGen(t, "moody", 1)
		if err := g.pass(rec); err != nil {
			t.Fatal(err)
		}
		g.close()
		<-g.over
		runtime.AddCleanup(g, func(int) { gone.Store(true) }, 0)
	}()
	for deadline := time.Now().Add(10 * time.Second); !gone.Load() && time.Now().Before(deadline); {
		runtime.GC()
	}
	if !gone.Load() {
		t.Error("the generation is still there")
	}
	runtime.KeepAlive(rec)
}

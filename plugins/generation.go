package plugins

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// A generation is what a filter runs with one configuration, and its instances.
// It never changes.
type generation struct {
	*program
	may      []May
	reorders bool // may has MayReorder
	slots    []slot
	keySlots []slot // those that memos go by
	least    int    // instances that a mask must leave
	fuel     int32
	perEach  int32
	owner    *registry.Owner // by itself: records that nobody asks for keep it
	breaker  breaker
	clock    clock
	pool     *pool
	closed   atomic.Bool
	ending   sync.Once
	over     chan struct{} // closed once nothing of it runs

	began   time.Time
	starts  atomic.Int64 // ns that the last instance took to begin
	renewed atomic.Int64 // ns after began that an instance was last recycled
}

// newGeneration compiles a module and runs a first instance of it.
func newGeneration(o *FilterOptions, m *Module, logger *slog.Logger, s *stats) (g *generation, err error) {
	p, err := newProgram(o.Name, m, o.Config, o.interpreted, logger, s)
	if err != nil {
		return nil, err
	}
	said := &m.Manifest
	g = &generation{
		program: p, may: said.May, reorders: slices.Contains(said.May, MayReorder), slots: said.Needs.slotList(), keySlots: said.Needs.keySlots(),
		least: o.MinKeep, fuel: said.Limits.Fuel, perEach: said.Limits.FuelPerInstance, owner: &registry.Owner{}, over: make(chan struct{}), began: time.Now(),
	}
	g.pool = newPool(o.pool())
	for range min(runtime.GOMAXPROCS(0), o.pool()) {
		i, err := g.another()
		if err != nil {
			g.end()
			return nil, err
		}
		g.pool.put(i)
	}
	s.begin(g.pool)
	return g, nil
}

// budget returns the fuel of a call about n instances.
func (g *generation) budget(n int) int32 {
	return int32(min(int64(g.fuel)+int64(n)*int64(g.perEach), mostFuel))
}

var (
	errBusy = &Failure{"busy", errors.New("all its instances are busy")}
	errOver = errors.New("the generation is over")
)

// acquire returns an instance to call. The error is errOver if another
// generation has taken over.
func (g *generation) acquire() (*filterInstance, error) {
	if i := g.pool.take(); i != nil {
		return i, nil
	}
	i, err := g.another()
	if err != nil && err != errBusy && err != errOver { //nolint:errorlint // another returns them as they are
		return nil, &Failure{"trap", fmt.Errorf("a further instance: %w", err)}
	}
	return i, err
}

// another makes an instance, for whoever calls it. The error is errBusy if there
// are as many as there may be, errOver if another generation has taken over.
func (g *generation) another() (*filterInstance, error) {
	at, ok := g.pool.room()
	if !ok {
		if g.closed.Load() { // its instances end: the next one has some
			return nil, errOver
		}
		return nil, errBusy
	}
	if g.closed.Load() { // asked once it is counted: from here on the generation does not end
		g.left(at)
		return nil, errOver
	}
	i, err := g.instantiate()
	if err != nil {
		g.left(at)
		return nil, err
	}
	g.pool.settle(i, at)
	return i, nil
}

// release gives back an instance that is well.
func (g *generation) release(i *filterInstance) {
	if i.grown() && g.renews() {
		g.stats.recycled.Add(1)
		g.drop(i)
		return
	}
	g.pool.put(i)
	if g.closed.Load() {
		g.drain()
	}
}

// renewShare of the time instances begin anew, one after the other.
const renewShare = 20

// renews reports whether a guest that has grown may be replaced now. One that
// always grows would else have every request pay for what it does before its
// first; its memory has a bound besides.
func (g *generation) renews() bool {
	now, last := int64(time.Since(g.began)), g.renewed.Load()
	return now-last >= renewShare*g.starts.Load() && g.renewed.CompareAndSwap(last, now)
}

// drop ends an instance that must not be used again.
func (g *generation) drop(i *filterInstance) {
	i.close()
	g.left(i.at)
}

// left frees a place.
func (g *generation) left(at int) {
	g.pool.leave(at)
	if g.closed.Load() {
		g.drain()
	}
}

// close ends the generation. Calls under way end first; over is closed after
// the last.
func (g *generation) close() {
	g.owner.Retire()
	g.closed.Store(true)
	g.drain()
}

func (g *generation) drain() {
	for i := g.pool.take(); i != nil; i = g.pool.take() {
		i.close()
		g.pool.leave(i.at)
	}
	if g.pool.count() == 0 {
		g.ending.Do(func() {
			g.clock.end()
			g.stats.end(g.pool)
			g.end()
			close(g.over)
		})
	}
}

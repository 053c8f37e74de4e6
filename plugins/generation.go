package plugins

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/tetratelabs/wazero"
	"golang.org/x/time/rate"

	"github.com/edgecache/edgecache/registry"
)

// A generation is a filter's module with its configuration, compiled, and its
// instances. It never changes.
type generation struct {
	name     string
	module   *Module
	config   []byte
	may      []May
	slots    []slot
	least    int // instances that a mask must leave
	fuel     int32
	perEach  int32
	logger   *slog.Logger
	stats    *stats
	lines    *rate.Limiter
	owner    registry.Owner
	runtime  wazero.Runtime
	code     wazero.CompilationCache // nil: none
	compiled wazero.CompiledModule
	pool     pool
	closed   atomic.Bool
	ending   sync.Once
	over     chan struct{} // closed once nothing of it runs
}

// newGeneration compiles a module and runs a first instance of it.
func newGeneration(o *FilterOptions, m *Module, logger *slog.Logger, s *stats) (g *generation, err error) {
	config, err := o.configJSON()
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	limits := m.Manifest.Limits
	g = &generation{
		name: o.Name, module: m, config: config, may: m.Manifest.May, slots: m.Manifest.Needs.slotList(), least: o.MinKeep,
		fuel: limits.Fuel, perEach: limits.FuelPerInstance, logger: logger.With("filter", o.Name), stats: s,
		lines: rate.NewLimiter(logRate, logRate), over: make(chan struct{}),
	}
	ctx := context.Background()
	engine := runtimeConfig(o.interpreted, limits.MemoryPages)
	if m.code != "" {
		if g.code, err = wazero.NewCompilationCacheWithDir(m.code); err != nil {
			return nil, err
		}
		engine = engine.WithCompilationCache(g.code)
	}
	g.runtime = wazero.NewRuntimeWithConfig(ctx, engine)
	defer func(made *generation) {
		if err != nil {
			made.end()
		}
	}(g)
	if g.compiled, err = g.runtime.CompileModule(ctx, m.binary); err != nil {
		return nil, err
	}
	if err := link(ctx, g.runtime); err != nil {
		return nil, err
	}
	g.pool.places = make([]place, o.pool())
	for range min(runtime.GOMAXPROCS(0), o.pool()) {
		i, err := g.instantiate()
		if err != nil {
			return nil, err
		}
		g.pool.room()
		g.pool.put(i)
	}
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
func (g *generation) acquire() (*instance, error) {
	if i := g.pool.take(); i != nil {
		return i, nil
	}
	if !g.pool.room() {
		return nil, errBusy
	}
	if g.closed.Load() { // asked once it is counted: from here on the generation does not end
		g.drop(nil)
		return nil, errOver
	}
	i, err := g.instantiate()
	if err != nil {
		g.drop(nil)
		return nil, &Failure{"trap", fmt.Errorf("a further instance: %w", err)}
	}
	return i, nil
}

// release gives back an instance that is well.
func (g *generation) release(i *instance) {
	if i.grown() {
		g.stats.recycled.Add(1)
		g.drop(i)
		return
	}
	g.pool.put(i)
	if g.closed.Load() {
		g.drain()
	}
}

// drop ends an instance that must not be used again; nil is one that did not
// come to be.
func (g *generation) drop(i *instance) {
	if i != nil {
		i.close()
	}
	g.pool.live.Add(-1)
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
		g.pool.live.Add(-1)
	}
	if g.pool.live.Load() == 0 {
		g.ending.Do(func() {
			g.end()
			close(g.over)
		})
	}
}

// end gives back what wazero holds: of a runtime with a cache, the code of each
// module has to be closed by itself.
func (g *generation) end() {
	ctx := context.Background()
	if g.compiled != nil {
		_ = g.compiled.Close(ctx)
	}
	_ = g.runtime.Close(ctx)
	if g.code != nil {
		_ = g.code.Close(ctx)
	}
}

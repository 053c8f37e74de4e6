package plugins

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/tetratelabs/wazero/api"
)

// An adapterGeneration is what an adapter runs with one configuration, and its
// instances.
type adapterGeneration struct {
	*program
	options *AdapterOptions
	out     *outbound
	kept    *keep // nil: it may keep nothing
	lists   bool  // it exports ec_list
	polls   bool  // likewise ec_poll

	ending context.Context // over once another generation has taken over
	end    context.CancelFunc
	places chan struct{} // one for each instance that works
	polled sync.WaitGroup

	mu   sync.Mutex // protects the field below
	idle []*adapterInstance
}

// An adapterInstance is an instance of an adapter.
type adapterInstance struct {
	instance
	lookup, list, poll api.Function // list and poll: nil if it does not export them
	answer             []byte       // the record that the last look-up set
}

// newAdapterGeneration compiles a module and runs its first instances.
func newAdapterGeneration(o *AdapterOptions, m *Module, out *outbound, k *keep, logger *slog.Logger, s *stats) (g *adapterGeneration, err error) {
	g = &adapterGeneration{options: o, out: out, kept: k, places: make(chan struct{}, o.pool())}
	if g.program, err = newProgram(o.Name, m, o.Config, o.interpreted, logger, s); err != nil {
		return nil, err
	}
	g.ending, g.end = context.WithCancel(context.Background())
	exports := g.compiled.ExportedFunctions()
	g.lists, g.polls = exports[exportList] != nil, exports[exportPoll] != nil
	for range o.warm() {
		i, err := g.instantiate()
		if err != nil {
			g.close()
			return nil, err
		}
		g.idle = append(g.idle, i)
	}
	return g, nil
}

// runs reports whether it is what was made of these files.
func (g *adapterGeneration) runs(f *adapterFiles) bool {
	return g.module.same(f.module) && g.out.roots.text == f.roots.text
}

func (g *adapterGeneration) instantiate() (*adapterInstance, error) {
	i := &adapterInstance{}
	i.out, i.kept = g.out, g.kept
	if err := g.start(&i.instance); err != nil {
		return nil, err
	}
	i.lookup, i.list, i.poll = i.mod.ExportedFunction(exportLookup), i.mod.ExportedFunction(exportList), i.mod.ExportedFunction(exportPoll)
	return i, nil
}

// acquire returns an instance, and waits for one while all are at work.
func (g *adapterGeneration) acquire(ctx context.Context) (*adapterInstance, error) {
	select {
	case g.places <- struct{}{}:
	case <-ctx.Done():
		return nil, &Failure{"busy", fmt.Errorf("all its %d instances are busy: %w", cap(g.places), context.Cause(ctx))}
	case <-g.ending.Done():
		return nil, errOver
	}
	if g.ending.Err() != nil {
		<-g.places
		return nil, errOver
	}
	if i := g.take(); i != nil {
		return i, nil
	}
	i, err := g.instantiate()
	if err != nil {
		<-g.places
		return nil, &Failure{"trap", fmt.Errorf("a further instance: %w", err)}
	}
	return i, nil
}

// take returns an idle instance, nil if there is none.
func (g *adapterGeneration) take() *adapterInstance {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := len(g.idle)
	if n == 0 {
		return nil
	}
	i := g.idle[n-1]
	g.idle = g.idle[:n-1]
	return i
}

// release gives an instance back; one that failed, or whose memory grew, ends.
func (g *adapterGeneration) release(i *adapterInstance, well bool) {
	defer func() { <-g.places }()
	if well && !i.grown() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.idle = append(g.idle, i)
		return
	}
	if well {
		g.stats.recycled.Add(1)
	}
	i.close()
}

// grown reports whether the guest's memory is twice what it was at first, or
// half way from there to what it may be, and half of that: time to begin anew.
func (i *adapterInstance) grown() bool {
	size, first, most := uint64(i.mod.Memory().Size()), uint64(i.first), uint64(i.prog.module.Manifest.Limits.MemoryPages)<<16
	return size > first && size >= most/2 && size >= min(2*first, (first+most)/2)
}

// close ends the generation, once its calls have ended; polls are ended.
func (g *adapterGeneration) close() {
	g.end()
	g.polled.Wait()
	for range cap(g.places) {
		g.places <- struct{}{}
	}
	for _, i := range g.idle {
		i.close()
	}
	g.program.end()
	g.out.close()
}

// tidy has an instance clean up that worked since it last did.
func (g *adapterGeneration) tidy() {
	select {
	case g.places <- struct{}{}:
	default:
		return // all are busy
	}
	g.mu.Lock()
	var i *adapterInstance
	for at, idle := range g.idle {
		if idle.clean != nil && idle.calls != idle.cleaned {
			i = idle
			g.idle = append(g.idle[:at], g.idle[at+1:]...)
			break
		}
	}
	g.mu.Unlock()
	if i == nil {
		<-g.places
		return
	}
	g.release(i, i.cleanUp() == nil)
}

// live is how many instances there are.
func (g *adapterGeneration) live() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return int64(len(g.idle) + len(g.places))
}

package plugins

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/edgecache/edgecache/registry"
)

// HostOptions are what all plugins of a node have in common.
type HostOptions struct {
	Options
	Dir     string       // where compiled modules are kept; "": in one for as long as the host runs
	Values  string       // directory of what adapters keep; "": in memory
	Compile Compiler     // nil: [Compile]
	Logger  *slog.Logger // nil: discard
}

// A Host runs the plugins of a configuration: filters in its order, adapters as
// they are opened.
type Host struct {
	logger *slog.Logger
	cache  *cache
	values string
	named  atomic.Pointer[[]registry.NamedFilter]
	runs   atomic.Pointer[[]*Filter] // likewise

	closing      sync.Once
	ended, idled chan struct{} // closed by Close; by idle

	mu       sync.Mutex // one change at a time; protects the fields below
	filters  []*Filter
	runsNow  []string // keys of the modules that run
	previous []string // of those before the last change

	adaptersMu sync.Mutex // protects the fields below; taken within mu
	adapters   []*Adapter // in the order they were opened
	keeps      map[string]*keep
}

// NewHost loads all filters of a configuration. The caller closes the host.
func NewHost(list []FilterOptions, o HostOptions) (*Host, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Compile == nil {
		o.Compile = Compile
	}
	c := &cache{dir: o.Dir, compile: o.Compile, logger: o.Logger, options: o.Options}
	h := &Host{logger: o.Logger, cache: c, values: o.Values, keeps: map[string]*keep{}, ended: make(chan struct{}), idled: make(chan struct{})}
	h.publish(nil)
	p, err := h.Prepare(list)
	if err != nil {
		c.close()
		return nil, err
	}
	p.commit() // nothing is pruned before adapters are opened
	h.mu.Unlock()
	go h.idle()
	return h, nil
}

// Filters returns the filters that run, for [registry.Answerer].
func (h *Host) Filters() []registry.NamedFilter { return *h.named.Load() }

// A Plan is a configuration of filters that was built and may take effect.
// Exactly one of Commit and Abandon must be called.
type Plan struct {
	host    *Host
	changes []*change
}

// Prepare builds what a configuration of filters needs that does not run
// already. The error tells what is wrong with each, and changes nothing. No
// other change is made until the plan is committed or abandoned.
func (h *Host) Prepare(list []FilterOptions) (*Plan, error) {
	h.mu.Lock()
	p := &Plan{host: h}
	var errs []error
	for _, o := range list {
		f := h.find(o.Name)
		if f == nil {
			f = &Filter{name: o.Name, cache: h.cache, options: o, logger: h.logger}
		}
		c, err := f.prepare(o)
		if err != nil {
			errs = append(errs, fmt.Errorf("filter %s: %w", o.Name, err))
			continue
		}
		p.changes = append(p.changes, c)
	}
	if len(errs) > 0 {
		p.Abandon()
		return nil, errors.Join(errs...)
	}
	return p, nil
}

func (h *Host) find(name string) *Filter {
	i := slices.IndexFunc(h.filters, func(f *Filter) bool { return f.name == name })
	if i < 0 {
		return nil
	}
	return h.filters[i]
}

// Commit has the plan take effect. Filters that it does not name end once their
// calls have.
func (p *Plan) Commit() {
	defer p.host.mu.Unlock()
	p.commit()
	p.host.prune()
}

func (p *Plan) commit() {
	h := p.host
	old := h.filters
	h.filters = nil
	for _, c := range p.changes {
		c.commit()
		h.filters = append(h.filters, c.filter)
	}
	h.publish(h.filters)
	for _, f := range old {
		if !slices.Contains(h.filters, f) {
			f.Close()
		}
	}
}

// Abandon ends what was built; nothing changes.
func (p *Plan) Abandon() {
	for _, c := range p.changes {
		c.abandon()
	}
	p.host.mu.Unlock()
}

// Prune has the cache keep what runs, and what ran before. It is called once the
// plugins of a configuration are all there.
func (h *Host) Prune() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.prune()
}

// Reload has one plugin run what is now at its path. It is
// [registry.ErrNotFound] if there is none of that name.
func (h *Host) Reload(name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.find(name); f != nil {
		f.mu.Lock()
		o := f.options
		f.mu.Unlock()
		if err := f.Reload(o); err != nil {
			return err
		}
		h.publish(h.filters)
	} else if a := h.opened()[name]; a == nil {
		return registry.ErrNotFound
	} else if err := a.reload(); err != nil {
		return err
	}
	h.prune()
	return nil
}

// prune has the cache keep what runs and what ran before it.
func (h *Host) prune() {
	var keys []string
	for _, f := range h.filters {
		keys = append(keys, f.current.Load().module.key())
	}
	for _, a := range h.opened() {
		keys = append(keys, a.current.Load().module.key())
	}
	slices.Sort(keys)
	if !slices.Equal(keys, h.runsNow) {
		h.previous, h.runsNow = h.runsNow, keys
	}
	h.cache.prune(slices.Concat(h.runsNow, h.previous))
}

// publish makes the list that answers go by.
func (h *Host) publish(filters []*Filter) {
	named := make([]registry.NamedFilter, len(filters))
	for i, f := range filters {
		n := &named[i]
		n.Name, n.Filter = f.name, f
		n.Registries, n.Services = f.options.Registries, f.options.Services
		n.FailClosed = f.options.OnFailure == "closed"
		needs := &f.current.Load().module.Manifest.Needs
		n.Varies, n.Private = needs.varies()
		n.Parameters = needs.Query
	}
	h.named.Store(&named)
	h.runs.Store(&filters)
}

// Status returns what is known of each plugin: filters in config order, then
// adapters by name.
func (h *Host) Status() []registry.PluginStatus {
	list := []registry.PluginStatus{}
	for _, f := range *h.runs.Load() {
		list = append(list, f.Status())
	}
	adapters := h.opened()
	for _, name := range slices.Sorted(maps.Keys(adapters)) {
		list = append(list, adapters[name].Status())
	}
	return list
}

// Close ends all filters; calls under way end first. Adapters must be closed.
func (h *Host) Close() {
	h.closing.Do(func() { close(h.ended) })
	<-h.idled
	h.mu.Lock()
	defer h.mu.Unlock()
	h.publish(nil)
	for _, f := range h.filters {
		f.Close()
	}
	h.filters = nil
	h.cache.close()
	h.adaptersMu.Lock()
	defer h.adaptersMu.Unlock()
	for _, k := range h.keeps {
		k.close()
	}
}

package plugins

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/edgecache/edgecache/registry"
)

// A Filter is a plugin that filters answers. It implements [registry.Filter],
// and never blocks: if all of its instances are busy, the call fails.
type Filter struct {
	options FilterOptions
	logger  *slog.Logger
	stats   stats
	breaker breaker
	current atomic.Pointer[generation]

	mu          sync.Mutex // one change at a time; protects the fields below
	generations int
	failed      string // why the last change was refused; "" if it was not
}

// NewFilter loads a filter's module and runs it. The caller closes the filter.
func NewFilter(o FilterOptions, logger *slog.Logger) (*Filter, error) {
	f := &Filter{options: o, logger: logger}
	if err := f.Reload(o); err != nil {
		return nil, err
	}
	return f, nil
}

// Reload has the filter run what is now at its path, with new options: the next
// calls get the new generation, those under way end with the old one. An error
// changes nothing. What is as before stays.
func (f *Filter) Reload(o FilterOptions) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	g, err := f.build(o)
	if err != nil {
		f.failed = err.Error()
		return err
	}
	f.failed, f.options = "", o
	if g == nil {
		return nil
	}
	f.generations++
	f.breaker.reset()
	if old := f.current.Swap(g); old != nil {
		old.close()
	}
	return nil
}

// build returns the generation for some options, nil if it is the one that runs.
func (f *Filter) build(o FilterOptions) (*generation, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	m, err := Load(o.Plugin, o.Manifest, o.SHA256)
	if err != nil {
		return nil, err
	}
	if err := o.grant(&m.Manifest); err != nil {
		return nil, err
	}
	if old := f.current.Load(); old != nil && old.module.same(m) && f.options.same(&o) {
		return nil, nil
	}
	return newGeneration(&o, m, f.logger, &f.stats)
}

// Close ends the filter; calls under way end first.
func (f *Filter) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if g := f.current.Swap(nil); g != nil {
		g.close()
		<-g.over
	}
}

// errBroken is the error of calls that are not made because so many failed.
var errBroken = &Failure{"broken", errors.New("its breaker is open: too many calls failed")}

// Filter implements [registry.Filter]. An error is a [*registry.Deny],
// [registry.ErrFinal], or a [*Failure] after which sel is as it was.
func (f *Filter) Filter(attrs registry.Attrs, rec *registry.Record, sel *registry.Selection) error {
	if !f.breaker.allows() {
		f.stats.broken.Add(1)
		return errBroken
	}
	err := errOver
	for err == errOver { //nolint:errorlint // run returns it as it is
		g := f.current.Load()
		if g == nil {
			return errClosed
		}
		err = g.run(attrs, rec, sel)
	}
	if e, ok := err.(*Failure); ok { //nolint:errorlint // run returns it as it is
		f.fail(e)
		return err
	}
	f.breaker.succeeded()
	return err
}

func (f *Filter) fail(e *Failure) {
	n := f.stats.failed(e.Kind)
	opened := f.breaker.failed(f.stats.calls.sum())
	if opened || n == 1 {
		f.logger.Warn("plugins: a filter failed", "filter", f.options.Name, "kind", e.Kind, "err", e.Err, "breaker open", opened)
	}
}

var errClosed = &Failure{"broken", errors.New("the filter was closed")}

// run has the guest decide, or remembers what it decided.
func (g *generation) run(attrs registry.Attrs, rec *registry.Record, sel *registry.Selection) error {
	e := g.frameOf(rec)
	if e.err != nil {
		return &Failure{"frame", e.err}
	}
	key := g.keyOf(attrs, sel)
	if d := e.memo.get(key); d != nil {
		g.stats.memoized.add()
		return d.apply(rec, sel, g.least)
	}
	g.stats.calls.add()
	i, err := g.acquire()
	if err != nil {
		return err
	}
	verdict, n, err := i.call(e, rec, sel, attrs)
	if err != nil {
		g.drop(i)
		return err
	}
	d, err := i.decide(verdict, n, i.picks)
	if err != nil {
		g.drop(i)
		return verdictFailure(err)
	}
	if byte(verdict>>8)&verdictCacheable != 0 {
		e.memo.put(key, d)
	}
	err = d.apply(rec, sel, g.least)
	g.release(i) // after apply: the decision's picks are the instance's
	return err
}

func verdictFailure(err error) *Failure {
	if _, ok := errors.AsType[*guestError](err); ok {
		return &Failure{"guest", err}
	}
	return &Failure{"verdict", err}
}

package plugins

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// A Filter is a plugin that filters answers. It implements [registry.Filter],
// and never blocks: if all of its instances are busy, the call fails.
type Filter struct {
	name    string
	cache   *cache
	options FilterOptions
	logger  *slog.Logger
	stats   stats
	current atomic.Pointer[generation]

	mu          sync.Mutex // protects the fields below, and options
	generations int
	failed      string // why the last change was refused; "" if it was not
}

// NewFilter loads a filter's module and runs it. The caller closes the filter.
func NewFilter(o FilterOptions, logger *slog.Logger) (*Filter, error) {
	f := &Filter{name: o.Name, cache: &cache{}, options: o, logger: logger}
	if err := f.Reload(o); err != nil {
		return nil, err
	}
	return f, nil
}

// Reload has the filter run what is now at its path, with new options: the next
// calls get the new generation, those under way end with the old one. An error
// changes nothing. What is as before stays.
func (f *Filter) Reload(o FilterOptions) error {
	c, err := f.prepare(o)
	if err == nil {
		c.commit()
	}
	return err
}

// A change is a generation that was built and may take over.
type change struct {
	filter  *Filter
	options FilterOptions
	next    *generation // nil: the one that runs stays
}

// prepare builds the generation for some options.
func (f *Filter) prepare(o FilterOptions) (*change, error) {
	g, err := f.build(o)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed = ""; err != nil {
		f.failed = err.Error()
		return nil, err
	}
	return &change{f, o, g}, nil
}

// commit has the change take effect.
func (c *change) commit() {
	f := c.filter
	f.mu.Lock()
	defer f.mu.Unlock()
	f.options = c.options
	if c.next == nil {
		return
	}
	f.generations++
	if old := f.current.Swap(c.next); old != nil {
		old.close()
	}
}

// abandon ends what was built.
func (c *change) abandon() {
	if c.next != nil {
		c.next.close()
	}
}

// build returns the generation for some options, nil if it is the one that runs.
func (f *Filter) build(o FilterOptions) (*generation, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	m, err := f.cache.load(o.Plugin, o.Manifest, o.SHA256)
	if err != nil {
		return nil, err
	}
	if err := o.grant(&m.Manifest); err != nil {
		return nil, err
	}
	f.mu.Lock()
	unchanged := f.options.same(&o)
	f.mu.Unlock()
	if old := f.current.Load(); old != nil && old.module.same(m) && unchanged {
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

var errClosed = &Failure{"broken", errors.New("the filter was closed")}

// Filter implements [registry.Filter]. An error is a [*registry.Deny],
// [registry.ErrFinal], or a [*Failure] after which sel is as it was.
func (f *Filter) Filter(attrs registry.Attrs, rec *registry.Record, sel *registry.Selection) error {
	for {
		g := f.current.Load()
		if g == nil {
			return errClosed
		}
		if err := g.run(attrs, rec, sel); err != errOver { //nolint:errorlint // run returns it as it is
			return err
		}
	}
}

// run remembers what the guest decided, or asks it.
func (g *generation) run(attrs registry.Attrs, rec *registry.Record, sel *registry.Selection) error {
	e := g.frameOf(rec)
	if e.err != nil {
		err := &Failure{"frame", e.err}
		g.failed(err, false)
		return err
	}
	if attrs == nil {
		attrs = nothing{}
	}
	key := g.keyOf(attrs, sel)
	if d := e.memo.get(key); d != nil {
		g.stats.memoized.add()
		return d.apply(rec, sel, g.least)
	}
	return g.ask(e, key, attrs, rec, sel)
}

// errBroken is the error of calls that are not made because so many failed.
var errBroken = &Failure{"broken", errors.New("its breaker is open: too many calls failed")}

// ask has the guest decide, unless too many calls failed.
func (g *generation) ask(e *entryFrame, key key, attrs registry.Attrs, rec *registry.Record, sel *registry.Selection) error {
	allowed, trial := g.breaker.allows()
	if !allowed {
		g.stats.broken.Add(1)
		return errBroken
	}
	err := g.consult(e, key, attrs, rec, sel)
	switch e, failed := err.(*Failure); { //nolint:errorlint // consult returns them as they are
	case err == errOver: //nolint:errorlint // likewise
		g.breaker.abstained(trial)
	case failed:
		g.failed(e, trial)
	default:
		g.breaker.succeeded(trial)
	}
	return err
}

// consult calls an instance, and does what it says.
func (g *generation) consult(e *entryFrame, key key, attrs registry.Attrs, rec *registry.Record, sel *registry.Selection) error {
	i, err := g.acquire()
	if err != nil {
		return err
	}
	verdict, n, err := g.timed(i, e, rec, sel, attrs)
	if err != nil {
		g.drop(i)
		return err
	}
	picks := i.picks
	if sel.All && cap(sel.Picks) >= n {
		picks = sel.Picks // nothing is in it
	}
	var d decision
	if err := i.decide(&d, verdict, n, picks); err != nil {
		g.drop(i)
		return verdictFailure(err)
	}
	if byte(verdict>>8)&verdictCacheable != 0 && i.recent.again(key, e) {
		e.memo.put(key, d)
	}
	err = d.apply(rec, sel, g.least)
	g.release(i) // after apply: the decision's picks are the instance's
	return err
}

// failed takes note of a failure.
func (g *generation) failed(e *Failure, trial bool) {
	n, opened := g.stats.failed(e.Kind), false
	if e.Kind == "frame" || e.Kind == "busy" { // the guest was not asked
		g.breaker.abstained(trial)
	} else {
		opened = g.breaker.failed(g.stats.called(), trial)
	}
	if opened || n == 1 {
		g.logger.Warn("plugins: a filter failed", "kind", e.Kind, "err", e.Err, "breaker open", opened)
	}
}

// timed calls an instance, and samples how long that takes.
func (g *generation) timed(i *filterInstance, e *entryFrame, rec *registry.Record, sel *registry.Selection, attrs registry.Attrs) (verdict uint64, n int, err error) {
	if i.calls++; i.calls%sampled != 0 {
		return i.ask(e, rec, sel, attrs)
	}
	began := time.Now()
	verdict, n, err = i.ask(e, rec, sel, attrs)
	g.stats.took.Add(uint64(time.Since(began)))
	g.stats.timed.Add(1)
	return verdict, n, err
}

func verdictFailure(err error) *Failure {
	if _, ok := errors.AsType[*guestError](err); ok {
		return &Failure{"guest", err}
	}
	return &Failure{"verdict", err}
}

package plugins

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// An Adapter is a plugin that answers lookups as a registry does. It implements
// [registry.Source], [registry.Lister] and [registry.Watcher]; Can says which of
// them the module has. It is safe for concurrent use.
type Adapter struct {
	host    *Host
	options AdapterOptions
	logger  *slog.Logger
	stats   stats
	current atomic.Pointer[adapterGeneration]

	users    int            // how often it was opened and not closed; the host's adaptersMu protects it
	changing sync.Mutex     // one change at a time
	ending   sync.WaitGroup // generations that were replaced, until their calls have ended

	mu          sync.Mutex // protects the fields below
	generations int
	failed      string // why the last change was refused; "" if it was not
	closed      bool
}

// reload has the adapter run what is now at its path. An error changes nothing.
func (a *Adapter) reload() error {
	a.changing.Lock()
	defer a.changing.Unlock()
	if a.closed { // which changes under both locks
		return registry.ErrNotFound
	}
	g, err := a.next() // without mu: it takes its time
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed = ""; err != nil {
		a.failed = err.Error()
		return err
	}
	if g != nil {
		a.take(g)
	}
	return nil
}

// take makes a generation the one that runs. mu is held.
func (a *Adapter) take(g *adapterGeneration) {
	a.generations++
	if old := a.current.Swap(g); old != nil {
		old.end() // no watch joins it from here on
		a.ending.Go(old.close)
	}
}

// next returns the next generation, nil if it would be the one that runs.
func (a *Adapter) next() (*adapterGeneration, error) {
	f, err := a.host.read(&a.options)
	if err != nil || a.current.Load().runs(f) {
		return nil, err
	}
	return a.build(f.module)
}

// build compiles a module, and runs its first instances.
func (a *Adapter) build(m *Module) (*adapterGeneration, error) {
	if m.Manifest.Kind != kindAdapter {
		return nil, fmt.Errorf("its manifest says kind: %s; adapter expected", m.Manifest.Kind)
	}
	out, err := newOutbound(&m.Manifest, &a.options, &a.stats)
	if err != nil {
		return nil, err
	}
	var kept *keep
	if m.Manifest.KV {
		kept = a.host.keep(a.options.Name, a.options.identity(m))
	}
	g, err := newAdapterGeneration(&a.options, m, out, kept, a.logger, &a.stats)
	if err == nil && kept != nil {
		a.host.install(a.options.Name, kept)
	}
	return g, err
}

// Can says what the module can do besides lookups.
func (a *Adapter) Can() registry.Capabilities {
	g := a.current.Load()
	return registry.Capabilities{List: g.lists, Watch: g.polls, WatchAll: g.polls, Interval: a.options.Poll + pollTime}
}

// Identity names what its records depend on besides the registry itself.
func (a *Adapter) Identity() string { return a.options.identity(a.current.Load().module) }

// Close ends the adapter, once its calls have ended, unless it was opened more
// often than it was closed.
func (a *Adapter) Close() error {
	if !a.host.leave(a) {
		return nil
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	a.mu.Lock()
	a.closed = true
	g := a.current.Load()
	g.end() // no watch joins it from here on
	a.mu.Unlock()
	g.close()
	a.ending.Wait()
	return nil
}

// with has use do its calls on one instance. It fails if use does.
func (a *Adapter) with(ctx context.Context, use func(*adapterInstance) error) error {
	for {
		g := a.current.Load()
		i, err := g.acquire(ctx)
		if errors.Is(err, errOver) {
			if a.current.Load() != g {
				continue
			}
			err = errAdapterClosed
		}
		if err != nil {
			return err
		}
		err = use(i)
		g.release(i, survives(err))
		return err
	}
}

// survives reports whether an instance may be used after a call that ended so.
func survives(err error) bool {
	f, broken := errors.AsType[*Failure](err)
	return !broken || f.Kind == "guest" || f.Kind == "output"
}

// Lookup implements [registry.Source].
func (a *Adapter) Lookup(ctx context.Context, name string, have *registry.Record) (rec *registry.Record, err error) {
	ctx, cancel := within(ctx, a.options.Timeout)
	defer cancel()
	ctx, end := a.options.Trace.Start(ctx, "upstream", registry.Key{Registry: a.options.Name, Name: name})
	defer func() { end(err) }()
	err = a.with(ctx, func(i *adapterInstance) (err error) {
		rec, err = i.lookUp(ctx, name, have)
		return err
	})
	if err != nil {
		return nil, a.failure(ctx, exportLookup, err)
	}
	a.strip(rec)
	return rec, nil
}

// strip takes documents off a record if they are not wanted.
func (a *Adapter) strip(rec *registry.Record) {
	if a.options.Documents {
		return
	}
	rec.Document, rec.MediaType = nil, ""
	for i := range rec.Versions {
		rec.Versions[i].Document, rec.Versions[i].MediaType = nil, ""
	}
}

// hashed marks versions that are the hash of a record's text, and not the
// guest's own.
const hashed = "sha256:"

// lookUp has the guest look a name up.
func (i *adapterInstance) lookUp(ctx context.Context, name string, have *registry.Record) (*registry.Record, error) {
	c := &adapterCall{ctx: ctx, name: name, most: maxRequests}
	if have != nil && have.Revision.Token != "" && !strings.HasPrefix(have.Revision.Token, hashed) {
		c.have = &have.Revision.Token
	}
	code, err := i.timed(i.lookup, c)
	i.answer = c.record
	switch {
	case err != nil:
		return nil, err
	case c.fault != nil:
		return nil, c.fault
	case code == codeNotFound:
		return nil, registry.ErrNotFound
	case code == codeNotModified && c.have != nil:
		return nil, registry.ErrNotModified
	case code == codeNotModified:
		return nil, &Failure{"output", errors.New("it returned NOT_MODIFIED, and no version was held")}
	case code != codeOK:
		return nil, c.failed(&i.instance, code)
	}
	return c.found(name, have)
}

// found reads the record that a guest set.
func (c *adapterCall) found(name string, have *registry.Record) (*registry.Record, error) {
	token := ""
	if c.version != nil {
		token = *c.version
	} else {
		sum := sha256.Sum256(c.record)
		if token = hashed + hex.EncodeToString(sum[:]); have != nil && have.Revision.Token == token {
			return nil, registry.ErrNotModified
		}
	}
	rec, err := readRecord(name, c.record)
	if err != nil {
		return nil, &Failure{"output", err}
	}
	rec.Revision.Token = token
	return rec, nil
}

// List implements [registry.Lister].
func (a *Adapter) List(ctx context.Context) (names []string, err error) {
	ctx, cancel := within(ctx, a.options.Timeout)
	defer cancel()
	ctx, end := a.options.Trace.Start(ctx, "upstream", registry.Key{Registry: a.options.Name})
	defer func() { end(err) }()
	err = a.with(ctx, func(i *adapterInstance) (err error) {
		names, err = i.listAll(ctx)
		return err
	})
	if err != nil {
		return nil, a.failure(ctx, exportList, err)
	}
	return names, nil
}

func (i *adapterInstance) listAll(ctx context.Context) (names []string, err error) {
	if i.list == nil {
		return nil, &Failure{"guest", errors.New("the module does not export ec_list")}
	}
	listed, from := 0, (*string)(nil)
	for range maxPages {
		c := &adapterCall{ctx: ctx, from: from, listed: listed, most: maxRequests}
		code, err := i.timed(i.list, c)
		switch {
		case err != nil:
			return nil, err
		case c.fault != nil:
			return nil, c.fault
		case code != codeOK:
			return nil, c.failed(&i.instance, code)
		}
		names = append(names, c.names...)
		if c.next == nil {
			return names, nil
		}
		if from != nil && *from == *c.next {
			return nil, &Failure{"output", fmt.Errorf("page %.100q: its cursor leads to itself", *from)}
		}
		listed, from = c.listed, c.next
	}
	return nil, &Failure{"output", fmt.Errorf("the list has more than %d pages", maxPages)}
}

// timed does a call, and counts it with its time.
func (i *adapterInstance) timed(f function, c *adapterCall) (int32, error) {
	began := time.Now()
	i.calls++
	i.prog.stats.calls.add()
	code, err := i.do(f, c)
	i.prog.stats.took.Add(uint64(time.Since(began)))
	i.prog.stats.timed.Add(1)
	return code, err
}

// failure makes an error of a call one of the registry's, and counts it.
func (a *Adapter) failure(ctx context.Context, export string, err error) error {
	if errors.Is(err, registry.ErrNotFound) || errors.Is(err, registry.ErrNotModified) {
		return fmt.Errorf("registry %s: %w", a.options.Name, err)
	}
	if cause := context.Cause(ctx); errors.Is(cause, context.Canceled) || errors.Is(cause, errReplaced) {
		return &registry.UpstreamError{Registry: a.options.Name, Harmless: true, Err: cause} // it did not fail
	}
	f := &Failure{"broken", err}
	errors.As(err, &f)
	if n := a.stats.failed(f.Kind); n == 1 {
		a.logger.Warn("plugins: an adapter failed", "registry", a.options.Name, "export", export, "kind", f.Kind, "err", f.Err)
	}
	said, ok := errors.AsType[*codeError](err)
	return &registry.UpstreamError{
		Registry: a.options.Name, Timeout: errors.Is(ctx.Err(), context.DeadlineExceeded) || ok && said.code == codeTimeout,
		Err: fmt.Errorf("plugin %s, %s: %w", a.current.Load().module.Manifest.Name, export, err),
	}
}

package plugins

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
)

// OpenAdapter loads the module of an adapter and runs it. The caller closes it.
// If one runs of these options and of the files that are there now, it is that
// one, which ends once all who opened it have closed it.
func (h *Host) OpenAdapter(o AdapterOptions) (*Adapter, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	f, err := h.read(&o)
	if err != nil {
		return nil, fmt.Errorf("plugin %s: %w", o.Plugin, err)
	}
	if a := h.share(&o, f); a != nil {
		return a, nil
	}
	a := &Adapter{host: h, options: o, logger: o.Logger, users: 1}
	g, err := a.build(f.module)
	if err != nil {
		return nil, fmt.Errorf("plugin %s: %w", o.Plugin, err)
	}
	a.take(g)
	h.adaptersMu.Lock()
	defer h.adaptersMu.Unlock()
	h.adapters = append(h.adapters, a)
	return a, nil
}

// adapterFiles are what the options of an adapter name.
type adapterFiles struct {
	module *Module
	roots  roots
}

func (h *Host) read(o *AdapterOptions) (f *adapterFiles, err error) {
	f = &adapterFiles{}
	if f.roots, err = o.TLS.load(); err != nil {
		return nil, err
	}
	f.module, err = h.cache.load(o.Plugin, o.Manifest, o.SHA256)
	return f, err
}

// share returns the adapter that runs of such options and files, nil if none
// does.
func (h *Host) share(o *AdapterOptions, f *adapterFiles) *Adapter {
	a := h.join(o)
	if a == nil {
		return nil
	}
	a.changing.Lock()
	same := a.current.Load().runs(f)
	if same {
		a.mu.Lock()
		a.failed = ""
		a.mu.Unlock()
	}
	a.changing.Unlock()
	if !same {
		_ = a.Close() // which never fails
		return nil
	}
	return a
}

// join counts one more who uses the adapter of such options, if there is one.
func (h *Host) join(o *AdapterOptions) *Adapter {
	h.adaptersMu.Lock()
	defer h.adaptersMu.Unlock()
	for _, a := range slices.Backward(h.adapters) {
		if a.options.Name == o.Name && a.options.same(o) {
			a.users++
			return a
		}
	}
	return nil
}

// leave counts one less, and reports whether that was the last.
func (h *Host) leave(a *Adapter) bool {
	h.adaptersMu.Lock()
	defer h.adaptersMu.Unlock()
	if a.users == 0 {
		return false
	}
	if a.users--; a.users > 0 {
		return false
	}
	h.adapters = slices.DeleteFunc(h.adapters, func(b *Adapter) bool { return a == b })
	return true
}

// opened returns the adapters that run, by name: the newest where a change of
// the configuration has two of one.
func (h *Host) opened() map[string]*Adapter {
	h.adaptersMu.Lock()
	defer h.adaptersMu.Unlock()
	byName := make(map[string]*Adapter, len(h.adapters))
	for _, a := range h.adapters {
		byName[a.options.Name] = a
	}
	return byName
}

// keep returns what the adapter of a name keeps, of a module and configuration.
// Nothing of it is written before it is installed.
func (h *Host) keep(name, of string) *keep {
	h.adaptersMu.Lock()
	defer h.adaptersMu.Unlock()
	if k := h.keeps[name]; k != nil && k.of == of {
		return k
	}
	path := ""
	if h.values != "" {
		path = filepath.Join(h.values, name+".json")
	}
	return openKeep(path, of, h.logger)
}

// install has the adapter of a name keep what k does, and no longer what it did.
func (h *Host) install(name string, k *keep) {
	h.adaptersMu.Lock()
	defer h.adaptersMu.Unlock()
	if old := h.keeps[name]; old != nil && old != k {
		old.close()
	}
	h.keeps[name] = k
	k.install()
}

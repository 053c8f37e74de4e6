package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/gossip"
	httpd "github.com/edgecache/edgecache/http"
	"github.com/edgecache/edgecache/plugins"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/store"
)

// A node is the running program: the only place where the packages meet.
type node struct {
	source   configSource
	handler  *logHandler
	log      *slog.Logger
	tracing  *tracing
	disk     *store.Store // nil: none
	gossip   *gossip.Node // nil: alone
	cache    *cache.Cache
	plugins  *plugins.Host
	server   *httpd.Server
	metrics  *metrics
	started  time.Time
	options  nodeOptions
	policy   registry.Unsynced
	names    atomic.Pointer[[]string] // of the registries, in config order
	draining atomic.Bool
	reloads  reloads
	leaving  func() // ends the process after it left the cluster; nil: it cannot
	left     atomic.Bool

	reloading sync.Mutex // one reload at a time; protects config
	config    *Config
}

// newNode makes all parts. Nothing but the store runs until open.
func newNode(cfg *Config, from configSource, handler *logHandler) (*node, error) {
	n := &node{
		source: from, handler: handler, log: slog.New(handler),
		started: time.Now(), options: cfg.Node, config: cfg, policy: cfg.Gossip.Unsynced,
	}
	n.setNames(cfg)
	var err error
	if n.tracing, err = newTracing(cfg.Tracing, cfg.Node.Name, n.log); err != nil {
		return nil, err
	}
	if n.disk, err = openDisk(cfg, n.log); err != nil {
		return nil, errors.Join(err, n.release())
	}
	if n.plugins, err = plugins.NewHost(cfg.Filters, pluginOptions(cfg, n.log)); err != nil {
		return nil, errors.Join(err, n.release())
	}
	regs, err := n.build(cfg)
	if err != nil {
		return nil, errors.Join(err, n.release())
	}
	n.plugins.Prune()
	if n.gossip, err = newGossip(cfg, n.disk, n.log); err != nil {
		return nil, errors.Join(err, closeSources(regs), n.release())
	}
	if n.cache, err = cache.New(n.cacheOptions(cfg, regs)); err != nil {
		return nil, errors.Join(err, closeSources(regs), n.release())
	}
	if n.server, err = httpd.New(cfg.HTTP, cfg.Admin, n.deps()); err != nil {
		return nil, errors.Join(err, n.cache.Close(), n.release())
	}
	n.metrics = newMetrics(n)
	return n, nil
}

func (n *node) cacheOptions(cfg *Config, regs []cache.Registry) cache.Options {
	o := cfg.Cache
	o.Registries, o.Node, o.ReadyAfter = regs, cfg.Node.Name, cfg.Node.ReadyAfter
	o.Logger, o.Trace = n.log, n.tracing.trace
	if n.disk != nil {
		o.Store, o.Journal, o.Clock = n.disk, n.disk, n.disk.Clock()
	}
	if n.gossip != nil {
		o.Cluster, o.Unsynced = n.gossip, cfg.Gossip.Unsynced
	}
	return o
}

// deps are the functions that the server calls.
func (n *node) deps() httpd.Deps {
	d := httpd.Deps{
		Answerer: &registry.Answerer{Engine: n.cache, Filters: n.plugins.Filters},
		Control:  n.cache,
		Node:     n.options.Name, Version: version(), Zone: n.options.Zone, Durable: n.disk != nil,
		RegistryNames: func() []string { return *n.names.Load() },
		Status:        n.status,
		Members:       n.members,
		Registries:    n.cache.Registries,
		Plugins:       n.plugins.Status,
		ReloadPlugin:  n.reloadPlugin,
		Ready:         n.ready,
		Reload:        n.reload,
		Metrics:       func(w io.Writer) error { return n.metrics.write(w) },
		Trace:         n.tracing.trace,
		Logger:        n.log,
	}
	if n.gossip != nil {
		d.Forget, d.Keyring, d.Rotate = n.forget, n.gossip.Keyring, n.gossip.Rotate
	}
	return d
}

// open starts the cache and then the listeners.
func (n *node) open() error {
	if err := n.cache.Open(); err != nil {
		return err
	}
	if n.gossip != nil {
		if err := n.gossip.Open(n.cache); err != nil {
			return err
		}
	}
	return explainListen(n.server.Open())
}

// drain is unready for http.drain, or until ctx ends, and then closes.
func (n *node) drain(ctx context.Context) error {
	n.draining.Store(true)
	err := n.server.Drain(ctx)
	if n.left.Load() {
		n.leave()
	}
	return errors.Join(err, n.close())
}

// close stops all parts in reverse and waits for them.
func (n *node) close() error {
	err := n.server.Close()
	if n.gossip != nil {
		err = errors.Join(err, n.gossip.Close())
	}
	return errors.Join(err, n.cache.Close(), n.release())
}

// release closes what the cache stands on.
func (n *node) release() error {
	n.tracing.close()
	if n.plugins != nil {
		n.plugins.Close()
	}
	if n.disk == nil {
		return nil
	}
	return n.disk.Close()
}

// build makes the registries of a configuration.
func (n *node) build(cfg *Config) ([]cache.Registry, error) {
	regs := make([]cache.Registry, 0, len(cfg.Registries))
	for i := range cfg.Registries {
		reg, err := n.buildOne(&cfg.Registries[i])
		if err != nil {
			return nil, errors.Join(err, closeSources(regs))
		}
		regs = append(regs, reg)
	}
	return regs, nil
}

func (n *node) buildOne(r *registryConfig) (cache.Registry, error) {
	reg := r.registry()
	if open := adapters()[r.Type].open; open != nil {
		src, err := open(r, parts{log: n.log, trace: n.tracing.trace, inject: n.tracing.inject, plugins: n.plugins})
		if err != nil {
			return reg, fmt.Errorf("registry %s: %w", r.Name, err)
		}
		reg.Source, reg.Identity = src, src.Identity()
	}
	return reg, nil
}

func (n *node) setNames(cfg *Config) {
	names := make([]string, len(cfg.Registries))
	for i := range cfg.Registries {
		names[i] = cfg.Registries[i].Name
	}
	n.names.Store(&names)
}

// closeSources closes sources that no cache owns.
func closeSources(regs []cache.Registry) error {
	var errs []error
	for _, r := range regs {
		if src, ok := r.Source.(source); ok {
			errs = append(errs, src.Close())
		}
	}
	return errors.Join(errs...)
}

// registry returns what the cache needs to know of the entry, without source.
func (r *registryConfig) registry() cache.Registry {
	reg := cache.Registry{
		Name: r.Name, Type: r.Type, Kind: r.Kind, Services: r.Services, Ask: r.Ask,
		Watch: r.Watch, Timeout: r.Timeout, Retries: r.Retries, Rate: r.Rate,
		FailOnDown: r.OnDown == "fail", Overrides: r.Overrides,
	}
	switch {
	case len(r.Warm) == 1 && r.Warm[0] == "all":
		reg.WarmAll = true
	case len(r.Warm) == 1 && r.Warm[0] == "watched":
		reg.WarmWatched = true
	default:
		reg.Warm = r.Warm
	}
	if merge, ok := r.options.(*mergeOptions); ok {
		reg.Of = merge.Of
	}
	return reg
}

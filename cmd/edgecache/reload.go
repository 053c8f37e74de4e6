package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/plugins"
)

// liveKeys are what a reload changes; a key stands for all below it too.
var liveKeys = []string{
	"registries", "filters", "cache", "log", "admin.tokens",
	"http.tokens", "http.cors", "http.zones", "http.limits", "http.max_age",
}

// reload reads the configuration again and makes it take effect as a whole.
// An error changes nothing.
func (n *node) reload(ctx context.Context) error {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	if err := n.swap(ctx); err != nil {
		n.reloads.refused.Add(1)
		return err
	}
	n.reloads.done.Add(1)
	return nil
}

// swap builds everything aside and then takes it over.
func (n *node) swap(ctx context.Context) error {
	cfg, warnings, err := n.source.load()
	if err != nil {
		return err
	}
	if err := refuseChanges(n.config, cfg); err != nil {
		return err
	}
	regs, err := n.build(cfg)
	if err != nil {
		return err
	}
	filters, err := n.plugins.Prepare(cfg.Filters)
	if err != nil {
		return errors.Join(err, closeSources(regs))
	}
	if err := n.takeOver(ctx, cfg, regs); err != nil {
		filters.Abandon()
		return errors.Join(err, closeSources(regs))
	}
	filters.Commit()
	n.handler.apply(cfg.Log)
	n.config = cfg
	n.setNames(cfg)
	for _, w := range warnings {
		n.log.Warn(w)
	}
	return nil
}

// takeOver has the server and the cache go by a configuration, or neither.
func (n *node) takeOver(ctx context.Context, cfg *Config, regs []cache.Registry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := n.server.SetLive(cfg.HTTP, cfg.Admin); err != nil {
		return err
	}
	if err := n.cache.Reload(regs, cfg.Cache); err != nil {
		return errors.Join(err, n.server.SetLive(n.config.HTTP, n.config.Admin))
	}
	return nil
}

// reloadPlugin has a plugin run what is now at its path. A registry that it
// answers for is another one then: what it said is asked for anew, and what it
// can do is seen.
func (n *node) reloadPlugin(name string) error {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	if err := n.plugins.Reload(name); err != nil {
		return err
	}
	if slices.ContainsFunc(n.config.Filters, func(f plugins.FilterOptions) bool { return f.Name == name }) {
		return nil // which goes before an adapter of that name
	}
	i := slices.IndexFunc(n.config.Registries, func(r registryConfig) bool { return r.Name == name && r.Type == "wasm" })
	if i < 0 {
		return nil
	}
	reg, err := n.buildOne(&n.config.Registries[i])
	if err != nil {
		return err
	}
	if err := n.cache.Replace(reg); err != nil {
		return errors.Join(err, closeSources([]cache.Registry{reg}))
	}
	return nil
}

// refuseChanges returns an error that names each changed key that a reload
// cannot change.
func refuseChanges(old, next *Config) error {
	was := map[string]any{}
	for _, l := range old.leaves() {
		if !isLive(l.path) {
			was[l.path] = plain(l.value)
		}
	}
	var errs []error
	for _, l := range next.leaves() {
		if isLive(l.path) {
			continue
		}
		if is := plain(l.value); !reflect.DeepEqual(was[l.path], is) {
			errs = append(errs, fmt.Errorf("%s: changed from %v to %v; this needs a restart", l.path, was[l.path], is))
		}
	}
	return errors.Join(errs...)
}

func isLive(path string) bool {
	return slices.ContainsFunc(liveKeys, func(live string) bool {
		return path == live || strings.HasPrefix(path, live+".")
	})
}

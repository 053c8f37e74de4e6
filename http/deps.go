package http

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"github.com/edgecache/edgecache/registry"
)

// Control is what the admin port does to the cache.
type Control interface {
	registry.Sink
	// Await returns who has the invalidation of that id once the level is
	// reached; if ctx ends first, its error and who has it by then.
	Await(ctx context.Context, id string, level registry.Level) (registry.Confirmation, error)
	// Confirmation returns the same without waiting; false: unknown id.
	Confirmation(id string) (registry.Confirmation, bool)
	// Refresh fetches what the selectors cover again. If ctx ends first, it
	// goes on, and the report says that it is running.
	Refresh(ctx context.Context, selectors []registry.Selector) (registry.Report, error)
	// Report returns the report of the last load or refresh.
	Report() (registry.Report, bool)
	// Entries returns one page of what is cached, and whether more follows.
	Entries(q registry.EntriesQuery) (rows []registry.EntryRow, more bool)
}

// Deps are the parts of the program that the server speaks for. Answerer,
// Control, Registries and the other functions must be set, but for Forget,
// Keyring, Rotate, Plugins, ReloadPlugin, Trace and Logger; they are called concurrently.
type Deps struct {
	Answerer      *registry.Answerer
	Control       Control
	Node, Version string
	Zone          string          // node.zone: a client's zone if nothing else says it
	Durable       bool            // there is a disk: what Control.Invalidate returns well is on it
	RegistryNames func() []string // in config order
	Status        func() registry.NodeStatus
	Members       func() []registry.MemberStatus
	Forget        func(ctx context.Context, member string) error                                                   // of a dead member; nil: alone
	Keyring       func(ctx context.Context) (registry.KeyringReport, error)                                        // nil: alone
	Rotate        func(ctx context.Context, step registry.KeyringStep, key string) (registry.KeyringReport, error) // nil: alone
	Registries    func() []registry.RegistryStatus
	Ready         func() (ready bool, degraded []string)
	Plugins       func() []registry.PluginStatus  // nil: none
	ReloadPlugin  func(name string) error         // registry.ErrNotFound: no such plugin; nil: none
	Reload        func(ctx context.Context) error // validates and swaps the configuration; an error changes nothing
	Metrics       func(w io.Writer) error         // Prometheus text
	Trace         registry.Trace                  // nil: off
	Logger        *slog.Logger                    // nil: discard
}

func (d Deps) withDefaults() Deps {
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.Plugins == nil {
		d.Plugins = func() []registry.PluginStatus { return nil }
	}
	if d.ReloadPlugin == nil {
		d.ReloadPlugin = func(string) error { return registry.ErrNotFound }
	}
	if d.RegistryNames == nil {
		d.RegistryNames = func() []string { return nil }
	}
	return d
}

func (d Deps) validate() error {
	var errs []error
	for _, f := range []struct {
		name  string
		isNil bool
	}{{"Answerer", d.Answerer == nil}, {"Control", d.Control == nil}, {"Ready", d.Ready == nil}} {
		if f.isNil {
			errs = append(errs, errors.New(f.name+" required"))
		}
	}
	return errors.Join(errs...)
}

package main

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/edgecache/edgecache/plugins"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/consul"
	"github.com/edgecache/edgecache/registry/file"
	"github.com/edgecache/edgecache/registry/httpjson"
)

// A source is what an adapter makes.
type source interface {
	registry.Source
	Identity() string
	Close() error
}

// An adapter makes the sources of one type.
type adapter struct {
	options func() any // a pointer to the Options with defaults
	open    func(r *registryConfig, p parts) (source, error)
}

// parts are what the program gives to all sources.
type parts struct {
	log     *slog.Logger
	trace   registry.Trace
	inject  func(context.Context, http.Header)
	plugins *plugins.Host
}

// adapters returns the types of registries.
func adapters() map[string]adapter {
	return map[string]adapter{
		"consul":   {func() any { return &consul.Options{} }, openConsul},
		"file":     {func() any { return fileDefaults() }, openFile},
		"httpjson": {func() any { return &httpjson.Options{} }, openHTTPJSON},
		"merge":    {func() any { return &mergeOptions{} }, nil},
		"wasm":     {func() any { o := plugins.AdapterDefaults(); return &o }, openWASM},
	}
}

func openConsul(r *registryConfig, p parts) (source, error) {
	o := *r.options.(*consul.Options)
	o.Name, o.Documents, o.Timeout, o.Rate = r.Name, r.Documents, r.Timeout, r.Rate
	o.Logger, o.Trace, o.Inject = p.log, p.trace, p.inject
	return consul.New(o)
}

func fileDefaults() *file.Options {
	return &file.Options{Format: file.FormatAuto, Poll: 30 * time.Second}
}

func openFile(r *registryConfig, p parts) (source, error) {
	o := *r.options.(*file.Options)
	o.Name, o.Documents, o.Logger, o.Trace = r.Name, r.Documents, p.log, p.trace
	return file.New(o)
}

func openHTTPJSON(r *registryConfig, p parts) (source, error) {
	o := *r.options.(*httpjson.Options)
	o.Name, o.Documents, o.Timeout = r.Name, r.Documents, r.Timeout
	o.Logger, o.Trace, o.Inject = p.log, p.trace, p.inject
	return httpjson.New(o)
}

func openWASM(r *registryConfig, p parts) (source, error) {
	o := *r.options.(*plugins.AdapterOptions)
	o.Name, o.Documents, o.Timeout, o.Logger, o.Trace = r.Name, r.Documents, r.Timeout, p.log, p.trace
	return p.plugins.OpenAdapter(o)
}

// servicesFile is what a node without a configuration serves.
const servicesFile = "./services.yaml"

// servicesRegistry is the registry of a node without a configuration.
func servicesRegistry() registryConfig {
	o := fileDefaults()
	o.Path = registry.Strings{servicesFile}
	r := defaultRegistry("file", o)
	r.Name, r.Warm = "services", registry.Strings{"all"}
	return r
}

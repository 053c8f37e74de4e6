package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// inZone says where all clients are.
const inZone = "--set=node.zone=eu-1b"

// filterInstances is how many instances the filtered service has.
const filterInstances = 20

// filterHit compares lookups through the zone filter of a language, which keeps
// all instances and puts those of the client's zone first, with lookups without
// a filter.
func filterHit(language string) func(context.Context, *bench) (result, error) {
	return func(ctx context.Context, b *bench) (result, error) {
		plain, err := once(b, "unfiltered", func() (*node, error) { return b.startFiltered(ctx, "unfiltered", "") })
		if err != nil {
			return result{}, err
		}
		module, manifest, err := b.zoneFilter(ctx, language)
		if err != nil {
			return result{}, err
		}
		n, err := b.startFiltered(ctx, "filter-"+language, fmt.Sprintf("filters:\n  - {name: zone, plugin: %q, manifest: %q}", module, manifest))
		if err != nil {
			return result{}, err
		}
		body, header, err := get(n.service(name))
		if err != nil {
			return result{}, err
		}
		if applied := header.Get("Edgecache-Filter"); applied != "zone=applied" || strings.Count(string(body), `"id":`) != filterInstances || !strings.Contains(string(body), `"instances":[{"id":"web-01"`) {
			return result{}, fmt.Errorf("Edgecache-Filter %q, body %.300s: all instances, those of eu-1b first, expected", applied, body)
		}
		return b.versus(ctx, b.lookup("edgecache, zone filter in "+language, n.service(name)), b.lookup("edgecache", plain.service(name)))
	}
}

// filterStart measures a node whose filter in Go was compiled before, from exec
// to its first filtered answer.
func filterStart(ctx context.Context, b *bench) (result, error) {
	module, manifest, err := b.zoneFilter(ctx, "go")
	if err != nil {
		return result{}, err
	}
	n, config, err := b.configureFiltered("filter-start", fmt.Sprintf("filters:\n  - {name: zone, plugin: %q, manifest: %q}", module, manifest))
	if err != nil {
		return result{}, err
	}
	bare, bareConfig, err := b.configureFiltered("filter-none", "")
	if err != nil {
		return result{}, err
	}
	path := "/v1/services/" + name
	first, err := b.exec(ctx, n, config, path, inZone)
	if err != nil {
		return result{}, err
	}
	var with, without []float64
	for range b.rounds {
		took, err := b.exec(ctx, bare, bareConfig, path, inZone)
		if err = errors.Join(err, bare.stop()); err != nil {
			return result{}, err
		}
		without = append(without, took.Seconds()*1000)
		if err := n.stop(); err != nil {
			return result{}, err
		}
		if took, err = b.exec(ctx, n, config, path, inZone); err != nil {
			return result{}, err
		}
		with = append(with, took.Seconds()*1000)
		b.progress("  %.0f ms, %.0f without the filter", with[len(with)-1], without[len(without)-1])
	}
	r := result{note: fmt.Sprintf("of the whole node, %.0f ms without the filter; %.0f ms when it had to be compiled", median(without), first.Seconds()*1000)}
	r.summarise(with)
	return r, n.stop()
}

// startFiltered runs a node whose clients are all in zone eu-1b.
func (b *bench) startFiltered(ctx context.Context, label, filters string) (*node, error) {
	n, config, err := b.configureFiltered(label, filters)
	if err != nil {
		return nil, err
	}
	_, err = b.exec(ctx, n, config, "/v1/services/"+name, inZone)
	return n, err
}

// configureFiltered writes the configuration of such a node.
func (b *bench) configureFiltered(label, filters string) (*node, string, error) {
	var services strings.Builder
	services.WriteString("services:\n")
	for _, service := range [...]string{name, name + "-2"} {
		fmt.Fprintf(&services, "  - name: %s\n    instances:\n", service)
		for i := range filterInstances {
			fmt.Fprintf(&services, "      - {id: web-%02d, address: 10.0.0.%d, port: 8080, zone: eu-1%c}\n", i, i, 'a'+i%3)
		}
	}
	file, err := b.write(label+"-services.yaml", services.String())
	if err != nil {
		return nil, "", err
	}
	return b.configureNode(label, fmt.Sprintf("  - {name: files, type: file, path: %q, warm: all}\n", file), filters)
}

// examples is where the example plugins are.
func (b *bench) examples() string {
	return filepath.Join(filepath.Dir(filepath.Dir(b.program)), "wasm-examples")
}

// zoneFilter returns the zone filter in a language: the module that is
// committed, that of Go built here.
func (b *bench) zoneFilter(ctx context.Context, language string) (module, manifest string, err error) {
	dir := filepath.Join(b.examples(), "zone-affinity")
	manifest = filepath.Join(dir, "zone.yaml")
	if language != "go" {
		module = filepath.Join(dir, language, "zone.wasm")
		_, err = os.Stat(module)
		return module, manifest, err
	}
	module = filepath.Join(b.dir, "zone-go.wasm")
	build := exec.CommandContext(ctx, "go", "build", "-C", filepath.Join(dir, "go"), "-buildmode=c-shared", "-ldflags=-s -w", "-o", module, ".")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return module, manifest, nil
}

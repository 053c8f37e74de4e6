package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

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

// startFiltered runs a node whose clients are all in zone eu-1b.
func (b *bench) startFiltered(ctx context.Context, label, filters string) (*node, error) {
	var services strings.Builder
	fmt.Fprintf(&services, "services:\n  - name: %s\n    instances:\n", name)
	for i := range filterInstances {
		fmt.Fprintf(&services, "      - {id: web-%02d, address: 10.0.0.%d, port: 8080, zone: eu-1%c}\n", i, i, 'a'+i%3)
	}
	file, err := b.write(label+"-services.yaml", services.String())
	if err != nil {
		return nil, err
	}
	n, config, err := b.configureNode(label, fmt.Sprintf("  - {name: files, type: file, path: %q, warm: all}\n", file), filters)
	if err != nil {
		return nil, err
	}
	ready := func() error {
		_, _, err := get(n.service(name))
		return err
	}
	n.process, err = b.start(ctx, ready, b.program, "serve", "--config", config, "--set", "node.zone=eu-1b")
	return n, err
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

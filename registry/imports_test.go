package registry_test

import (
	"errors"
	"go/build"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/edgecache/edgecache/"

// TestImportsPointDownward holds the module to its shape: registry is the leaf,
// a package of the middle row imports registry and its own subpackages, cmd
// ties them together. It reads the sources rather than asking `go list`, so
// that a cached result is thrown away when any of them changes.
func TestImportsPointDownward(t *testing.T) {
	found := 0
	err := filepath.WalkDir("..", func(dir string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		if name := entry.Name(); name == "testdata" || name != ".." && strings.HasPrefix(name, ".") {
			return filepath.SkipDir
		}
		pkg, err := build.ImportDir(dir, 0)
		if err != nil {
			if _, none := errors.AsType[*build.NoGoError](err); none {
				return nil
			}
			return err
		}
		found++
		name, err := filepath.Rel("..", dir)
		if err != nil {
			return err
		}
		for _, path := range pkg.Imports { // without those of tests
			if dep, ours := strings.CutPrefix(path, module); ours && !mayImport(filepath.ToSlash(name), dep) {
				t.Errorf("%s imports %s", name, dep)
			}
		}
		return nil
	})
	if err != nil || found < 2 {
		t.Fatalf("%d packages found, %v", found, err)
	}
}

// mayImport reports whether a package may import another of ours.
func mayImport(pkg, dep string) bool {
	row, rest, _ := strings.Cut(pkg, "/")
	switch row {
	case "cmd":
		return true
	case "wasm-examples": // guests
		return dep == "pdk/go" || strings.HasPrefix(dep, "pdk/go/")
	case "pdk": // authors copy the kits
		return false
	case "benchmarks":
		return !strings.HasPrefix(dep, "cmd/")
	}
	own := row
	if row == "registry" {
		if rest == "" {
			return false
		}
		kind, feed, _ := strings.Cut(rest, "/")
		if kind == "feed" {
			kind += "/" + strings.SplitN(feed, "/", 2)[0]
		}
		own = row + "/" + kind
		if dep == "registry/fetch" {
			return true
		}
	}
	return dep == "registry" || strings.HasPrefix(dep, own+"/")
}

func TestRulesOfImports(t *testing.T) {
	for _, rule := range []struct {
		pkg, dep string
		want     bool
	}{
		{"cache", "registry", true}, {"cache", "http", false}, {"cache", "registry/fetch", false}, {"cache", "registry/registrytest", false},
		{"registry", "registry/fetch", false}, {"registry/consul", "registry", true}, {"registry/consul", "registry/fetch", true},
		{"registry/consul", "registry/file", false}, {"registry/feed/nats", "registry/feed/kafka", false}, {"plugins", "plugins/fuel", true},
		{"gossip/simulator", "gossip/protocol", true}, {"http", "cmd/edgecache", false}, {"cmd/edgecache", "http", true},
		{"benchmarks", "cache", true}, {"pdk/go", "registry", false}, {"wasm-examples/zone-affinity/go", "pdk/go", true}, {"wasm-examples/zone-affinity/go", "registry", false},
		{"client", "registry", true}, {"client", "cache", false},
	} {
		if got := mayImport(rule.pkg, rule.dep); got != rule.want {
			t.Errorf("%s may import %s: %v, want %v", rule.pkg, rule.dep, got, rule.want)
		}
	}
}

func TestRegistryNeedsTheStandardLibraryOnly(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{.ImportPath}} {{.Standard}}", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		path, standard, _ := strings.Cut(strings.TrimSpace(line), " ")
		if path == "net/http" || standard == "false" && path != module+"registry" {
			t.Errorf("registry depends on %s", path)
		}
	}
}

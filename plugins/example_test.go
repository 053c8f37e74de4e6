package plugins_test

import (
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/edgecache/edgecache/plugins"
)

// TestExamples runs the fixtures of each example on its modules that are there.
func TestExamples(t *testing.T) {
	manifests, err := filepath.Glob("../wasm-examples/*/*.yaml")
	if err != nil || len(manifests) == 0 {
		t.Fatal("no examples: ", err)
	}
	for _, manifest := range manifests {
		example := filepath.Dir(manifest)
		fixtures, _ := filepath.Glob(example + "/tests/*.yaml")
		modules, _ := filepath.Glob(example + "/*/*.wasm")
		modules = slices.DeleteFunc(modules, func(path string) bool { return strings.Contains(path, "/go/") }) // TestGoGuest has that
		if goOnly, _ := filepath.Glob(example + "/go/*.go"); len(goOnly) > 0 && len(modules) == 0 {
			continue
		}
		if len(fixtures) == 0 || len(modules) == 0 {
			t.Errorf("%s: %d fixtures, %d modules", example, len(fixtures), len(modules))
		}
		for _, path := range modules {
			t.Run(path, func(t *testing.T) {
				m, err := plugins.Load(path, manifest, "")
				if err != nil {
					t.Fatal(err)
				}
				for _, fixture := range fixtures {
					f, err := plugins.ReadTest(m, fixture)
					if err != nil {
						t.Fatal(err)
					}
					for _, err := range f.Run(m, slog.New(slog.DiscardHandler)) {
						t.Errorf("%s: %v", fixture, err)
					}
				}
			})
		}
	}
}

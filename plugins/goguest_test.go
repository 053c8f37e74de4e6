package plugins_test

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/edgecache/edgecache/plugins"
)

// goGuest builds the zone filter in Go. Its kit needs nothing of the network,
// and no flags of whoever runs the tests are in the way.
func goGuest(t *testing.T) *plugins.Module {
	t.Helper()
	// Opened here too: go test remembers results by what the test itself opened.
	sources, _ := filepath.Glob("../pdk/go/*.go")
	example, _ := filepath.Glob("../wasm-examples/zone-affinity/go/*.go")
	for _, path := range append(sources, example...) {
		if _, err := os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "zone.wasm")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-buildmode=c-shared", "-ldflags=-s -w", "-o", path, ".")
	cmd.Dir = "../wasm-examples/zone-affinity/go"
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=local", "GOPROXY=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build in %s: %v\n%s", cmd.Dir, err, out)
	}
	m, err := plugins.Load(path, "../wasm-examples/zone-affinity/zone.yaml", "")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestGoGuest runs the fixtures of the zone filter on the one in Go, which is
// not committed. Go's runtime takes long to compile, so that this is done once for
// each of the two configurations, each on another of wazero's engines.
func TestGoGuest(t *testing.T) {
	m := goGuest(t)
	fixtures, err := filepath.Glob("../wasm-examples/zone-affinity/tests/*.yaml")
	if err != nil || len(fixtures) == 0 {
		t.Fatal("no fixtures: ", err)
	}
	trials := map[string]*plugins.Trial{}
	for _, path := range fixtures {
		f, err := plugins.ReadFixture(path)
		if err != nil {
			t.Fatal(err)
		}
		config := fmt.Sprint(f.Config)
		if trials[config] == nil {
			if trials[config], err = plugins.NewTrial(m, f.Config, len(trials)%2 == 1, slog.New(slog.DiscardHandler)); err != nil {
				t.Fatal(err)
			}
			defer trials[config].Close()
		}
		t.Run(filepath.Base(path), func(t *testing.T) { runCases(t, trials[config], f) })
	}
}

// runCases is [plugins.Fixture.Run] on a guest that is there.
func runCases(t *testing.T, trial *plugins.Trial, f *plugins.Fixture) {
	memory := uint32(0)
	for i := range f.Cases {
		c := &f.Cases[i]
		for range 2 {
			out, err := trial.Call(f.Record(), c)
			if err != nil {
				t.Fatalf("%s: %v", c.Name, err)
			}
			kept := []string{}
			for _, at := range out.Kept {
				kept = append(kept, f.Record().Instances[at].ID)
			}
			if got, want := fmt.Sprint(kept), fmt.Sprint(c.Keep); got != want {
				t.Errorf("%s: it keeps %s, want %s", c.Name, got, want)
			}
			if memory == 0 {
				memory = out.Memory
			}
			if out.Memory != memory {
				t.Errorf("%s: its memory grew from %d bytes to %d: calls must not allocate", c.Name, memory, out.Memory)
			}
			t.Logf("%s: %d units of fuel", c.Name, out.Fuel)
		}
	}
}

package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func plugin(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), append([]string{"plugin"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

func TestAPluginIsInspectedTestedAndMeasured(t *testing.T) {
	code, out, errs := plugin(t, "inspect", zoneModule)
	for _, want := range []string{"zone 1.0.0", "filter, ABI 1.0", "drop, reorder", "needs    client.zone\n", "edgecache_v1.config_get", "fuel 150000 and 100 for each instance", "filters:\n  - {name: zone, plugin: /"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("inspect: %d %s\n%s\nwant %s", code, errs, out, want)
		}
	}
	code, out, errs = plugin(t, "test", zoneModule)
	if code != 0 || !strings.Contains(out, "on compiler and interpreter; next: edgecache plugin bench "+zoneModule) || strings.Contains(out, "FAILED") {
		t.Errorf("test: %d %s\n%s", code, errs, out)
	}
	code, out, errs = plugin(t, "bench", "--time", "1ms", zoneModule)
	if code != 0 || !strings.Contains(out, "NS/CALL") || !strings.Contains(out, "next: edgecache plugin inspect "+zoneModule) {
		t.Errorf("bench: %d %s\n%s", code, errs, out)
	}
}

func TestAPluginIsThatOfTheDirectoryItIsAskedIn(t *testing.T) {
	above := t.TempDir()
	dir := filepath.Join(above, "c")
	if err := errors.Join(os.CopyFS(filepath.Join(above, "tests"), os.DirFS("../../wasm-examples/zone-affinity/tests")), os.Mkdir(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	copyFile(t, zoneModule, filepath.Join(dir, "zone.wasm"))
	copyFile(t, "../../wasm-examples/zone-affinity/zone.yaml", filepath.Join(above, "zone.yaml"))
	t.Chdir(dir)
	for _, args := range [][]string{{"test"}, {"test", "zone.wasm"}, {"test", "."}, {"bench", "--time", "1ms"}, {"inspect"}, {"inspect", "../c"}} {
		if code, out, errs := plugin(t, args...); code != 0 || !strings.Contains(out, "zone.wasm") {
			t.Errorf("%q: %d %s\n%s", args, code, out, errs)
		}
	}
	copyFile(t, "zone.wasm", filepath.Join(dir, "another.wasm"))
	for want, args := range map[string][]string{
		"2 modules in ., one expected: name it, another.wasm for example":  {"inspect"},
		"no module in ../tests: edgecache plugin build ../tests makes one": {"test", "../tests"},
	} {
		if code, out, errs := plugin(t, args...); code == 0 || !strings.Contains(errs, want) {
			t.Errorf("%q: %d %s\n%s, want %q", args, code, out, errs, want)
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestAFixtureThatFailsSaysWhat(t *testing.T) {
	fixture := files(t, "f.yaml", `config: {strict: true}
service: {name: web, instances: [{id: a, address: 10.0.0.1, port: 80, zone: x}, {id: b, address: 10.0.0.2, port: 80, zone: y}]}
cases:
  - {name: wrong, zone: x, keep: [b]}
  - {name: right, zone: y, keep: [b]}
  - {name: no denial, zone: y, deny: {status: 403}}
  - {name: no error, zone: y, error: trap}
`)
	code, out, errs := plugin(t, "test", zoneModule, "--fixtures", fixture)
	for _, want := range []string{`        wrong: it keeps ["a"], want ["b"]`, "no denial: denied: false, want true", `no error: it ended with no error, want an error that has "trap"`} {
		if code == 0 || strings.Count(out, want) != 1 || strings.Contains(out, "right:") || !strings.Contains(errs, "1 of 1 fixtures failed") {
			t.Errorf("%d %s\n%s\nwant %s", code, errs, out, want)
		}
	}
}

func TestWhatOneEngineHasWrongSaysWhich(t *testing.T) {
	got := faults([]error{errors.New("compiler: a: x"), errors.New("compiler: b: y"), errors.New("interpreter: b: y"), errors.New("interpreter: c: z")})
	if want := []string{"compiler: a: x", "b: y", "interpreter: c: z"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestMistakesOfPluginCommands(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.c"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "b.c"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	bad := files(t, "f.yaml", "service: {name: web, instances: [{id: a, port: high}]}\n")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"fly"}, `"fly": new, build, test, record, bench or inspect expected`},
		{[]string{"inspect", "nowhere.wasm"}, "nowhere.wasm: no such file"},
		{[]string{"inspect", "../../go.mod"}, "no manifest: ../../go.mod.yaml"},
		{[]string{"inspect", "--manifest", zoneManifest, "../../go.mod"}, "not a WebAssembly module of version 1"},
		{[]string{"inspect", "--manifest", "../../go.mod", zoneModule}, "../../go.mod: "},
		{[]string{"test", "../../plugins/testdata/hostile/loop.wasm", "--manifest", "../../plugins/testdata/hostile/hostile.yaml"}, "no fixtures: tests/*.yaml beside"},
		{[]string{"test", zoneModule, "--fixtures", bad}, "service: instances[0].port"},
		{[]string{"build", t.TempDir()}, "no source of a plugin: a file .go, .rs, .c or .ts expected"},
		{[]string{"build", dir}, "has 2 files of C, one expected"},
	} {
		if code, _, errs := plugin(t, c.args...); code == 0 || !strings.Contains(errs, c.want) {
			t.Errorf("%q: %d %s, want %s", c.args, code, errs, c.want)
		}
	}
}

func TestAPluginIsBuilt(t *testing.T) {
	module := filepath.Join(t.TempDir(), "x.wasm")
	source := filepath.Join(t.TempDir(), "guest")
	if err := os.Mkdir(source, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"go.mod": "module guest\n\ngo 1.24\n", "main.go": "package main\n\n//go:wasmexport edgecache_abi_v1\nfunc marker() {}\n\nfunc main() {}\n"} {
		if err := os.WriteFile(filepath.Join(source, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, out, errs := plugin(t, "build", source, "-o", module)
	if code != 0 || !strings.Contains(out, "GOOS=wasip1 GOARCH=wasm") || !strings.Contains(out, "next: edgecache plugin test") {
		t.Fatalf("%d %s\n%s", code, out, errs)
	}
	f, err := os.Open(module)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	magic := make([]byte, 4)
	if _, err := io.ReadFull(f, magic); err != nil || string(magic) != "\x00asm" {
		t.Errorf("%q, %v", magic, err)
	}
}

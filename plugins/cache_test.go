package plugins_test

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/edgecache/edgecache/plugins"
	"github.com/edgecache/edgecache/registry"
)

// A compiling counts what it compiles.
type compiling struct{ n int }

func (c *compiling) compile(module, dir string, pages uint32) error {
	c.n++
	return plugins.Compile(module, dir, pages)
}

func newHost(t *testing.T, dir string, c *compiling, list ...plugins.FilterOptions) *plugins.Host {
	t.Helper()
	h, err := plugins.NewHost(list, plugins.HostOptions{Dir: dir, Compile: c.compile, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func zoneWorks(t *testing.T, h *plugins.Host) {
	t.Helper()
	rec, sel := sealed(6), &registry.Selection{All: true}
	if err := h.Filters()[0].Filter.Filter(&request{zone: "a"}, rec, sel); err != nil || sel.Len(rec) != 2 {
		t.Errorf("%v, %d instances left", err, sel.Len(rec))
	}
}

func cached(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestAModuleIsCompiledOnce(t *testing.T) {
	dir, c := filepath.Join(t.TempDir(), "plugins"), &compiling{}
	for range 3 {
		h := newHost(t, dir, c, options(map[string]any{"strict": true}))
		zoneWorks(t, h)
		h.Close()
	}
	if c.n != 1 {
		t.Errorf("compiled %d times", c.n)
	}
}

// Whatever becomes of any of its files, the cache serves or heals.
func TestADamagedCacheIsHealed(t *testing.T) {
	dir, c := filepath.Join(t.TempDir(), "plugins"), &compiling{}
	newHost(t, dir, c, options(map[string]any{"strict": true})).Close()
	files := cached(t, dir)
	if len(files) < 3 {
		t.Fatalf("files %q", files)
	}
	for _, damage := range []struct {
		what string
		do   func(path string, b []byte) error
	}{
		{"last byte", func(p string, b []byte) error { b[len(b)-1] ^= 0xff; return os.WriteFile(p, b, 0o600) }},
		{"a byte", func(p string, b []byte) error { b[len(b)/2] ^= 1; return os.WriteFile(p, b, 0o600) }},
		{"cut", func(p string, b []byte) error { return os.WriteFile(p, b[:len(b)/2], 0o600) }},
		{"empty", func(p string, _ []byte) error { return os.WriteFile(p, nil, 0o600) }},
		{"gone", func(p string, _ []byte) error { return os.Remove(p) }},
	} {
		for _, path := range cached(t, dir) {
			b, err := os.ReadFile(path)
			if err == nil {
				err = damage.do(path, b)
			}
			if err != nil {
				t.Fatal(err)
			}
			before := c.n
			h := newHost(t, dir, c, options(map[string]any{"strict": true}))
			zoneWorks(t, h)
			h.Close()
			if c.n != before+1 {
				t.Errorf("%s: %s: compiled %d times more, want once", damage.what, filepath.Base(path), c.n-before)
			}
		}
	}
}

// A directory that moved to another machine has code for another processor: wazero
// looks for it under another name, and must not run what it finds in its place.
func TestCodeOfAnotherProcessorIsCompiledAgain(t *testing.T) {
	dir, c := filepath.Join(t.TempDir(), "plugins"), &compiling{}
	newHost(t, dir, c, options(map[string]any{"strict": true})).Close()
	var code, sums string
	for _, path := range cached(t, dir) {
		switch name := filepath.Base(path); {
		case name == "sums.json":
			sums = path
		case name != "module.wasm":
			code = path
		}
	}
	other := strings.Repeat("0", 64)
	text, err := os.ReadFile(sums)
	if err == nil {
		err = os.WriteFile(sums, bytes.ReplaceAll(text, []byte(filepath.Base(code)), []byte(other)), 0o600)
	}
	if err = errors.Join(err, os.Rename(code, filepath.Join(filepath.Dir(code), other))); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		h := newHost(t, dir, c, options(map[string]any{"strict": true}))
		zoneWorks(t, h)
		h.Close()
	}
	if c.n != 2 {
		t.Errorf("compiled %d times, want once for each processor", c.n)
	}
}

// What is left of two modules without their functions may be the same.
func TestModulesThatDifferInTheirFunctionsOnly(t *testing.T) {
	one, other := hostile("verdict-unknown"), hostile("verdict-index")
	one.Name, other.Name = "one", "other"
	dir := filepath.Join(t.TempDir(), "plugins")
	for range 2 { // the second time from the cache
		h := newHost(t, dir, &compiling{}, one, other)
		for i, want := range []string{"action 200 is not known", "ORDER names instance 4096 of 3"} {
			err := h.Filters()[i].Filter.Filter(&request{}, sealed(3), &registry.Selection{All: true})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %s", err, want)
			}
		}
		h.Close()
	}
	var modules [][]byte
	for _, path := range cached(t, dir) {
		if filepath.Base(path) == "module.wasm" {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			modules = append(modules, b)
		}
	}
	if len(modules) != 2 || !bytes.Equal(modules[0], modules[1]) {
		t.Error("these modules differ in more: take others")
	}
}

func TestACacheThatOthersMayWriteIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	_, err := plugins.NewHost([]plugins.FilterOptions{options(nil)}, plugins.HostOptions{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "chmod 700 expected") {
		t.Errorf("%v", err)
	}
}

func TestTheCacheKeepsWhatRunsAndWhatRanBefore(t *testing.T) {
	dir, c := filepath.Join(t.TempDir(), "plugins"), &compiling{}
	h := newHost(t, dir, c)
	entries := func() int {
		list, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	for i, name := range []string{"scribble", "loop", "walk", "bulk"} {
		p, err := h.Prepare([]plugins.FilterOptions{hostile(name)})
		if err != nil {
			t.Fatal(err)
		}
		p.Commit()
		if n, want := entries(), min(i+1, 2); n != want {
			t.Errorf("after %s: %d entries, want %d", name, n, want)
		}
	}
	if err := h.Reload("hostile"); err != nil { // to what runs already
		t.Fatal(err)
	}
	if n := entries(); n != 2 {
		t.Errorf("after a reload that changed nothing: %d entries, want what ran before to be still there", n)
	}
}

func TestACompilationThatFailsIsAnError(t *testing.T) {
	failing := func(string, string, uint32) error { return errors.New("it did not end within 1m0s") }
	_, err := plugins.NewHost([]plugins.FilterOptions{options(nil)}, plugins.HostOptions{Dir: filepath.Join(t.TempDir(), "plugins"), Compile: failing})
	if err == nil || !strings.Contains(err.Error(), "filter zone: ") || !strings.Contains(err.Error(), "compilation: it did not end within 1m0s") {
		t.Errorf("%v", err)
	}
}

// A node that keeps nothing has its modules compiled by somebody else, too.
func TestWithoutADirectoryModulesAreCompiledAside(t *testing.T) {
	temp, c := t.TempDir(), &compiling{}
	t.Setenv("TMPDIR", temp)
	t.Setenv("TMP", temp) // Windows
	h := newHost(t, "", c, options(map[string]any{"strict": true}))
	zoneWorks(t, h)
	if n := len(cached(t, temp)); c.n != 1 || n < 3 {
		t.Errorf("compiled %d times, %d files", c.n, n)
	}
	if err := h.Reload("zone"); err != nil || c.n != 1 {
		t.Errorf("reloaded: %v, compiled %d times", err, c.n)
	}
	h.Close()
	failing := func(string, string, uint32) error { return errors.New("out of memory") }
	if _, err := plugins.NewHost([]plugins.FilterOptions{options(nil)}, plugins.HostOptions{Compile: failing}); err == nil {
		t.Error("a compilation that fails is no error")
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("%v, left: %v", err, left)
	}
}

// What wazero would not find again is another entry.
func TestAnEntryIsOfOneCompilerAndProcessor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "plugins")
	newHost(t, dir, &compiling{}, options(nil)).Close()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatal(err, entries)
	}
	name := entries[0].Name() // a test's build does not say its version
	if !strings.HasSuffix(name, "-unknown-"+runtime.GOARCH) && !strings.Contains(name, "-v1.") {
		t.Errorf("its name is %s, wazero's version and %s expected in it", name, runtime.GOARCH)
	}
}

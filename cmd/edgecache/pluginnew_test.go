package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestWhatIsNewWorks begins a plugin of each kind in each language, builds it
// where the language's toolchain is there, and runs its fixtures and its native
// tests, as its README says.
func TestWhatIsNewWorks(t *testing.T) {
	if bin, err := filepath.Abs("../../wasm-examples/node_modules/.bin"); err == nil {
		t.Setenv("PATH", os.Getenv("PATH")+string(filepath.ListSeparator)+bin)
	}
	t.Chdir(t.TempDir())
	for _, kind := range []string{"filter", "adapter"} {
		for lang := range languages {
			t.Run(kind+" "+lang, func(t *testing.T) { newWorks(t, kind, lang) })
		}
	}
}

func newWorks(t *testing.T, kind, lang string) {
	name := kind + "-in-" + lang
	code, out, errs := plugin(t, "new", "--kind", kind, "--lang", lang, name)
	if code != 0 || !strings.Contains(out, "edgecache plugin build "+name) {
		t.Fatalf("new: %d %s%s", code, out, errs)
	}
	if files, err := filepath.Glob(filepath.Join(name, "pdk", lang, "*adapter*")); err != nil || len(files) > 0 != (kind == "adapter") {
		t.Errorf("of the kit for adapters it has %q, %v", files, err)
	}
	code, out, errs = plugin(t, "build", name)
	if code != 0 && lang != "go" && (strings.Contains(errs, "is not installed here") || strings.Contains(errs, "wasm32-unknown-unknown")) {
		t.Skipf("%s: %s", lang, errs)
	}
	if code != 0 {
		t.Fatalf("build: %d %s%s", code, out, errs)
	}
	module := filepath.Join(name, name+".wasm")
	for _, args := range [][]string{{"test", module}, {"bench", "--time", "1ms", module}, {"inspect", module}} {
		if code, out, errs := plugin(t, args...); code != 0 {
			t.Errorf("%s: %d %s%s", args[0], code, out, errs)
		}
	}
	readme, err := os.ReadFile(filepath.Join(name, "README.md"))
	native := strings.ReplaceAll(languages[lang].tests, "{{name}}", name)
	if err != nil || !strings.Contains(string(readme), native) || strings.Contains(string(readme), "{{") {
		t.Errorf("README.md: %v\n%s", err, readme)
	}
	test := exec.CommandContext(t.Context(), "sh", "-c", native)
	test.Dir, test.Env = name, append(os.Environ(), "GOFLAGS=")
	if said, err := test.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", native, err, said)
	}
}

// TestTheAbleProgramBuilds has two compilers, of which one knows WebAssembly.
func TestTheAbleProgramBuilds(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	for _, name := range []string{"one", "two"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for able, want := range map[string]string{"one": "one", "two": "two", "none": "one"} {
		compilers := toolchain{programs: []string{"missing", "one", "two"}, able: func(program string) bool { return filepath.Base(program) == able }}
		if got := compilers.program(dir); filepath.Base(got) != want {
			t.Errorf("%s is able: got %q, want %s", able, got, want)
		}
	}
	if got := (&toolchain{programs: []string{"missing"}}).program(dir); got != "" {
		t.Errorf("nothing is there: got %q", got)
	}
}

func TestMistakesOfPluginNew(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("taken", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"Bad_"}, "a letter of a-z"},
		{[]string{"../x"}, "a letter of a-z"},
		{[]string{"x", "--lang", "cobol"}, "go, rust, as or c expected"},
		{[]string{"x", "--kind", "proxy"}, "filter or adapter expected"},
		{[]string{"taken"}, "taken is there already"},
		{[]string{"x", "--dir", "missing/x"}, "no such file"},
		{nil, "accepts 1 arg"},
	} {
		code, out, errs := plugin(t, append([]string{"new"}, c.args...)...)
		if code == 0 || !strings.Contains(errs, c.want) || out != "" {
			t.Errorf("%v: %d %s%s, want %s", c.args, code, out, errs, c.want)
		}
	}
	if list, err := os.ReadDir("."); err != nil || len(list) != 1 {
		t.Errorf("%v %v: something is left", list, err)
	}
}

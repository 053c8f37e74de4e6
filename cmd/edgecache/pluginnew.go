package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edgecache/edgecache/pdk"
)

// A pluginPlan says which plugin is to be made.
type pluginPlan struct {
	name, lang, kind string
	dir              string
}

// A language is what templates are told of one.
type language struct {
	name   string // as people write it
	tests  string // the command that runs its native tests
	builds string // what the build command calls
}

var languages = map[string]language{
	"go":   {"Go", "go test ./...", "go build, for wasip1"},
	"rust": {"Rust", "rustc --edition 2021 --test -o unit-tests {{name}}.rs && ./unit-tests", "rustc, for wasm32-unknown-unknown"},
	"c":    {"C", "cc -std=c11 -I pdk/c -o unit-tests {{name}}_test.c && ./unit-tests", "clang, for wasm32"},
	"as": {"AssemblyScript", "asc {{name}}.test.ts -o test.wasm --runtime stub --exportStart _initialize --use abort=pdk/as/edgecache/abort && node pdk/as/test.mjs test.wasm",
		"asc"},
}

// newPluginName is that of a plugin that is also a Go module and a file of Rust.
var newPluginName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

func pluginNewCommand(g *globals) *cobra.Command {
	var p pluginPlan
	c := &cobra.Command{
		Use:   "new NAME",
		Short: "Begin a plugin: a folder with its source, manifest, tests and kit",
		Args:  usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			p.name = args[0]
			if err := p.validate(); err != nil {
				return usageError(cmd, err)
			}
			return newPlugin(g, &p)
		},
	}
	c.Flags().StringVar(&p.lang, "lang", "go", "go, rust, as (AssemblyScript) or c")
	c.Flags().StringVar(&p.kind, "kind", "filter", "filter or adapter")
	c.Flags().StringVar(&p.dir, "dir", "", "the folder (default: NAME)")
	return c
}

func (p *pluginPlan) validate() error {
	_, known := languages[p.lang]
	switch {
	case !newPluginName.MatchString(p.name):
		return fmt.Errorf("%q: a letter of a-z, then up to 62 of a-z 0-9 - expected", p.name)
	case !known:
		return fmt.Errorf("--lang %s: go, rust, as or c expected", p.lang)
	case article(p.kind) == "":
		return fmt.Errorf("--kind %s: filter or adapter expected", p.kind)
	}
	return nil
}

func newPlugin(g *globals, p *pluginPlan) error {
	lang := languages[p.lang]
	p.dir = cmp.Or(p.dir, p.name)
	if err := os.Mkdir(p.dir, 0o755); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already; another name, or --dir, expected", p.dir)
	} else if err != nil {
		return err
	}
	if err := p.write(lang); err != nil {
		return errors.Join(err, os.RemoveAll(p.dir)) // nothing half-made is left
	}
	fmt.Fprintf(g.stdout, "%s: %s in %s. Edit %s, then:\n", p.dir, article(p.kind), lang.name, filepath.Join(p.dir, p.source()))
	for _, step := range [...]string{"build " + p.dir, "test " + p.module(), "bench " + p.module(), "inspect " + p.module()} {
		fmt.Fprintf(g.stdout, "  edgecache plugin %s\n", step)
	}
	fmt.Fprintf(g.stdout, "%s says how it is used.\n", filepath.Join(p.dir, "README.md"))
	return nil
}

func article(kind string) string {
	return map[string]string{"filter": "a filter", "adapter": "an adapter"}[kind]
}

func (p *pluginPlan) source() string {
	return p.name + map[string]string{"go": ".go", "rust": ".rs", "as": ".ts", "c": ".c"}[p.lang]
}

func (p *pluginPlan) module() string { return filepath.Join(p.dir, p.name+".wasm") }

// write writes all files of the plugin.
func (p *pluginPlan) write(lang language) error {
	kind := path.Join("new", p.kind)
	for from, to := range map[string]string{"manifest.yaml": p.name + ".yaml", "first.yaml": "tests/first.yaml", "README.md": "README.md"} {
		if err := p.copy(path.Join(kind, from), to, lang); err != nil {
			return err
		}
	}
	if err := p.copyTree(path.Join(kind, p.lang), "", lang); err != nil {
		return err
	}
	return p.copyTree(p.lang, path.Join("pdk", p.lang), lang)
}

// copyTree copies a folder of the kits: of the kit what the plugin needs, without the
// kit's own tests.
func (p *pluginPlan) copyTree(from, to string, lang language) error {
	return fs.WalkDir(pdk.Files, from, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel := strings.TrimPrefix(name, from+"/")
		if to != "" && (p.kitTest(path.Base(name)) || !p.needs(rel)) {
			return nil
		}
		return p.copy(name, path.Join(to, strings.ReplaceAll(rel, "NAME", p.name)), lang)
	})
}

// filterKit are the files of the kits for filters; the others are adapters'.
var filterKit = map[string][]string{
	"go": {"*.go"}, "rust": {"edgecache.rs", "instance.rs", "testing.rs", "verdict.rs"},
	"as": {"edgecache.ts", "test.mjs", "testing.ts"}, "c": {"edgecache.h", "edgecache_test.h"},
}

// needs reports whether the plugin needs a file of its kit.
func (p *pluginPlan) needs(file string) bool {
	return p.kind != "filter" || slices.ContainsFunc(filterKit[p.lang], func(pattern string) bool {
		match, _ := path.Match(pattern, file)
		return match
	})
}

// kitTest reports whether a file of a kit tests the kit, and not plugins.
func (p *pluginPlan) kitTest(base string) bool {
	return slices.Contains([]string{"edgecache_test.rs", "adapter_test.rs"}, base) || strings.HasSuffix(base, "_test.go") || strings.HasSuffix(base, ".test.ts")
}

func (p *pluginPlan) copy(from, to string, lang language) error {
	text, err := fs.ReadFile(pdk.Files, from)
	if err != nil {
		return err
	}
	out := string(text)
	if !strings.HasPrefix(to, "pdk/") {
		out = strings.NewReplacer("{{name}}", p.name, "{{language}}", lang.name, "{{build}}", lang.builds,
			"{{native}}", strings.ReplaceAll(lang.tests, "{{name}}", p.name)).Replace(out)
	}
	to = filepath.Join(p.dir, filepath.FromSlash(strings.TrimSuffix(to, ".tmpl")))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, []byte(out), 0o644)
}

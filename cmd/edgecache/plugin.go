package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edgecache/edgecache/plugins"
)

func pluginCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "Begin, build, test, measure and inspect WebAssembly plugins",
		Args:  noPluginCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(pluginNewCommand(g), pluginBuildCommand(g), pluginTestCommand(g), pluginRecordCommand(g), pluginBenchCommand(g), pluginInspectCommand(g))
	return cmd
}

func noPluginCommand(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%q: new, build, test, record, bench or inspect expected", args[0])
	}
	return nil
}

// A pluginFiles says where a plugin and its tests are.
type pluginFiles struct {
	manifest string
	fixtures []string // files or directories; nil: tests beside the module or its directory
}

func (p *pluginFiles) flags(c *cobra.Command, tests bool) {
	c.Flags().StringVar(&p.manifest, "manifest", "", "its manifest (default: beside it, in it, or in the directory above)")
	if tests {
		c.Flags().StringSliceVar(&p.fixtures, "fixtures", nil, "files or directories of fixtures (default: tests/ beside it or in the directory above)")
	}
}

// defaultModule is of the commands that take a module.
const defaultModule = "The module may be a directory with one in it; that is the current one if none is named."

// hereOr returns what a command names, or the current directory.
func hereOr(args []string) string {
	if len(args) == 0 {
		return "."
	}
	return args[0]
}

// moduleAt returns path, or the one module in it if it is a directory.
func moduleAt(path string) (string, error) {
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return path, nil // who reads it says what is wrong
	}
	modules, _ := filepath.Glob(filepath.Join(path, "*.wasm")) // a path with a pattern in it has none
	switch len(modules) {
	case 1:
		return modules[0], nil
	case 0:
		return "", fmt.Errorf("no module in %s: edgecache plugin build %[1]s makes one", path)
	default:
		return "", fmt.Errorf("%d modules in %s, one expected: name it, %s for example", len(modules), path, modules[0])
	}
}

// aboveIt returns the directory above that of a file.
func aboveIt(path string) string { return filepath.Join(filepath.Dir(path), "..") }

// load reads a module. An example's languages share the manifest above them.
func (p *pluginFiles) load(path string) (*plugins.Module, error) {
	path, err := moduleAt(path)
	if err != nil {
		return nil, err
	}
	manifest := p.manifest
	if manifest == "" {
		beside := strings.TrimSuffix(path, ".wasm") + ".yaml"
		above := filepath.Join(aboveIt(path), filepath.Base(beside))
		if _, err := os.Stat(beside); errors.Is(err, os.ErrNotExist) {
			if _, err := os.Stat(above); err == nil {
				manifest = above
			}
		}
	}
	return plugins.Load(path, manifest, "")
}

// read reads a module and its fixtures.
func (p *pluginFiles) read(path string) (*plugins.Module, []plugins.Test, error) {
	m, err := p.load(path)
	if err != nil {
		return nil, nil, err
	}
	tests, err := p.tests(m)
	return m, tests, err
}

func (p *pluginFiles) tests(m *plugins.Module) ([]plugins.Test, error) {
	places := p.fixtures
	if len(places) == 0 {
		for _, dir := range [...]string{filepath.Dir(m.Path), aboveIt(m.Path)} {
			if info, err := os.Stat(filepath.Join(dir, "tests")); err == nil && info.IsDir() {
				places = []string{filepath.Join(dir, "tests")}
				break
			}
		}
	}
	var list []plugins.Test
	for _, place := range places {
		files := []string{place}
		if info, err := os.Stat(place); err == nil && info.IsDir() {
			files, _ = filepath.Glob(filepath.Join(place, "*.yaml")) // the pattern is well formed
		}
		for _, file := range files {
			f, err := plugins.ReadTest(m, file)
			if err != nil {
				return nil, err
			}
			list = append(list, f)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no fixtures: tests/*.yaml beside %s or in the directory above, or --fixtures, expected", m.Path)
	}
	return list, nil
}

func pluginTestCommand(g *globals) *cobra.Command {
	var files pluginFiles
	verbose := false
	c := &cobra.Command{
		Use:   "test [MODULE.wasm]",
		Short: "Run a plugin's fixtures, on both of wazero's engines",
		Long:  "Run a plugin's fixtures, on both of wazero's engines. " + defaultModule,
		Args:  usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			m, fixtures, err := files.read(hereOr(args))
			if err != nil {
				return err
			}
			defer m.Keep()()
			return testPlugin(g, m, fixtures, pluginLogger(g, verbose))
		},
	}
	files.flags(c, true)
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "show what the plugin logs and prints")
	return c
}

func pluginLogger(g *globals, verbose bool) *slog.Logger {
	if !verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(g.stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func testPlugin(g *globals, m *plugins.Module, fixtures []plugins.Test, log *slog.Logger) error {
	failed, cases := 0, 0
	for _, f := range fixtures {
		errs := f.Run(m, log)
		cases += f.Len()
		if len(errs) == 0 {
			fmt.Fprintf(g.stdout, "ok      %s  %s\n", f.Place(), plural(f.Len(), "case"))
			continue
		}
		failed++
		fmt.Fprintf(g.stdout, "FAILED  %s\n", f.Place())
		for _, text := range faults(errs) {
			for line := range strings.Lines(text) {
				fmt.Fprintf(g.stdout, "        %s\n", clean(strings.TrimSuffix(line, "\n")))
			}
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d fixtures failed", failed, len(fixtures))
	}
	fmt.Fprintf(g.stdout, "%s, %s, on compiler and interpreter; next: edgecache plugin bench %s\n", plural(len(fixtures), "fixture"), plural(cases, "case"), m.Path)
	return nil
}

// faults returns what is wrong, once where both engines have it so.
func faults(errs []error) []string {
	const compiled, interpreted = "compiler: ", "interpreter: "
	var list []string
	seen := map[string]int{}
	for _, err := range errs {
		text := err.Error()
		what, other := strings.CutPrefix(text, interpreted)
		if i, there := seen[what]; other && there {
			list[i] = what
			continue
		}
		seen[strings.TrimPrefix(text, compiled)] = len(list)
		list = append(list, text)
	}
	return list
}

func pluginInspectCommand(g *globals) *cobra.Command {
	var files pluginFiles
	c := &cobra.Command{
		Use:   "inspect [MODULE.wasm]",
		Short: "Tell what a plugin is: its hash, imports, exports, manifest and limits",
		Long:  "Tell what a plugin is: its hash, imports, exports, manifest and limits. " + defaultModule,
		Args:  usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			m, err := files.load(hereOr(args))
			if err != nil {
				return err
			}
			inspectPlugin(g.stdout, m)
			return nil
		},
	}
	files.flags(c, false)
	return c
}

func inspectPlugin(w io.Writer, m *plugins.Module) {
	n, l := &m.Manifest.Needs, &m.Manifest.Limits
	may := make([]string, len(m.Manifest.May))
	for i, what := range m.Manifest.May {
		may[i] = string(what)
	}
	if m.Manifest.KV {
		may = append(may, "keep values on the node's disk")
	}
	limits := fmt.Sprintf("%d KiB of memory, fuel %d", l.MemoryPages*64, l.Fuel)
	if l.FuelPerInstance > 0 {
		limits += fmt.Sprintf(" and %d for each instance", l.FuelPerInstance)
	}
	for _, line := range [...]struct {
		key    string
		values []string
	}{
		{"plugin", []string{strings.TrimSpace(m.Manifest.Name + " " + m.Manifest.Version)}},
		{"kind", []string{m.Manifest.Kind + ", ABI " + m.Manifest.ABI}},
		{"file", []string{fmt.Sprintf("%s, %d bytes", m.Path, m.Size)}},
		{"sha256", []string{m.SHA256}},
		{"may", may},
		{"needs", slices.Concat(prefixed("header ", n.Headers), prefixed("parameter ", n.Query), n.Attrs, prefixed("metadata ", n.Meta), prefixed("HTTP ", m.Manifest.HTTP))},
		{"limits", []string{limits}},
		{"imports", m.Imports},
		{"exports", m.Exports},
	} {
		text := strings.Join(line.values, ", ")
		if text == "" {
			text = "nothing"
		}
		fmt.Fprintf(w, "%-8s %s\n", line.key, clean(text))
	}
	fmt.Fprintf(w, "next, in the configuration of a node:\n%s", configurationOf(m))
}

// configurationOf returns the lines that have a node run a plugin.
func configurationOf(m *plugins.Module) string {
	path, err := filepath.Abs(m.Path)
	if err != nil {
		path = m.Path
	}
	if m.Manifest.Kind == "filter" {
		return fmt.Sprintf("filters:\n  - {name: %s, plugin: %s}\n", m.Manifest.Name, path)
	}
	allow := ""
	if len(m.Manifest.HTTP) > 0 {
		allow = `, allow: ["` + strings.Join(m.Manifest.HTTP, `", "`) + `"]`
		allow = strings.ReplaceAll(allow, `"*"`, `"http://…"`)
	}
	return fmt.Sprintf("registries:\n  - {name: %s, type: wasm, plugin: %s, config: {…}%s}\n", m.Manifest.Name, path, allow)
}

func prefixed(prefix string, list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = prefix + s
	}
	return out
}

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
	"time"

	"github.com/spf13/cobra"

	"github.com/edgecache/edgecache/plugins"
	"github.com/edgecache/edgecache/registry"
)

func pluginCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "Build, test, measure and inspect WebAssembly plugins",
		Args:  noPluginCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(pluginBuildCommand(g), pluginTestCommand(g), pluginBenchCommand(g), pluginInspectCommand(g))
	return cmd
}

func noPluginCommand(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%q: build, test, bench or inspect expected", args[0])
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

// load reads a module. An example's languages share the manifest above them.
func (p *pluginFiles) load(path string) (*plugins.Module, error) {
	manifest := p.manifest
	if manifest == "" {
		beside := strings.TrimSuffix(path, ".wasm") + ".yaml"
		above := filepath.Join(filepath.Dir(filepath.Dir(path)), filepath.Base(beside))
		if _, err := os.Stat(beside); errors.Is(err, os.ErrNotExist) {
			if _, err := os.Stat(above); err == nil {
				manifest = above
			}
		}
	}
	return plugins.Load(path, manifest, "")
}

// tests reads the fixtures of a module.
func (p *pluginFiles) tests(path string) ([]*plugins.Fixture, error) {
	places := p.fixtures
	if len(places) == 0 {
		for _, dir := range [...]string{filepath.Dir(path), filepath.Dir(filepath.Dir(path))} {
			if info, err := os.Stat(filepath.Join(dir, "tests")); err == nil && info.IsDir() {
				places = []string{filepath.Join(dir, "tests")}
				break
			}
		}
	}
	var list []*plugins.Fixture
	for _, place := range places {
		files := []string{place}
		if info, err := os.Stat(place); err == nil && info.IsDir() {
			files, _ = filepath.Glob(filepath.Join(place, "*.yaml")) // the pattern is well formed
		}
		for _, file := range files {
			f, err := plugins.ReadFixture(file)
			if err != nil {
				return nil, err
			}
			list = append(list, f)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no fixtures: tests/*.yaml beside %s or in the directory above, or --fixtures, expected", path)
	}
	return list, nil
}

func pluginTestCommand(g *globals) *cobra.Command {
	var files pluginFiles
	verbose := false
	c := &cobra.Command{
		Use:   "test MODULE.wasm",
		Short: "Run a plugin's fixtures, on both of wazero's engines",
		Args:  usageArgs(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			m, err := files.load(args[0])
			if err != nil {
				return err
			}
			fixtures, err := files.tests(args[0])
			if err != nil {
				return err
			}
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

func testPlugin(g *globals, m *plugins.Module, fixtures []*plugins.Fixture, log *slog.Logger) error {
	failed, cases := 0, 0
	for _, f := range fixtures {
		errs := f.Run(m, log)
		cases += len(f.Cases)
		if len(errs) == 0 {
			fmt.Fprintf(g.stdout, "ok      %s  %s\n", f.Path, plural(len(f.Cases), "case"))
			continue
		}
		failed++
		fmt.Fprintf(g.stdout, "FAILED  %s\n", f.Path)
		for _, err := range errs {
			fmt.Fprintf(g.stdout, "        %s\n", clean(err.Error()))
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d fixtures failed", failed, len(fixtures))
	}
	fmt.Fprintf(g.stdout, "%s, %s, on compiler and interpreter\n", plural(len(fixtures), "fixture"), plural(cases, "case"))
	return nil
}

func pluginInspectCommand(g *globals) *cobra.Command {
	var files pluginFiles
	c := &cobra.Command{
		Use:   "inspect MODULE.wasm",
		Short: "Tell what a plugin is: its hash, imports, exports, manifest and limits",
		Args:  usageArgs(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			m, err := files.load(args[0])
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
	for _, line := range [...]struct {
		key    string
		values []string
	}{
		{"plugin", []string{strings.TrimSpace(m.Manifest.Name + " " + m.Manifest.Version)}},
		{"kind", []string{m.Manifest.Kind + ", ABI " + m.Manifest.ABI}},
		{"file", []string{fmt.Sprintf("%s, %d bytes", m.Path, m.Size)}},
		{"sha256", []string{m.SHA256}},
		{"may", may},
		{"needs", slices.Concat(prefixed("header ", n.Headers), prefixed("parameter ", n.Query), n.Attrs, prefixed("metadata ", n.Meta))},
		{"limits", []string{fmt.Sprintf("%d KiB of memory, fuel %d and %d for each instance", l.MemoryPages*64, l.Fuel, l.FuelPerInstance)}},
		{"imports", m.Imports},
		{"exports", m.Exports},
	} {
		text := strings.Join(line.values, ", ")
		if text == "" {
			text = "nothing"
		}
		fmt.Fprintf(w, "%-8s %s\n", line.key, clean(text))
	}
}

func prefixed(prefix string, list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = prefix + s
	}
	return out
}

func pluginBenchCommand(g *globals) *cobra.Command {
	var files pluginFiles
	duration := 200 * time.Millisecond
	c := &cobra.Command{
		Use:   "bench MODULE.wasm",
		Short: "Measure the calls of a plugin's fixtures: time, fuel, memory",
		Args:  usageArgs(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			m, err := files.load(args[0])
			if err != nil {
				return err
			}
			fixtures, err := files.tests(args[0])
			if err != nil {
				return err
			}
			return benchPlugin(g.stdout, m, fixtures, duration)
		},
	}
	files.flags(c, true)
	c.Flags().DurationVar(&duration, "time", duration, "how long each case runs")
	return c
}

// benchPlugin measures each case that ends well.
func benchPlugin(w io.Writer, m *plugins.Module, fixtures []*plugins.Fixture, duration time.Duration) error {
	t := newTable("FIXTURE", "CASE", "INSTANCES", "NS/CALL", "FUEL", "BUDGET", "GROWN")
	for _, f := range fixtures {
		trial, err := plugins.NewTrial(m, f.Config, false, slog.New(slog.DiscardHandler))
		if err != nil {
			continue // a fixture of a configuration that is refused
		}
		for i := range f.Cases {
			c := &f.Cases[i]
			first, err := trial.Call(f.Record(), c)
			if err != nil {
				continue
			}
			calls, took, last, err := repeat(trial, f.Record(), c, duration)
			if err != nil {
				trial.Close()
				return fmt.Errorf("%s: %s: after %d calls: %w", f.Path, c.Name, calls, err)
			}
			n := len(f.Record().Instances)
			t.row(filepath.Base(f.Path), c.Name, fmt.Sprint(n), fmt.Sprintf("%.0f", float64(took.Nanoseconds())/float64(calls)),
				fmt.Sprint(last.Fuel), fmt.Sprint(m.Manifest.Limits.Fuel+int32(n)*m.Manifest.Limits.FuelPerInstance), bytesText(uint64(last.Memory-first.Memory)))
		}
		trial.Close()
	}
	return t.print(w)
}

func repeat(t *plugins.Trial, rec *registry.Record, c *plugins.Case, d time.Duration) (calls int, took time.Duration, last plugins.Outcome, err error) {
	const step = 256
	began := time.Now()
	for took < d {
		for range step {
			if last, err = t.Call(rec, c); err != nil {
				return calls, took, last, err
			}
			calls++
		}
		took = time.Since(began)
	}
	return calls, took, last, nil
}

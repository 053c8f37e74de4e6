package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgecache/edgecache/plugins"
	"github.com/edgecache/edgecache/registry"
)

func pluginBenchCommand(g *globals) *cobra.Command {
	var files pluginFiles
	duration := 200 * time.Millisecond
	c := &cobra.Command{
		Use:   "bench [MODULE.wasm]",
		Short: "Measure the calls of a plugin's fixtures: time, fuel, memory",
		Long:  "Measure the calls of a plugin's fixtures: time, fuel, memory. " + defaultModule,
		Args:  usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			m, fixtures, err := files.read(hereOr(args))
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
func benchPlugin(w io.Writer, m *plugins.Module, tests []plugins.Test, duration time.Duration) error {
	t := newTable("FIXTURE", "CASE", "INSTANCES", "NS/CALL", "FUEL", "BUDGET", "GROWN")
	for _, test := range tests {
		var err error
		switch f := test.(type) {
		case *plugins.Fixture:
			err = benchFilter(t, m, f, duration)
		case *plugins.AdapterFixture:
			err = benchAdapter(t, m, f, duration)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", test.Place(), err)
		}
	}
	if err := t.print(w); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "next: edgecache plugin inspect %s\n", m.Path)
	return err
}

func benchFilter(t *table, m *plugins.Module, f *plugins.Fixture, duration time.Duration) error {
	trial, err := plugins.NewTrial(m, f.Config, false, slog.New(slog.DiscardHandler))
	if err != nil {
		return unless(f.Init != "", err)
	}
	defer trial.Close()
	n := len(f.Record().Instances)
	for i := range f.Cases {
		c := &f.Cases[i]
		var last plugins.Outcome
		call := func() (err error) {
			last, err = trial.Call(f.Record(), c)
			return err
		}
		if call() != nil {
			continue
		}
		first := last.Memory
		each, err := repeat(call, duration)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
		t.row(filepath.Base(f.Path), c.Name, fmt.Sprint(n), each, fmt.Sprint(last.Fuel), fmt.Sprint(m.Budget(n)), bytesText(uint64(last.Memory-first)))
	}
	return nil
}

// benchAdapter leaves out what the registry's answers take: they are the
// fixture's.
func benchAdapter(t *table, m *plugins.Module, f *plugins.AdapterFixture, duration time.Duration) error {
	trial, err := plugins.NewAdapterTrial(m, f, false, slog.New(slog.DiscardHandler))
	if err != nil {
		return unless(f.Init != "", err)
	}
	defer trial.Close()
	for i := range f.Cases {
		c := &f.Cases[i]
		var last plugins.AdapterOutcome
		once := func(call func(*plugins.AdapterCase) (plugins.AdapterOutcome, error)) (err error) {
			last, err = call(c)
			if errors.Is(err, registry.ErrNotFound) || errors.Is(err, registry.ErrNotModified) {
				return nil
			}
			return err
		}
		if once(trial.Call) != nil {
			continue
		}
		first, n := last.Memory, "-"
		if last.Record != nil {
			n = fmt.Sprint(len(last.Record.Instances))
		}
		each, err := repeat(func() error { return once(trial.Repeat) }, duration)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
		t.row(filepath.Base(f.Path), c.Name, n, each, fmt.Sprint(last.Fuel), fmt.Sprint(m.Budget(0)), bytesText(uint64(max(last.Memory, first)-first)))
	}
	return nil
}

// unless returns err but where it is what is wanted.
func unless(wanted bool, err error) error {
	if wanted {
		return nil
	}
	return err
}

// repeat calls f for a time, and returns how many nanoseconds each call took.
func repeat(f func() error, d time.Duration) (string, error) {
	const step = 64
	calls, took := 0, time.Duration(0)
	for began := time.Now(); took < d; took = time.Since(began) {
		for range step {
			if err := f(); err != nil {
				return "", fmt.Errorf("after %d calls: %w", calls, err)
			}
			calls++
		}
	}
	return fmt.Sprintf("%.0f", float64(took.Nanoseconds())/float64(calls)), nil
}

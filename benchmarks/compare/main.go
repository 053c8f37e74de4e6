// Command compare measures edgecache against the programs that do a part of
// what it does, on this machine, and prints one line per figure:
//
//	RATIO name value    the figure; README.md says what each compares
//	SKIP name why       a peer is missing
//	FAIL name why       it could not be measured; the exit code is then 1
//
// Each figure comes from rounds in which both sides run in turn, the servers
// on one core and the load on another. A run of at least nine rounds of all
// figures is written to results/<date>.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path"
	"strings"
	"syscall"
	"time"
)

// What makes a result to keep: at least so many rounds, and so many entries.
const (
	fullRounds  = 9
	fullEntries = 1_000_000
)

type options struct {
	only     string
	rounds   int
	duration time.Duration
	entries  int
	limit    time.Duration
	program  string
	results  string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if len(os.Args) > 1 {
		if child, ok := children()[os.Args[1]]; ok {
			exit(child(ctx, os.Args[2:]))
		}
	}
	var o options
	flag.StringVar(&o.only, "only", "", "figures to measure, by name or pattern (hit/*), with commas")
	flag.IntVar(&o.rounds, "rounds", fullRounds, "rounds per figure")
	flag.DurationVar(&o.duration, "duration", 3*time.Second, "of each side of a round")
	flag.IntVar(&o.entries, "entries", fullEntries, "of the figures restart and bytes-per-entry, and in proportion of missed; fewer for a quick look")
	flag.DurationVar(&o.limit, "limit", 40*time.Minute, "of the whole run")
	flag.StringVar(&o.program, "edgecache", "../bin/edgecache", "the program to measure")
	flag.StringVar(&o.results, "results", "results", "directory of the results of full runs")
	flag.Parse()
	if o.rounds < 1 || o.duration <= 0 || o.entries < 1 || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "compare: at least one round and entry, a positive duration and no arguments expected")
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	exit(run(ctx, o))
}

// children are the programs that compare runs as processes of their own.
func children() map[string]func(context.Context, []string) error {
	return map[string]func(context.Context, []string) error{
		"bare": serveBare, "node": serveBuilt, "footprint": printFootprint, "wake": printWakes,
		"invalidations": printInvalidations, "tag-effect": printTagEffects,
		"reach": printReach, "gossip": printStock, "heal": printHeals, "missed": printMissed, "quorum": printQuorum,
	}
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// run measures the figures that were asked for.
func run(ctx context.Context, o options) (err error) {
	chosen, err := choose(figures(), o.only)
	if err != nil {
		return err
	}
	b, err := newBench(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	var outcomes []outcome
	failed := 0
	for _, f := range chosen {
		began := time.Now()
		fmt.Fprintf(os.Stderr, "%s: %s\n", f.name, f.what)
		r, err := f.measure(ctx, b)
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", f.name, context.Cause(ctx))
		}
		out := outcome{figure: f, result: r, err: err, took: time.Since(began)}
		if out.failed() {
			failed++
		}
		fmt.Println(out.line())
		outcomes = append(outcomes, out)
	}
	if o.only == "" && o.rounds >= fullRounds && o.entries >= fullEntries {
		path, err := writeReport(b, outcomes)
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "written to", path)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d figures could not be measured", failed, len(chosen))
	}
	return nil
}

// choose returns the figures that a list of names and patterns picks, in
// their order; all for "".
func choose(all []figure, only string) ([]figure, error) {
	if only == "" {
		return all, nil
	}
	var chosen []figure
	patterns := strings.Split(only, ",")
	used := make([]bool, len(patterns))
	for _, f := range all {
		picked := false
		for i, p := range patterns {
			ok, err := path.Match(strings.TrimSpace(p), f.name)
			if err != nil {
				return nil, fmt.Errorf("-only %s: %w", p, err)
			}
			picked, used[i] = picked || ok, used[i] || ok
		}
		if picked {
			chosen = append(chosen, f)
		}
	}
	for i, p := range patterns {
		if !used[i] {
			var names []string
			for _, f := range all {
				names = append(names, f.name)
			}
			return nil, fmt.Errorf("-only %s: no such figure; there are %s", p, strings.Join(names, ", "))
		}
	}
	return chosen, nil
}

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// writeReport writes the results of a full run and returns the file's path.
func writeReport(b *bench, outcomes []outcome) (string, error) {
	now := time.Now()
	var out strings.Builder
	fmt.Fprintf(&out, "# Comparison of %s\n\n", now.Format(time.DateOnly))
	for _, line := range setting(b) {
		fmt.Fprintf(&out, "- %s\n", line)
	}
	out.WriteString("\n| figure | value | quartiles of rounds | to reach | reached | what is compared |\n|---|---|---|---|---|---|\n")
	for _, o := range outcomes {
		if o.err != nil {
			fmt.Fprintf(&out, "| `%s` | | | %s | %s | %s |\n", o.name, o.goal, cell(o.line()), cell(o.what))
			continue
		}
		reached := "no"
		switch {
		case o.goal == "":
			reached = ""
		case o.reached(o.value):
			reached = "yes"
		}
		spread := ""
		if o.quartile[0] != o.quartile[1] {
			spread = number(o.quartile[0]) + " – " + number(o.quartile[1])
		}
		what := o.what
		if o.note != "" {
			what += " (" + o.note + ")"
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s | %s | %s |\n", o.name, number(o.value), spread, o.goal, reached, cell(what))
	}
	out.WriteString("\nMedians of the rounds; p99 is that of one round. A server core below 100 % means that the load, not the server, was the limit.\n\n" +
		"| figure | side | requests/s | quartiles | p99 | server core | load core |\n|---|---|---|---|---|---|---|\n")
	for _, o := range outcomes {
		for _, s := range o.sides {
			if len(s.samples) > 0 {
				fmt.Fprintf(&out, "| `%s` | %s | %s |\n", o.name, s.name, s.row())
			}
		}
	}
	if err := os.MkdirAll(b.results, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(b.results, now.Format(time.DateOnly)+".md")
	return path, os.WriteFile(path, []byte(out.String()), 0o644)
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// row returns a side's cells after its name.
func (s *side) row() string {
	rates := quantiles(all(s.samples, func(s sample) float64 { return s.rate }), 0.25, 0.5, 0.75)
	p99 := time.Duration(median(all(s.samples, func(s sample) float64 { return float64(s.p99) })))
	server := median(all(s.samples, func(s sample) float64 { return s.server }))
	load := median(all(s.samples, func(s sample) float64 { return s.load }))
	return fmt.Sprintf("%.0f | %.0f – %.0f | %s | %.0f %% | %.0f %%", rates[1], rates[0], rates[2],
		p99.Round(10*time.Microsecond), 100*server, 100*load)
}

// setting describes machine, versions and method.
func setting(b *bench) []string {
	ctx := context.Background()
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease") // not on every system
	commit := firstLine(ctx, "git", "describe", "--tags", "--always", "--dirty")
	lines := []string{
		fmt.Sprintf("machine: %s, %d cores, %s, Linux %s", processor(), runtime.NumCPU(), memory(), strings.TrimSpace(string(kernel))),
		fmt.Sprintf("edgecache: commit %s, %s", commit, runtime.Version()),
		fmt.Sprintf("method: %d rounds of %s a side, in turn; servers on core %d, load on core %d, clusters on both; %d connections; the ratio is taken within each round",
			b.rounds, b.duration, b.cores.server, b.cores.load, connections),
	}
	var peers []string
	for _, p := range [][]string{{"nginx", "-v"}, {"varnishd", "-V"}, {"redis-server", "--version"}, {"wrk", "-v"}, {"../.tools/consul/usr/bin/consul", "version"}} {
		if line := firstLine(ctx, p[0], p[1:]...); line != "" {
			peers = append(peers, strings.TrimPrefix(line, "nginx version: "))
		}
	}
	return append(lines, "peers: "+strings.Join(peers, "; "))
}

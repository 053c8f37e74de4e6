package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edgecache/edgecache/client"
	"github.com/edgecache/edgecache/registry"
	"github.com/spf13/cobra"
)

// nodeState is what `status` tells: the node and its registries.
type nodeState struct {
	registry.NodeStatus
	Registries []registry.RegistryStatus `json:"registries"`
	Plugins    []registry.PluginStatus   `json:"plugins"`
}

func statusCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Tell how the node and its registries are",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.ask(func(c *client.Client) error {
				status, err := c.Status(cmd.Context())
				if err != nil {
					return err
				}
				registries, err := c.Registries(cmd.Context())
				if err != nil {
					return err
				}
				plugins, err := c.Plugins(cmd.Context())
				if err != nil {
					return err
				}
				if g.output == "json" {
					return g.printJSON(nodeState{status, registries, plugins})
				}
				printStatus(g.stdout, status)
				if err := printRegistries(g.stdout, registries); err != nil || len(plugins) == 0 {
					return err
				}
				return printPlugins(g.stdout, plugins)
			})
		},
	}
}

// printStatus writes the node in a few lines.
func printStatus(w io.Writer, s registry.NodeStatus) {
	state := "ready"
	if !s.Ready {
		state = "not ready"
	}
	fmt.Fprintf(w, "%s  edgecache %s, %s, up %s\n", clean(s.Node), s.Version, state, short(time.Duration(s.UptimeMS)*time.Millisecond))
	for _, reason := range s.Degraded {
		fmt.Fprintf(w, "degraded: %s\n", clean(reason))
	}
	fmt.Fprintf(w, "memory: %s, %s of %s\n", plural(s.Memory.Entries, "entry"), bytesText(s.Memory.Bytes), bytesText(s.Memory.Limit))
	if s.Store != nil {
		fmt.Fprintf(w, "store: %s, %s, %s of %s, %s in the journal\n", clean(s.Store.State), plural(int(s.Store.Entries), "entry"),
			bytesText(s.Store.Bytes), bytesText(s.Store.Limit), plural(int(s.Store.Journal), "invalidation"))
		if s.Store.Error != "" && !told(s.Degraded, s.Store.Error) {
			fmt.Fprintf(w, "store error: %s\n", clean(s.Store.Error))
		}
	}
	fmt.Fprintf(w, "lookups: %d hits, %d stale, %d misses, %d negative, %d errors\n",
		s.Lookups.Hits, s.Lookups.Stale, s.Lookups.Misses, s.Lookups.Negative, s.Lookups.Errors)
}

// told reports whether one of the reasons tells what was wrong.
func told(reasons []string, wrong string) bool {
	return slices.ContainsFunc(reasons, func(reason string) bool { return strings.Contains(reason, wrong) })
}

func printRegistries(w io.Writer, registries []registry.RegistryStatus) error {
	t := newTable("REGISTRY", "TYPE", "KIND", "STATE", "BREAKER", "ENTRIES", "WATCHES", "CALLS", "FAILURES", "LAST OK", "LAST ERROR")
	for _, r := range registries {
		last := ""
		if r.LastOK != nil {
			last = short(max(time.Since(*r.LastOK), 0)) + " ago"
		}
		problem := ""
		if r.State == "down" { // an old error of a registry that is well says nothing
			problem = clip(strings.Join(strings.Fields(r.LastError), " "), 60)
		}
		t.row(r.Name, r.Type, string(r.Kind), r.State, r.Breaker, strconv.Itoa(r.Services), strconv.Itoa(r.Watch.Live),
			strconv.FormatUint(r.Calls, 10), strconv.FormatUint(r.Failures, 10), last, problem)
	}
	return t.print(w)
}

func printPlugins(w io.Writer, plugins []registry.PluginStatus) error {
	fmt.Fprintln(w)
	t := newTable("PLUGIN", "KIND", "RUNS", "SHA256", "GENERATION", "STATE", "BREAKER", "CALLS", "KEPT", "FAILURES", "LAST ERROR")
	for _, p := range plugins {
		failures := uint64(0)
		for _, n := range p.Failures {
			failures += n
		}
		t.row(p.Name, p.Kind, p.Plugin, p.SHA256[:min(12, len(p.SHA256))], strconv.Itoa(p.Generation), p.State, p.Breaker,
			strconv.FormatUint(p.Calls, 10), strconv.FormatUint(p.Memoized, 10), strconv.FormatUint(failures, 10), clip(strings.Join(strings.Fields(p.Error), " "), 60))
	}
	return t.print(w)
}

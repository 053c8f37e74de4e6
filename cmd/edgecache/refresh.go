package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/edgecache/edgecache/client"
	"github.com/edgecache/edgecache/registry"
	"github.com/spf13/cobra"
)

func refreshCommand(g *globals) *cobra.Command {
	var flags selectorFlags
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "refresh [NAME…]",
		Short: "Make the node fetch services anew, and print the report",
		RunE: func(cmd *cobra.Command, args []string) error {
			sel, err := flags.resolve(cmd, args)
			if err != nil {
				return err
			}
			return g.ask(func(c *client.Client) error {
				report, err := c.Refresh(cmd.Context(), sel, timeout)
				if err != nil {
					return err
				}
				return g.printReport(report)
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "wait at most so long (default 30s)")
	return cmd
}

// printReport prints a report; a service that failed and a refresh that still
// runs are errors.
func (g *globals) printReport(r registry.Report) error {
	counts := map[string]int{}
	for _, s := range r.Services {
		counts[s.Result]++
	}
	var outcome error
	switch {
	case r.Running:
		outcome = &exitError{code: exitUnconfirmed, err: fmt.Errorf("refresh %s still runs; it goes on", r.ID)}
	case counts["failed"] > 0:
		outcome = fmt.Errorf("refresh: %d of %s failed; what was known of them is kept", counts["failed"], plural(len(r.Services), "service"))
	}
	if g.output == "json" {
		if r.Services == nil {
			r.Services = []registry.ReportItem{}
		}
		return errors.Join(g.printJSON(r), outcome)
	}
	rows := slices.Clone(r.Services)
	slices.SortStableFunc(rows, func(a, b registry.ReportItem) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Registry, b.Registry))
	})
	t := newTable("NAME", "REGISTRY", "RESULT", "TOOK", "RETRIES", "ERROR")
	for _, s := range rows {
		retries := ""
		if s.Retries > 0 {
			retries = strconv.Itoa(s.Retries)
		}
		t.row(s.Name, s.Registry, s.Result, milliseconds(s.ElapsedMS), retries, clip(s.Error, 80))
	}
	if err := t.print(g.stdout); err != nil {
		return err
	}
	summary := plural(len(rows), "service") + " in " + milliseconds(r.ElapsedMS)
	for _, result := range []string{"changed", "unchanged", "absent", "kept", "failed"} {
		if n := counts[result]; n > 0 {
			summary += fmt.Sprintf(", %d %s", n, result)
		}
	}
	fmt.Fprintln(g.stderr, summary)
	return outcome
}

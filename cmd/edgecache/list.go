package main

import (
	"fmt"

	"github.com/edgecache/edgecache/client"
	"github.com/edgecache/edgecache/registry"
	"github.com/spf13/cobra"
)

func listCommand(g *globals) *cobra.Command {
	var q client.ListQuery
	var kind string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the names of services",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q.Kind, q.Limit = registry.Kind(kind), 1000
			return g.ask(func(c *client.Client) error { return g.list(cmd, c, q) })
		},
	}
	cmd.Flags().StringVar(&q.Prefix, "prefix", "", "names that begin so")
	cmd.Flags().StringVar(&q.Registry, "registry", "", "names of that registry alone")
	cmd.Flags().StringVar(&kind, "kind", "", "only registries of that kind: service, agent or mcp")
	return cmd
}

// list walks all pages and prints them as one.
func (g *globals) list(cmd *cobra.Command, c *client.Client, q client.ListQuery) error {
	all := client.ListPage{Services: []registry.NameRow{}}
	for first := true; first || q.Cursor != ""; first = false {
		page, err := c.ListPage(cmd.Context(), q)
		if err != nil {
			return err
		}
		rows := append(all.Services, page.Services...)
		if !first { // what the walk as a whole may claim
			page.Complete = page.Complete && all.Complete
			page.Stale = page.Stale || all.Stale
			page.AgeMS = max(page.AgeMS, all.AgeMS)
		}
		all, q.Cursor = page, page.Cursor
		all.Services, all.Cursor = rows, ""
	}
	if g.output == "json" {
		return g.printJSON(all)
	}
	t := newTable("NAME", "REGISTRY", "KIND")
	for _, row := range all.Services {
		t.row(row.Name, row.Registry, string(row.Kind))
	}
	if err := t.print(g.stdout); err != nil {
		return err
	}
	note := plural(len(all.Services), "service") + ", age " + freshness(all.Age(), all.Stale)
	if !all.Complete {
		note += "; not complete: a registry cannot list its names, or has not yet"
	}
	fmt.Fprintln(g.stderr, note)
	return nil
}

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/edgecache/edgecache/client"
	"github.com/spf13/cobra"
)

func watchCommand(g *globals) *cobra.Command {
	var flags lookupFlags
	var prefix string
	cmd := &cobra.Command{
		Use:   "watch NAME…",
		Short: "Print changes of services as they happen, until Ctrl-C",
		RunE: func(cmd *cobra.Command, args []string) error {
			q := client.WatchQuery{Services: args, Query: flags.resolve()}
			if cmd.Flags().Changed("prefix") {
				q.Prefix = &prefix
			}
			if len(args) == 0 && q.Prefix == nil {
				return usageError(cmd, errors.New("a NAME or --prefix expected (--prefix '' is all)"))
			}
			return g.watch(cmd.Context(), q)
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&prefix, "prefix", "", "names that begin so; '' is all")
	return cmd
}

func (g *globals) watch(ctx context.Context, q client.WatchQuery) error {
	c, err := client.New(client.Options{
		Address: g.address, Token: g.token, CAFile: g.ca,
		Logger: slog.New(slog.NewTextHandler(g.stderr, nil)),
	})
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Ready(ctx); err != nil { // else a wrong address would be tried for ever, in silence
		return explain(c.Address(), err)
	}
	known := map[string]*client.Service{}
	for event, err := range c.Watch(ctx, q) {
		if err != nil {
			if ctx.Err() != nil {
				return nil // Ctrl-C is how a watch ends
			}
			return explain(c.Address(), err)
		}
		if err := g.printEvent(event, known); err != nil {
			return err
		}
	}
	return nil
}

// printEvent writes an event as one line. known holds the newest state of each
// service, to tell what changed.
func (g *globals) printEvent(e client.Event, known map[string]*client.Service) error {
	if g.output == "json" {
		return json.NewEncoder(g.stdout).Encode(newEventJSON(e))
	}
	text := ""
	switch e.Kind {
	case client.Reset:
		clear(known)
	case client.Upsert:
		text = plural(len(e.Service.Instances), "instance") + difference(known[e.Name], e.Service)
		if e.Service.Freshness.Stale {
			text += ", " + freshness(e.Service.Freshness.Age, true)
		}
		known[e.Name] = e.Service
	case client.Delete:
		delete(known, e.Name)
	case client.Unavailable:
		text = e.Problem.Error()
	case client.Synced:
		text = plural(len(known), "service") + ", changes follow"
	}
	line := fmt.Sprintf("%s  %-11s  %-20s  %s", time.Now().Format("15:04:05.000"), e.Kind, e.Name, text)
	_, err := fmt.Fprintln(g.stdout, clean(strings.TrimRight(line, " ")))
	return err
}

type eventJSON struct {
	Event    client.EventKind `json:"event"`
	ID       string           `json:"id,omitempty"`
	Name     string           `json:"name,omitempty"`
	Registry string           `json:"registry,omitempty"`
	Index    uint64           `json:"index,omitempty"`
	Service  *serviceJSON     `json:"service,omitempty"`
	Problem  *client.Problem  `json:"problem,omitempty"`
}

func newEventJSON(e client.Event) eventJSON {
	out := eventJSON{Event: e.Kind, ID: e.ID, Name: e.Name, Registry: e.Registry, Index: e.Index, Problem: e.Problem}
	if e.Service != nil {
		s := newServiceJSON(e.Service)
		out.Service = &s
	}
	return out
}

// maxDifferences bounds the instances that a line names.
const maxDifferences = 4

// difference says which instances came (+), went (-) and changed (~).
func difference(before, now *client.Service) string {
	if before == nil {
		return ""
	}
	old := map[string]client.Instance{}
	for _, in := range before.Instances {
		old[in.ID] = in
	}
	var parts []string
	for _, in := range now.Instances {
		was, ok := old[in.ID]
		delete(old, in.ID)
		switch {
		case !ok:
			parts = append(parts, "+"+in.ID)
		case !reflect.DeepEqual(was, in):
			part := "~" + in.ID
			if was.Health != in.Health {
				part += " " + cmp.Or(in.Health, "unknown")
			}
			parts = append(parts, part)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(old)) {
		parts = append(parts, "-"+id)
	}
	if len(parts) == 0 {
		return ""
	}
	if len(parts) > maxDifferences {
		parts = append(parts[:maxDifferences], fmt.Sprintf("and %d more", len(parts)-maxDifferences))
	}
	return ": " + strings.Join(parts, ", ")
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/edgecache/edgecache/client"
	"github.com/edgecache/edgecache/registry"
	"github.com/spf13/cobra"
)

// lookupFlags are the flags that select instances.
type lookupFlags struct {
	query client.Query
	kind  string
}

func (f *lookupFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.query.Registry, "registry", "", "ask that registry alone")
	flags.StringVar(&f.kind, "kind", "", "only registries of that kind: service, agent or mcp")
	flags.StringVar(&f.query.Health, "health", "", "the worst health kept: passing (default), warning or any")
	flags.StringArrayVar(&f.query.Tags, "tag", nil, "instances with this tag; repeatable, all must match")
	flags.StringVar(&f.query.Version, "version", "", "instances of this version; latest is the latest published")
	flags.StringVar(&f.query.Zone, "zone", "", "instances in this zone")
	flags.StringVar(&f.query.Port, "port", "", "the endpoint of that name is the main one")
	flags.StringVar(&f.query.Filter, "filter", "", `expression over an instance, as in 'metadata.canary == "true"'`)
}

// resolve returns the query that the flags describe.
func (f *lookupFlags) resolve() client.Query {
	f.query.Kind = registry.Kind(f.kind)
	return f.query
}

func oneName(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("one NAME expected, found %d", len(args))
	}
	return nil
}

func getCommand(g *globals) *cobra.Command {
	var (
		flags  lookupFlags
		view   string
		maxAge time.Duration
		index  uint64
		wait   time.Duration
	)
	cmd := &cobra.Command{
		Use:   "get NAME",
		Short: "Look a service up",
		Args:  oneName,
		RunE: func(cmd *cobra.Command, args []string) error {
			q := flags.resolve()
			if q.MaxAge = maxAge; cmd.Flags().Changed("max-age") && maxAge == 0 {
				q.MaxAge = -1
			}
			return g.ask(func(c *client.Client) error {
				switch view {
				case "record":
				case "document", "addresses":
					if cmd.Flags().Changed("index") || wait > 0 {
						return usageError(cmd, fmt.Errorf("--wait and --index need --view record"))
					}
					return g.view(cmd.Context(), c, view, args[0], q)
				default:
					return usageError(cmd, fmt.Errorf("--view %s: record, document or addresses expected", view))
				}
				s, err := lookup(cmd.Context(), c, args[0], q, index, wait)
				if err != nil {
					return err
				}
				return g.printService(s)
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&view, "view", "record", "record, document (the registry's own bytes) or addresses")
	cmd.Flags().DurationVar(&maxAge, "max-age", 0, "do not use an older answer; 0s always asks the registry")
	cmd.Flags().BoolVar(&flags.query.OnlyCached, "only-cached", false, "ask no registry")
	cmd.Flags().DurationVar(&wait, "wait", 0, "wait up to this long for the next change")
	cmd.Flags().Uint64Var(&index, "index", 0, "with --wait: for a change of what had this index")
	return cmd
}

// lookup looks name up; with wait it returns once the content is not that of
// index (0: of now) any more, or wait has passed.
func lookup(ctx context.Context, c *client.Client, name string, q client.Query, index uint64, wait time.Duration) (*client.Service, error) {
	if wait <= 0 {
		return c.Lookup(ctx, name, q)
	}
	if index == 0 {
		s, err := c.Lookup(ctx, name, q)
		p, absent := errors.AsType[*client.Problem](err)
		switch {
		case err == nil:
			index = s.Index
		case absent && p.Status == 404 && p.Index > 0:
			index = p.Index
		default:
			return nil, err
		}
	}
	return c.Wait(ctx, name, q, index, wait)
}

func (g *globals) view(ctx context.Context, c *client.Client, view, name string, q client.Query) error {
	if view == "document" {
		document, _, err := c.Document(ctx, name, q)
		if err != nil {
			return err
		}
		_, err = g.stdout.Write(document) // as it is: a signature may cover it
		return err
	}
	addresses, err := c.Addresses(ctx, name, q)
	if err != nil {
		return err
	}
	if g.output == "json" {
		return g.printJSON(addresses)
	}
	for _, address := range addresses {
		fmt.Fprintln(g.stdout, clean(address))
	}
	return nil
}

// serviceJSON is the JSON form of a service, as the node answers it.
type serviceJSON struct {
	AgeMS int64 `json:"age_ms"`
	Stale bool  `json:"stale"`
	*client.Service
}

func newServiceJSON(s *client.Service) serviceJSON {
	return serviceJSON{s.Freshness.Age.Milliseconds(), s.Freshness.Stale, s}
}

func (g *globals) printService(s *client.Service) error {
	if g.output == "json" {
		return g.printJSON(newServiceJSON(s))
	}
	head := fmt.Sprintf("%s  %s of %s, %s, age %s", clean(s.Name), s.Kind, s.Registry,
		plural(len(s.Instances), "instance"), freshness(s.Freshness.Age, s.Freshness.Stale))
	if details := s.Freshness.Details(); len(details) > 0 {
		head += " (" + strings.Join(details, ", ") + ")"
	}
	fmt.Fprintf(g.stdout, "%s, index %d\n", head, s.Index)
	t := newTable("ID", "ADDRESS", "HEALTH", "ZONE", "VERSION", "WEIGHT", "TAGS")
	for i := range s.Instances {
		in := &s.Instances[i]
		weight := ""
		if in.Weight != nil {
			weight = strconv.FormatFloat(*in.Weight, 'f', -1, 64)
		}
		t.row(in.ID, address(in), in.Health, cmp.Or(in.Zone, in.Region), in.Version, weight, clip(strings.Join(in.Tags, ","), 40))
	}
	if err := t.print(g.stdout); err != nil {
		return err
	}
	versions := newTable("VERSION", "STATUS", "LABELS")
	for _, v := range s.Versions {
		versions.row(v.Version, v.Status, strings.Join(v.Labels, ","))
	}
	return versions.print(g.stdout)
}

// address writes how an instance is reached.
func address(in *client.Instance) string {
	switch {
	case in.URL != "":
		return in.URL
	case in.Port == 0:
		return in.Address
	}
	return net.JoinHostPort(in.Address, strconv.Itoa(int(in.Port)))
}

package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/edgecache/edgecache/client"
	"github.com/edgecache/edgecache/registry"
	"github.com/spf13/cobra"
)

// selectorFlags are the flags that say what an invalidation or refresh covers.
type selectorFlags struct {
	sel client.Selectors
}

func (f *selectorFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.sel.Tags, "tag", nil, "records with this surrogate key; repeatable")
	flags.StringArrayVar(&f.sel.Prefixes, "prefix", nil, "names that begin so; repeatable")
	flags.StringVar(&f.sel.Registry, "registry", "", "in that registry alone; without a name, tag or prefix: all of it")
	flags.BoolVar(&f.sel.All, "all", false, "everything")
}

// resolve returns what the arguments and flags select.
func (f *selectorFlags) resolve(cmd *cobra.Command, names []string) (client.Selectors, error) {
	sel := f.sel
	sel.Services = client.Names(names...)
	if len(names) == 0 && len(sel.Tags) == 0 && len(sel.Prefixes) == 0 && sel.Registry == "" && !sel.All {
		return sel, usageError(cmd, errors.New("a NAME, --tag, --prefix, --registry or --all expected"))
	}
	return sel, nil
}

func invalidateCommand(g *globals) *cobra.Command {
	var flags selectorFlags
	var mode, wait string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "invalidate [NAME…]",
		Short: "Make the node forget services",
		Long: "Make the node forget services. What may still be served of them:\n" +
			"  soft    the old answer, stale, while it is fetched\n" +
			"  verify  the old answer only if the registry cannot be reached\n" +
			"  hard    nothing old\n\n" +
			"Exit code 4 says that it was not confirmed in time; it goes on all the same.",
		RunE: func(cmd *cobra.Command, args []string) error {
			sel, err := flags.resolve(cmd, args)
			if err != nil {
				return err
			}
			if _, err := registry.ParseMode(mode); err != nil {
				return usageError(cmd, fmt.Errorf("--mode: %w", err))
			}
			return g.ask(func(c *client.Client) error {
				done, err := c.Invalidate(cmd.Context(), sel, client.InvalidateOptions{
					Mode: mode, Wait: registry.Level(wait), Timeout: timeout,
				})
				if err != nil {
					return err
				}
				return g.printConfirmation(done)
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&mode, "mode", "verify", "soft, verify or hard")
	cmd.Flags().StringVar(&wait, "wait", "local", "until it is confirmed by: local, quorum or all")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "wait at most so long, up to 60s (default 2s)")
	return cmd
}

func (g *globals) printConfirmation(c client.Confirmation) error {
	var unconfirmed error
	if !c.Done {
		unconfirmed = &exitError{code: exitUnconfirmed, err: fmt.Errorf("%s: not confirmed in time by %s; it goes on",
			c.ID, strings.Join(c.Pending, ", "))}
	}
	if g.output == "json" {
		return errors.Join(g.printJSON(c), unconfirmed)
	}
	if c.Done {
		line := fmt.Sprintf("%s confirmed by %d of %s in %s", c.ID, len(c.Confirmed), plural(c.Members, "member"), milliseconds(c.ElapsedMS))
		if len(c.Fenced) > 0 {
			line += "; fenced: " + strings.Join(c.Fenced, ", ")
		}
		fmt.Fprintln(g.stdout, clean(line))
	}
	return unconfirmed
}

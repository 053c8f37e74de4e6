package main

import (
	"strconv"

	"github.com/edgecache/edgecache/client"
	"github.com/spf13/cobra"
)

func membersCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "members",
		Short: "List the nodes of the cluster",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.ask(func(c *client.Client) error {
				members, err := c.Members(cmd.Context())
				if err != nil {
					return err
				}
				if g.output == "json" {
					return g.printJSON(map[string]any{"members": members})
				}
				t := newTable("NAME", "STATE", "ADDRESS", "ZONE", "VERSION", "SYNCED", "LAG", "DELAY")
				for _, m := range members {
					t.row(m.Name, m.State, m.Address, m.Zone, m.Version, yesNo(m.Synced),
						strconv.FormatUint(m.Lag, 10), milliseconds(m.DelayMS))
				}
				return t.print(g.stdout)
			})
		},
	}
}

func forgetCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "forget NODE",
		Short: "Remove a dead node from the cluster, or have the asked one leave",
		Long: "Remove a dead node from the cluster: nobody waits for it any more, and it does not\n" +
			"count in majorities. It must be gone for good: if it comes back, it enters anew.\n" +
			"The node that is asked itself drains, leaves the cluster and ends.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.ask(func(c *client.Client) error { return c.Forget(cmd.Context(), args[0]) })
		},
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

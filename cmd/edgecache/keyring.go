package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edgecache/edgecache/client"
	"github.com/edgecache/edgecache/registry"
)

func keyringCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keyring",
		Short: "Show and change the keys that vouch for the nodes of the cluster",
		Long: "Show and change the keys that vouch for the nodes of the cluster, on all nodes at once and\n" +
			"without a restart. A new key takes three steps:\n" +
			"  install  peers with the key are let in\n" +
			"  use      it seals what is sent\n" +
			"  remove   the old one: peers with nothing else are refused from now on\n\n" +
			"Each node writes its gossip.secret_file. Keys are shown by their fingerprints only. Exit code 4\n" +
			"says that a node did not confirm; repeat the step.",
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(keyringListCommand(g),
		rotateCommand(g, registry.KeyringInstall, "Let peers with a new key in"),
		rotateCommand(g, registry.KeyringUse, "Use a key that is installed on all nodes"),
		rotateCommand(g, registry.KeyringRemove, "Remove a key that no node uses"))
	return cmd
}

// noSubcommand refuses a subcommand that there is not.
func noSubcommand(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%q: list, install, use or remove expected", args[0])
	}
	return nil
}

func keyringListCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the keys of all nodes by their fingerprints",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.ask(func(c *client.Client) error {
				report, err := c.Keyring(cmd.Context())
				if err != nil {
					return err
				}
				return g.printKeyring(report)
			})
		},
	}
}

func rotateCommand(g *globals, step registry.KeyringStep, short string) *cobra.Command {
	return &cobra.Command{
		Use:   string(step) + " FILE",
		Short: short,
		Long:  short + ". FILE has the key on one line of 16 characters or more; - is the standard input.",
		Args:  usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := readKey(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			return g.ask(func(c *client.Client) error {
				report, err := c.Rotate(cmd.Context(), step, key)
				if err != nil {
					return err
				}
				return g.printKeyring(report)
			})
		},
	}
}

// readKey reads a file of one key. A key is never an argument: others on the
// machine see those.
func readKey(stdin io.Reader, path string) (string, error) {
	from := "the standard input"
	var text []byte
	var err error
	if path == "-" {
		text, err = io.ReadAll(io.LimitReader(stdin, 64<<10))
	} else {
		from = path
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return "", fmt.Errorf("the key: %w", err)
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 || bytes.ContainsAny(text, "\r\n") {
		return "", fmt.Errorf("%s has %s, one key expected", from, plural(len(strings.Fields(string(text))), "line"))
	}
	return string(text), nil
}

// printKeyring writes what the members have. Who did not confirm is an error.
func (g *globals) printKeyring(report registry.KeyringReport) error {
	var unconfirmed error
	if !report.Done {
		var missing []string
		for _, m := range report.Members {
			if !m.Done {
				missing = append(missing, m.Name+": "+m.Error)
			}
		}
		unconfirmed = &exitError{code: exitUnconfirmed, err: errors.New(clean("not confirmed in time by " + strings.Join(missing, "; ") + "; it may be repeated"))}
	}
	if g.output == "json" {
		return errors.Join(g.printJSON(report), unconfirmed)
	}
	if report.Key != "" {
		fmt.Fprintf(g.stdout, "key %s\n", clean(report.Key))
	}
	t := newTable("NAME", "IN USE", "INSTALLED", "ERROR")
	for _, m := range report.Members {
		inUse, others := "", ""
		if len(m.Keys) > 0 {
			inUse, others = m.Keys[0], strings.Join(m.Keys[1:], " ")
		}
		t.row(m.Name, inUse, others, m.Error)
	}
	return errors.Join(t.print(g.stdout), unconfirmed)
}

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// globals are what all commands share: where they write, and how a client
// command reaches a node. The flags are read before a client command runs.
type globals struct {
	stdout, stderr io.Writer

	address string // base URL of the admin port, without a trailing slash
	token   string // bearer token, "": none
	ca      string // PEM file of the authorities that sign the node, "": the system's
	output  string // table or json

	tokenFile string
}

const defaultAddress = "http://127.0.0.1:7401"

func rootCommand(g *globals) *cobra.Command {
	root := &cobra.Command{
		Use:           "edgecache",
		Short:         "A clustered edge cache for registry lookups",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usageArgs(noCommand),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(g.stdout)
	root.SetErr(g.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usageError(cmd, err) })
	root.AddCommand(serveCommand(g), checkCommand(g), pluginCommand(g), compileCommand(), versionCommand(g), demoCommand(g))
	for _, c := range clientCommands(g) {
		g.clientFlags(c)
		root.AddCommand(c)
	}
	return root
}

// noCommand refuses a command that there is not, naming those that come near.
func noCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	root.SuggestionsMinimumDistance = 2
	err := fmt.Errorf("unknown command %q", args[0])
	if near := root.SuggestionsFor(args[0]); len(near) > 0 {
		err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(near, " or "))
	}
	return err
}

// clientFlags gives c the flags of all commands that ask a running node.
func (g *globals) clientFlags(c *cobra.Command) {
	flags := c.PersistentFlags()
	flags.StringVar(&g.address, "address", "", "admin port of the node (EDGECACHE_ADDR, else "+defaultAddress+")")
	flags.StringVar(&g.tokenFile, "token-file", "", "file with the bearer token (else EDGECACHE_TOKEN)")
	flags.StringVar(&g.ca, "ca", "", "PEM file of the authorities that sign the node's certificate")
	flags.StringVarP(&g.output, "output", "o", "table", "table or json")
	c.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return g.resolve(cmd) }
	if c.Args != nil {
		c.Args = usageArgs(c.Args)
	}
}

// resolve completes the client flags from environment and files.
func (g *globals) resolve(cmd *cobra.Command) error {
	g.address = strings.TrimRight(cmp.Or(g.address, os.Getenv("EDGECACHE_ADDR"), defaultAddress), "/")
	if !strings.Contains(g.address, "://") {
		scheme := "http://"
		if g.ca != "" {
			scheme = "https://"
		}
		g.address = scheme + g.address
	}
	if g.output != "table" && g.output != "json" {
		return usageError(cmd, fmt.Errorf("--output %s: table or json expected", g.output))
	}
	g.token = os.Getenv("EDGECACHE_TOKEN")
	if g.tokenFile != "" {
		token, err := os.ReadFile(g.tokenFile)
		if err != nil {
			return fmt.Errorf("--token-file: %w", err)
		}
		g.token = string(bytes.TrimSpace(token))
	}
	return nil
}

// usageError is a mistake in the command line.
func usageError(cmd *cobra.Command, err error) error {
	return &exitError{code: exitUsage, err: fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
}

func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError(cmd, err)
		}
		return nil
	}
}

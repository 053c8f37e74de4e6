package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// configFlags gives c the flags that say where the configuration comes from.
func configFlags(c *cobra.Command, s *configSource) {
	c.Flags().StringVar(&s.file, "config", "", "configuration file (default: none, serve ./services.yaml)")
	c.Flags().StringArrayVar(&s.sets, "set", nil, "key=value, over environment and file; repeatable")
}

func checkCommand(g *globals) *cobra.Command {
	var source configSource
	c := &cobra.Command{
		Use:   "check",
		Short: "Validate the configuration and print it as it takes effect, secrets masked",
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			source.environ = os.Environ()
			return check(g, source)
		},
	}
	configFlags(c, &source)
	return c
}

func check(g *globals, source configSource) error {
	cfg, warnings, err := source.load()
	for _, w := range warnings {
		fmt.Fprintln(g.stderr, "warning:", w)
	}
	if err != nil {
		return err
	}
	if w := warnOfDataDir(cfg.Node.DataDir); w != "" {
		fmt.Fprintln(g.stderr, "warning:", w)
	}
	tried := *cfg           // for what only the packages can tell
	tried.Node.DataDir = "" // a node may use it
	n, err := newNode(&tried, source, newLogHandler(io.Discard, cfg.Log))
	if err != nil {
		return err
	}
	if err := n.close(); err != nil {
		return err
	}
	text, err := cfg.effective()
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(g.stdout, text)
	return err
}

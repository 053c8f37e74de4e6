package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/edgecache/edgecache/registry/consul/consultest"
	"github.com/spf13/cobra"
)

// demoConfig is the configuration of a node of the demo: windows short enough
// that a tour shows them pass.
const demoConfig = `node:  {name: %s, region: eu, data_dir: "%s"}
http:  {listen: "%s"}
admin: {listen: "%s"}
gossip: {peer_listen: "127.0.0.1:0", join: [%s]}
cache: {ttl: 2s, negative_ttl: 1s, verify: 50ms, recheck: {min: 250ms, max: 1s}}
log:   {level: error}
registries:
  - {name: consul, type: consul, address: ["%s"], timeout: 1s, retries: 0}
`

type demoOptions struct {
	exit          bool
	listen, admin string
	fixed         struct{ listen, admin bool } // asked for: no other port will do
}

func demoCommand(g *globals) *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run three nodes in front of a small made-up registry, and show what they do",
		Long: "Run a cluster of three nodes in front of a small registry that speaks Consul's API, whose services change each second.\n" +
			"A short tour shows what the nodes do; then all stay up until Ctrl-C. Nothing is left behind.",
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.fixed.listen, o.fixed.admin = cmd.Flags().Changed("listen"), cmd.Flags().Changed("admin")
			return runDemo(cmd.Context(), g, o)
		},
	}
	cmd.Flags().BoolVar(&o.exit, "exit", false, "exit after the tour; exit code 1 if a step did not show what it claims")
	cmd.Flags().StringVar(&o.listen, "listen", "127.0.0.1:7400", "where the node answers lookups")
	cmd.Flags().StringVar(&o.admin, "admin", "127.0.0.1:7401", "the node's admin port")
	return cmd
}

// runDemo runs registry, node and tour, and closes them in reverse.
func runDemo(ctx context.Context, g *globals, o demoOptions) (err error) {
	bold := isTerminal(g.stdout)
	ctx, unread := context.WithCancel(ctx)
	defer unread()
	pipe := make(chan os.Signal, 1) // asked for, a closed pipe is an error of Write and does not kill
	signal.Notify(pipe, syscall.SIGPIPE)
	defer signal.Stop(pipe)
	g.stdout = &lockedWriter{w: g.stdout, failed: unread}
	dir, err := os.MkdirTemp("", "edgecache-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	upstream := consultest.New("127.0.0.1:0")
	fleet := newFleet(upstream)
	if err := upstream.Start(); err != nil {
		return err
	}
	defer upstream.Stop()
	nodes, err := startDemoNodes(g, o, dir, upstream)
	defer func() {
		for _, n := range nodes {
			err = errors.Join(err, n.close())
		}
	}()
	if err != nil {
		return err
	}

	changes, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { fleet.churn(changes, tourService, invalidatedService) })
	defer running.Wait()
	defer stop()

	t := newTour(g, nodes, upstream, fleet, bold)
	err = t.run(ctx)
	switch {
	case ctx.Err() != nil:
		return nil // Ctrl-C, or nobody reads
	case o.exit:
		return err
	case err != nil: // what is up is of use all the same
		fmt.Fprintln(g.stderr, "edgecache:", err)
	}
	t.farewell()
	<-ctx.Done()
	return nil
}

// demoNodes are the names of the nodes.
var demoNodes = []string{"demo-1", "demo-2", "demo-3"}

// startDemoNodes starts a cluster and shows it. It returns what was started,
// with an error too.
func startDemoNodes(g *globals, o demoOptions, dir string, upstream *consultest.Server) ([]*node, error) {
	listen, err := freeAddress(g, o.listen, o.fixed.listen)
	if err != nil {
		return nil, err
	}
	admin, err := freeAddress(g, o.admin, o.fixed.admin)
	if err != nil {
		return nil, err
	}
	var nodes []*node
	var join, shown string
	for _, name := range demoNodes {
		text := fmt.Sprintf(demoConfig, name, filepath.Join(dir, name), listen, admin, join, upstream.URL())
		n, err := startDemoNode(g, filepath.Join(dir, name+".yaml"), text)
		if err != nil {
			return nodes, err
		}
		nodes = append(nodes, n)
		if join == "" {
			shown, join = text, fmt.Sprintf("%q", n.gossip.Address())
		}
		listen, admin = "127.0.0.1:0", "127.0.0.1:0"
	}
	fmt.Fprintf(g.stdout, "A registry with %s, which speaks Consul's API: %s\n", plural(len(fleetServices), "service"), upstream.URL())
	fmt.Fprintf(g.stdout, "Three nodes in front of it, each with ports and a directory of its own; the others join the first,\nwhich is run by this configuration (short windows, for the tour):\n\n%s\n", indent(shown))
	return nodes, nil
}

// startDemoNode writes a configuration and runs a node by it, as serve does.
func startDemoNode(g *globals, path, text string) (*node, error) {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, err
	}
	source := configSource{file: path}
	cfg, _, err := source.load()
	if err != nil {
		return nil, err
	}
	n, err := newNode(cfg, source, newLogHandler(g.stderr, cfg.Log))
	if err != nil {
		return nil, err
	}
	if err := n.open(); err != nil {
		err = fmt.Errorf("%w (here by --listen or --admin)", err)
		return nil, errors.Join(err, n.close())
	}
	return n, nil
}

// freeAddress returns address, or if it is taken and not fixed one with a free
// port on the same host.
func freeAddress(g *globals, address string, fixed bool) (string, error) {
	if fixed {
		return address, nil
	}
	l, err := net.Listen("tcp", address)
	if err == nil {
		return address, l.Close()
	}
	l, other := net.Listen("tcp", "127.0.0.1:0")
	if other != nil {
		return "", err
	}
	free := l.Addr().String()
	fmt.Fprintf(g.stdout, "%s is taken: the demo uses %s\n", address, free)
	return free, l.Close()
}

// indent moves each line of text to the right.
func indent(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight("  "+lines[i], " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

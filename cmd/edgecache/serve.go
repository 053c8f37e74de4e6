package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func serveCommand(g *globals) *cobra.Command {
	var source configSource
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run a node",
		Long: "Run a node until SIGTERM or Ctrl-C; a second signal ends it at once. SIGHUP reloads the configuration.\n" +
			"Every key can be set by --set, or by the environment: http.listen is EDGECACHE_HTTP_LISTEN.",
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			source.environ = os.Environ()
			return serve(cmd.Context(), g, source)
		},
	}
	configFlags(c, &source)
	return c
}

// serve runs a node until ctx ends, drains it and closes it.
func serve(ctx context.Context, g *globals, source configSource) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	cfg, warnings, err := source.load()
	if err != nil {
		return err
	}
	handler := newLogHandler(g.stderr, cfg.Log)
	log := slog.New(handler)
	for _, w := range warnings {
		log.Warn(w)
	}
	if usesServicesFile(cfg) {
		log.Info(provideServices(servicesFile))
	}
	n, err := newNode(cfg, source, handler)
	if err != nil {
		return err
	}
	ctx, n.leaving = context.WithCancel(ctx)
	defer n.leaving()
	if err := n.open(); err != nil {
		return errors.Join(err, n.close())
	}
	log.Info("serving", "node", cfg.Node.Name, "version", version(),
		"http", n.server.Addr(), "admin", n.server.AdminAddr(), "registries", len(cfg.Registries))
	n.follow(ctx, hangups)
	err = n.drain(context.Background())
	log.Info("stopped")
	return err
}

// follow reloads on SIGHUP until ctx ends.
func (n *node) follow(ctx context.Context, hangups <-chan os.Signal) {
	for {
		select {
		case <-hangups:
			if err := n.reload(ctx); err != nil {
				n.log.Error("configuration not reloaded; nothing changed", "err", err)
				continue
			}
			n.log.Info("configuration reloaded")
		case <-ctx.Done():
			return
		}
	}
}

// explainListen says what to do when an address cannot be used. The error
// begins with the key of the listener.
func explainListen(err error) error {
	if err == nil {
		return nil
	}
	key, _, _ := strings.Cut(err.Error(), ":")
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w; another process has it: set %s to a free one", err, key)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w; this host does not have it: change %s", err, key)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; set %s to a port above 1023", err, key)
	}
	return err
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgecache/edgecache/plugins"
)

// Limits of the child that compiles a module: what no check of the module
// foresees ends there, and not the node.
const (
	compileTime   = time.Minute
	compileMemory = 4 << 30 // bytes of address space
)

// compileCommandName is that of a command for the node itself.
const compileCommandName = "plugin-compile"

// pluginOptions has modules compiled by a child, and kept in node.data_dir if
// there is one.
func pluginOptions(cfg *Config, log *slog.Logger) plugins.HostOptions {
	o := plugins.HostOptions{Options: cfg.Plugins, Logger: log, Compile: compileInChild}
	if cfg.Node.DataDir != "" {
		o.Dir, o.Values = filepath.Join(cfg.Node.DataDir, "plugins"), filepath.Join(cfg.Node.DataDir, "plugin-values")
	}
	return o
}

// compileInChild is a [plugins.Compiler].
func compileInChild(module, cacheDir string, pages uint32) error {
	self, err := executable()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), compileTime)
	defer cancel()
	child := exec.CommandContext(ctx, self, compileCommandName, module, cacheDir, strconv.FormatUint(uint64(pages), 10))
	var said bytes.Buffer
	child.Stderr = &said
	switch err := child.Run(); {
	case ctx.Err() != nil:
		return fmt.Errorf("it did not end within %s", compileTime)
	case err != nil:
		first, _, _ := bytes.Cut(bytes.TrimSpace(said.Bytes()), []byte("\n"))
		return fmt.Errorf("%w: %s", err, first)
	}
	return nil
}

// executable is the program that runs, even if another one is now at its path.
func executable() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}

// compileCommand is the child.
func compileCommand() *cobra.Command {
	return &cobra.Command{
		Use:    compileCommandName + " MODULE DIR PAGES",
		Hidden: true,
		Args:   cobra.ExactArgs(3),
		RunE: func(_ *cobra.Command, args []string) error {
			pages, err := strconv.ParseUint(args[2], 10, 32)
			if err != nil {
				return errors.New("PAGES: a number expected")
			}
			if err := limitSelf(compileMemory, compileTime); err != nil {
				return err
			}
			return plugins.Compile(args[0], args[1], uint32(pages))
		},
	}
}

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/edgecache/edgecache/store"
)

// openDisk opens the store in node.data_dir; nil if there is to be none. One
// that is broken is opened all the same, and says so.
func openDisk(cfg *Config, log *slog.Logger) (*store.Store, error) {
	if cfg.Node.DataDir == "" {
		log.Info("no disk: node.data_dir is empty, so a restart forgets all entries and invalidations")
		return nil, nil
	}
	o := cfg.Store
	o.Dir, o.Logger = cfg.Node.DataDir, log
	disk, err := store.Open(o)
	if err != nil {
		return nil, fmt.Errorf("node.data_dir: %w", err)
	}
	return disk, nil
}

// validateDataDir refuses what cannot be a data directory: it, or what it
// would be made in, is a file.
func validateDataDir(dir string) error {
	at, info, err := existing(dir)
	switch {
	case dir == "" || errors.Is(err, fs.ErrPermission): // another user's: the start will tell
		return nil
	case err != nil:
		return fmt.Errorf("data_dir: %w", err)
	case !info.IsDir():
		return fmt.Errorf("data_dir: %s is a file, a directory expected", at)
	}
	return nil
}

// warnOfDataDir returns why this user could not keep anything in the data
// directory, else "". The node's may be another one.
func warnOfDataDir(dir string) string {
	if dir == "" {
		return ""
	}
	at, _, err := existing(dir)
	if err == nil {
		err = unix.Access(at, unix.W_OK|unix.X_OK)
	}
	if err != nil {
		return fmt.Sprintf("node.data_dir: %s cannot be written by this user: %v", at, err)
	}
	return ""
}

// existing returns the file at path or, if there is none, the innermost one
// above it.
func existing(path string) (string, fs.FileInfo, error) {
	for at := filepath.Clean(path); ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		missing := errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
		if !missing || at == filepath.Dir(at) {
			return at, info, err
		}
	}
}

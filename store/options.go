package store

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/edgecache/edgecache/registry"
)

// Options configure a Store. The tagged fields are the config section `store`;
// the others are set by the program that wires the store.
type Options struct {
	MaxBytes registry.Size  `yaml:"max_bytes"` // of the directory in use; entries beyond go, invalidations never
	MinFree  registry.Share `yaml:"min_free"`  // of the file system: below, no entry is written and the oldest go

	Dir     string       `yaml:"-"` // the data directory; made if it is missing
	FS      vfs.FS       `yaml:"-"` // nil: the disk
	Logger  *slog.Logger `yaml:"-"` // nil: discard
	Records int          `yaml:"-"` // most invalidations kept for peers; 0: 1 048 576

	// Stall is how long a commit may take before the disk counts as slow and
	// invalidations are no longer waited for; 0: 2 s.
	Stall time.Duration `yaml:"-"`
	// Reopen is how long after a death a fresh directory is first tried,
	// doubled at each try; 0: 5 s; below 0: never.
	Reopen time.Duration `yaml:"-"`
}

// Defaults returns the default configuration.
func Defaults() Options { return Options{MaxBytes: 4 << 30, MinFree: 0.05} }

// Validate returns all mistakes in the tagged fields at once.
func (o Options) Validate() error {
	var errs []error
	if o.MaxBytes < 16<<20 {
		errs = append(errs, fmt.Errorf("max_bytes: %s: at least 16MiB expected", o.MaxBytes))
	}
	if o.MinFree < 0 || o.MinFree > 0.5 {
		errs = append(errs, fmt.Errorf("min_free: %s: 0%% to 50%% expected", o.MinFree))
	}
	return errors.Join(errs...)
}

const (
	defaultRecords = 1 << 20
	defaultStall   = 2 * time.Second
	defaultReopen  = 5 * time.Second
)

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = systemFS()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Records == 0 {
		o.Records = defaultRecords
	}
	if o.Stall == 0 {
		o.Stall = defaultStall
	}
	if o.Reopen == 0 {
		o.Reopen = defaultReopen
	}
	return o
}

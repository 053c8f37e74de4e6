package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/edgecache/edgecache/registry"
)

// hooks are told what happens to one directory. They are called on Pebble's
// goroutines, some with its locks held: they must neither block nor call into
// the DB. Any may be called often and by many at once.
type hooks struct {
	died    func(error)                        // the directory is lost to this process
	slow    func(d time.Duration, what string) // a write has lasted d so far
	corrupt func(error)                        // what was read is not what was written
	full    func()                             // the disk is full; writes wait until it returns, then try once more

	counters *engineCounters // nil: not counted
	cache    *pebble.Cache   // of blocks, for all directories of a Store; nil: one of its own
}

// engineCounters count what Pebble tells of, since the Store was opened.
type engineCounters struct {
	stalls     atomic.Uint64 // times that commits had to wait for flushes or compactions
	background atomic.Uint64 // flushes and compactions that failed
	slow       atomic.Uint64 // reports of a write that lasts longer than Options.Stall
}

const (
	memTableSize = 8 << 20 // a restart replays this much, and often twice that
	memTables    = 4       // at 32 MiB unflushed a commit waits: seconds of writing at full rate
	// Indexes and filters of a million names; the cache package holds what is
	// hot. Memtables are taken off it.
	cacheSize      = 16<<20 + memTables*memTableSize
	smallMemTables = 8   // likewise in a small directory
	openFiles      = 512 // tables of 4 GiB; far below the usual limit of 1024

	probeName  = "probe"
	probeBytes = 1 << 20 // a fresh directory takes a part of it

	// openLimit is how long a directory may take to open before it is given
	// up: a node must start though its disk is stuck.
	openLimit = 20 * time.Second
)

var (
	errOpenTooLong = fmt.Errorf("not open after %s: the disk does not answer", openLimit)
	errNotBegun    = errors.New("it has no MANIFEST that is in force, but other files")
)

// engineOptions returns Pebble's options for a directory of at most so many
// bytes.
func engineOptions(fs vfs.FS, m *pebble.Merger, most registry.Size) *pebble.Options {
	// In a small directory, all that is there twice for a while must be small
	// too: ten WALs in use or waiting for it, and the tables of a compaction.
	within := func(share, least, usual uint64) uint64 { return min(max(uint64(most)/share, least), usual) }
	o := &pebble.Options{
		FS:                          fs,
		Merger:                      m,
		FormatMajorVersion:          pebble.FormatValueSeparation, // tells a torn WAL from a corrupt one; checksums in footers
		CacheSize:                   cacheSize,
		MemTableSize:                within(128, 256<<10, memTableSize),
		LBaseMaxBytes:               int64(within(64, 512<<10, 64<<20)),
		MemTableStopWritesThreshold: memTables,
		MaxOpenFiles:                openFiles,
		L0CompactionThreshold:       8,               // of 8 MiB each, whose filters are in memory: half the rewriting of 2
		L0StopWritesThreshold:       1000,            // the committer never waits for compactions; max_bytes bounds what they lag
		BytesPerSync:                512 << 10,       // tables reach the disk steadily, not in one burst that holds up a WAL's fsync
		WALBytesPerSync:             512 << 10,       // likewise entries, which nobody syncs
		MaxManifestFileSize:         4 << 20,         // of 16 MiB, the least max_bytes, not all may be MANIFEST
		FlushDelayDeleteRange:       5 * time.Second, // evicted space returns though nobody writes
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
	}
	o.TargetFileSizes[0] = int64(within(1024, 32<<10, 2<<20))
	if o.MemTableSize < memTableSize/2 {
		o.MemTableStopWritesThreshold = smallMemTables
		o.L0CompactionThreshold = 2 // what was evicted gives its space back at once
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10) // most names have no mark and no confirmation: 1 % are looked for in vain
		o.Levels[i].BlockSize = 8 << 10                   // some entries each; of a corrupt block Pebble tries all single bits, in square time
	}
	// Snappy or MinLZ: documents halve at hundreds of MB/s.
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })
	return o
}

// openPebble opens the directory at path, or makes it if nothing is there. It
// returns after openLimit at the latest; a directory that opens later is
// closed again. After an error, and after hooks.died was called, nobody may
// use the directory in this process any more.
func openPebble(fs vfs.FS, path string, m *pebble.Merger, o Options, h hooks) (*pebble.DB, error) {
	dead := make(chan error, 1)
	died := h.died
	h.died = func(err error) {
		select {
		case dead <- err:
		default:
		}
		died(err)
	}
	type opened struct {
		db  *pebble.DB
		err error
	}
	done := make(chan opened)
	given := make(chan struct{})
	go func() {
		db, err := openGuarded(fs, path, m, o, h)
		select {
		case done <- opened{db, err}:
		case <-given:
			if db != nil {
				o.Logger.Warn("store: opened too late, closed again", "directory", path)
				closePebble(db)
			}
		}
	}()
	limit := time.NewTimer(openLimit)
	defer limit.Stop()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, plain{r.err}
		}
		return r.db, nil
	case err := <-dead:
		close(given)
		return nil, err
	case <-limit.C:
		close(given)
		died(errOpenTooLong)
		return nil, errOpenTooLong
	}
}

// openGuarded opens a directory on the caller's goroutine, which it may park
// or keep for as long as the disk does.
func openGuarded(fs vfs.FS, path string, m *pebble.Merger, o Options, h hooks) (db *pebble.DB, err error) {
	// Pebble meets some corruptions with a panic.
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, fmt.Errorf("%v\n%s", r, debug.Stack())
		}
	}()
	log := engineLogger{log: o.Logger.With("directory", path), died: h.died}
	full := h.full
	if full == nil {
		full = func() {}
	}
	unchecked := vfs.OnDiskFull(fs, full)
	checked, monitor := vfs.WithDiskHealthChecks(unchecked, o.Stall, nil, func(i vfs.DiskSlowInfo) {
		if h.counters != nil {
			h.counters.slow.Add(1)
		}
		h.slow(i.Duration, i.OpType.String()+" of "+fs.PathBase(i.Path))
	})
	guard := &guardFS{FS: unchecked, checked: checked, monitor: monitor, died: h.died}
	defer func() {
		if err != nil {
			monitor.Close()
		}
	}()
	begun, err := hasFiles(fs, path)
	if err == nil && begun {
		err = intact(fs, path)
	} else if err == nil {
		err = probe(fs, fs.PathDir(path))
	}
	if err != nil {
		return nil, err
	}
	opts := engineOptions(guard, m, o.MaxBytes)
	opts.Cache = h.cache
	opts.Logger = log
	opts.EventListener = listener(log, h, guard)
	// Without its MANIFEST, a directory would be begun anew and its tables
	// deleted as leftovers.
	opts.ErrorIfNotExists = begun
	db, err = pebble.Open(path, opts)
	if errors.Is(err, pebble.ErrDBDoesNotExist) {
		err = errNotBegun
	}
	if err == nil {
		guard.armed.Store(true)
	}
	return db, err
}

// hasFiles reports whether anything but a lock is in the directory.
func hasFiles(fs vfs.FS, path string) (bool, error) {
	names, err := fs.List(path)
	if err != nil {
		if isNotExist(err) {
			return false, nil
		}
		return false, err
	}
	for _, name := range names {
		if name != lockName {
			return true, nil
		}
	}
	return false, nil
}

// probe writes to a disk on which a directory is to be made. It fails cleanly,
// while Pebble in the midst of making one would be parked, with its files open,
// at each of any number of tries.
func probe(fs vfs.FS, dir string) error {
	path := fs.PathJoin(dir, probeName)
	err := writeFile(fs, path, string(make([]byte, probeBytes)))
	if removeErr := fs.Remove(path); err == nil {
		err = removeErr
	}
	return err
}

// closePebble closes a DB that no goroutine uses any more. If the disk does not
// answer, it returns after closeLimit and leaves the DB to itself.
func closePebble(db *pebble.DB) error {
	done := make(chan error, 1)
	go func() {
		var err error
		defer func() { done <- err }()
		defer recovered(&err)
		err = db.Close()
	}()
	limit := time.NewTimer(closeLimit)
	defer limit.Stop()
	select {
	case err := <-done:
		return err
	case <-limit.C:
		return fmt.Errorf("not closed after %s: the disk does not answer", closeLimit)
	}
}

func listener(log engineLogger, h hooks, guard *guardFS) *pebble.EventListener {
	count := func(n *atomic.Uint64) { n.Add(1) }
	var failing, waiting rarely
	if h.counters == nil {
		h.counters = new(engineCounters)
	}
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			count(&h.counters.background)
			if !failing.now() {
				return
			}
			log.log.Warn("store: a flush or compaction failed, it is tried again", "err", plain{err})
		},
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			h.corrupt(fmt.Errorf("%s: %w", i.Path, plain{i.Details}))
		},
		// After a flush a compaction may run: were Pebble to give up opening
		// now, it would free what that uses, and the process would panic.
		FlushEnd: func(pebble.FlushInfo) { guard.armed.Store(true) },
		DiskSlow: func(i pebble.DiskSlowInfo) { h.slow(i.Duration, i.OpType.String()) },
		LowDiskSpace: func(i pebble.LowDiskSpaceInfo) {
			log.log.Warn("store: low disk space", "free", i.AvailBytes, "percent", i.PercentThreshold)
		},
		WriteStallBegin: func(i pebble.WriteStallBeginInfo) {
			count(&h.counters.stalls)
			if waiting.now() {
				log.log.Warn("store: writes wait for flushes or compactions", "reason", i.Reason)
			}
		},
		PossibleAPIMisuse: func(i pebble.PossibleAPIMisuseInfo) {
			log.log.Error("store: misuse of the engine", "kind", i.Kind.String(), "info", i.ExtraInfo)
		},
	}
}

// rarely is true now and then, for what would fill the log.
type rarely struct {
	mu   sync.Mutex
	next time.Time
}

const rarelyEvery = 10 * time.Second

func (r *rarely) now() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Now().Before(r.next) {
		return false
	}
	r.next = time.Now().Add(rarelyEvery)
	return true
}

// plain is an error of Pebble's without the stacks that it prints in logs.
type plain struct{ error }

func (p plain) Unwrap() error { return p.error }

// engineLogger takes Pebble's messages.
type engineLogger struct {
	log  *slog.Logger
	died func(error)
}

func (l engineLogger) Infof(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("store: " + fmt.Sprintf(format, args...))
	}
}

func (l engineLogger) Errorf(format string, args ...any) {
	l.log.Warn("store: " + fmt.Sprintf(format, args...))
}

// Fatalf gives the directory up. Pebble counts on it not to return, and its
// own would end the process: its caller waits for ever, with the locks it has.
func (l engineLogger) Fatalf(format string, args ...any) {
	park(l.died, fmt.Errorf(format, args...))
}

// park tells that a directory died, and never returns.
func park(died func(error), err error) {
	died(parked{err})
	select {}
}

// parked is why a directory died in which a goroutine waits for ever: to close
// it would wait for that.
type parked struct{ error }

func (p parked) Unwrap() error { return p.error }

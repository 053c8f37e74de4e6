package store

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A guardFS keeps failed writes from Pebble. It answers one to a WAL with a
// panic, at times over a mutex that it then unlocks twice, which no recover
// stops; one to the MANIFEST ends it with its main lock held. So the goroutine
// whose write failed is parked here, where it holds little, and the directory
// is dead. Tables may fail: Pebble tries again at once and for ever, so each
// error is held back for a while.
type guardFS struct {
	vfs.FS              // without health checks
	checked vfs.FS      // the same with them
	monitor io.Closer   // of the health checks
	died    func(error) // see hooks
	armed   atomic.Bool // while a directory opens, errors are returned and end that

	mu     sync.RWMutex // held for reading while checked is used, but not its files
	closed bool         // its lock is given back: checks would go on for ever
}

const tableErrorPause = 200 * time.Millisecond

// failed is called with what an operation returned that Pebble cannot do
// without.
func (g *guardFS) failed(op, name string, err error) error {
	if err == nil {
		return nil
	}
	base := g.PathBase(name)
	switch {
	case strings.HasSuffix(base, ".sst"), strings.HasSuffix(base, ".blob"):
		time.Sleep(tableErrorPause)
	case g.armed.Load():
		park(g.died, fmt.Errorf("%s of %s: %w", op, base, err))
	}
	return err
}

func (g *guardFS) Unwrap() vfs.FS { return g.FS }

// timed calls op with the FS that has health checks, as long as those last.
func (g *guardFS) timed(op func(fs vfs.FS) error) error {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closed {
		return op(g.FS)
	}
	return op(g.checked)
}

// Lock returns a lock whose end, the last but clean-up in the life of a
// directory, is the end of the health checks too.
func (g *guardFS) Lock(name string) (io.Closer, error) {
	l, err := g.FS.Lock(name)
	if err != nil {
		return nil, err
	}
	return &guardLock{l, g}, nil
}

type guardLock struct {
	io.Closer
	g *guardFS
}

func (l *guardLock) Close() error {
	l.g.mu.Lock()
	l.g.closed = true
	l.g.mu.Unlock()
	return errors.Join(l.Closer.Close(), l.g.monitor.Close())
}

// Create makes the name of a MANIFEST durable before the marker that says that
// it is in force: Pebble syncs both at once, and a crash may leave the marker.
func (g *guardFS) Create(name string, c vfs.DiskWriteCategory) (f vfs.File, err error) {
	if strings.HasPrefix(g.PathBase(name), "marker.manifest.") {
		if err := syncDir(g.FS, g.PathDir(name)); err != nil {
			return nil, g.failed("fsync", name, err)
		}
	}
	err = g.timed(func(fs vfs.FS) error { f, err = fs.Create(name, c); return err })
	return g.file(f, name, g.failed("create", name, err))
}

func (g *guardFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (f vfs.File, err error) {
	err = g.timed(func(fs vfs.FS) error { f, err = fs.ReuseForWrite(oldname, newname, c); return err })
	return g.file(f, newname, g.failed("reuse", newname, err))
}

func (g *guardFS) Remove(name string) error {
	return g.timed(func(fs vfs.FS) error { return fs.Remove(name) })
}

func (g *guardFS) OpenDir(name string) (vfs.File, error) {
	f, err := g.FS.OpenDir(name)
	return g.file(f, name, g.failed("open", name, err))
}

func (g *guardFS) List(name string) ([]string, error) {
	names, err := g.FS.List(name)
	return names, g.failed("list", name, err)
}

func (g *guardFS) Rename(oldname, newname string) error {
	return g.failed("rename", newname, g.timed(func(fs vfs.FS) error { return fs.Rename(oldname, newname) }))
}

func (g *guardFS) file(f vfs.File, name string, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &guardFile{File: f, name: name, g: g}, nil
}

type guardFile struct {
	vfs.File
	name string
	g    *guardFS
}

func (f *guardFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	return n, f.g.failed("write", f.name, err)
}

func (f *guardFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	return n, f.g.failed("write", f.name, err)
}

func (f *guardFile) Sync() error { return f.g.failed("fsync", f.name, f.File.Sync()) }

func (f *guardFile) SyncData() error { return f.g.failed("fsync", f.name, f.File.SyncData()) }

func (f *guardFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	return full, f.g.failed("fsync", f.name, err)
}

func (f *guardFile) Close() error { return f.g.failed("close", f.name, f.File.Close()) }

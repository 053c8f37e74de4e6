package torture

import (
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// A disk is a file system in memory that may crash before any operation.
type disk struct {
	vfs.FS // what a store is given

	mem   *vfs.MemFS
	clone sync.RWMutex // held to write while mem is cloned

	// before is called ahead of each operation that changes what a crash
	// leaves, with its kind; nil: not called. It may call crash.
	before atomic.Pointer[func(kind string)]
	dirs   sync.Map // paths opened as directories
}

func newDisk(mem *vfs.MemFS) *disk {
	d := &disk{mem: mem}
	d.FS = errorfs.Wrap(wholeFS{mem, &d.clone}, errorfs.InjectorFunc(d.sees))
	return d
}

// The kinds of boundaries.
const (
	kindFsync    = "fsync of a file"
	kindDirFsync = "fsync of a directory"
	kindRename   = "rename"
	kindCreate   = "create"
	kindRemove   = "remove"
	kindWrite    = "write"
	kindReturned = "return to the caller"
)

func (d *disk) sees(op errorfs.Op) error {
	if op.Kind == errorfs.OpOpenDir {
		d.dirs.Store(op.Path, true)
	}
	before := d.before.Load()
	if before == nil {
		return nil
	}
	switch op.Kind {
	case errorfs.OpFileSync, errorfs.OpFileSyncData:
		if _, dir := d.dirs.Load(op.Path); dir {
			(*before)(kindDirFsync)
		} else {
			(*before)(kindFsync)
		}
	case errorfs.OpRename:
		(*before)(kindRename)
	case errorfs.OpCreate, errorfs.OpReuseForWrite, errorfs.OpMkdirAll, errorfs.OpLink, errorfs.OpLock:
		(*before)(kindCreate)
	case errorfs.OpRemove, errorfs.OpRemoveAll:
		(*before)(kindRemove)
	case errorfs.OpFileWrite, errorfs.OpFileWriteAt:
		(*before)(kindWrite)
	}
	return nil
}

// watch makes f see all boundaries from now on; nil ends that.
func (d *disk) watch(f func(kind string)) {
	if f == nil {
		d.before.Store(nil)
		return
	}
	d.before.Store(&f)
}

// percents are how much of what was not synced a crash may leave.
var percents = [...]int{0, 25, 50, 75, 100}

// crash returns what a crash at this moment may leave: all that was synced and
// a part of the rest.
func (d *disk) crash(percent int, rng *rand.Rand) *vfs.MemFS {
	d.clone.Lock()
	defer d.clone.Unlock()
	return d.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
}

// A wholeFS lets no clone come between the halves of those operations of a
// MemFS that take its lock twice: they would wait for the clone, and it for
// them.
type wholeFS struct {
	*vfs.MemFS
	clone *sync.RWMutex
}

func (f wholeFS) Link(oldname, newname string) error {
	f.clone.RLock()
	defer f.clone.RUnlock()
	return f.MemFS.Link(oldname, newname)
}

func (f wholeFS) Lock(name string) (io.Closer, error) {
	f.clone.RLock()
	defer f.clone.RUnlock()
	return f.MemFS.Lock(name)
}

func (f wholeFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f.clone.RLock()
	defer f.clone.RUnlock()
	return f.MemFS.OpenReadWrite(name, c, opts...)
}

func (f wholeFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f.clone.RLock()
	defer f.clone.RUnlock()
	return f.MemFS.ReuseForWrite(oldname, newname, c)
}

// isTable and its like tell files by their names.
func isTable(path string) bool { return strings.HasSuffix(path, ".sst") }
func isLog(path string) bool   { return strings.HasSuffix(path, ".log") }
func isManifest(path string) bool {
	return strings.Contains(path, "MANIFEST-") || strings.Contains(path, "marker.")
}

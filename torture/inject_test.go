package torture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// A fault is a way for a disk to fail.
type fault struct {
	name string
	hits func(op errorfs.Op) bool
	err  error // nil: the operation waits until the fault is over
	one  int   // of so many operations that it hits
}

func isWrite(k errorfs.OpKind) bool {
	return slices.Contains([]errorfs.OpKind{errorfs.OpCreate, errorfs.OpReuseForWrite, errorfs.OpFileWrite, errorfs.OpFileWriteAt}, k)
}

func isSync(k errorfs.OpKind) bool {
	return slices.Contains([]errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}, k)
}

func isRead(k errorfs.OpKind) bool { return k == errorfs.OpFileRead || k == errorfs.OpFileReadAt }

// faults are the kinds of faults of a disk that lives. one is filled in.
var faults = []fault{
	{name: "WAL cannot be written", err: syscall.EIO, hits: func(op errorfs.Op) bool { return isLog(op.Path) && isWrite(op.Kind) }},
	{name: "WAL cannot be synced", err: syscall.EIO, hits: func(op errorfs.Op) bool { return isLog(op.Path) && isSync(op.Kind) }},
	{name: "tables cannot be written", err: syscall.EIO, hits: func(op errorfs.Op) bool {
		return isTable(op.Path) && (isWrite(op.Kind) || isSync(op.Kind))
	}},
	{name: "MANIFEST cannot be written", err: syscall.EIO, hits: func(op errorfs.Op) bool {
		return isManifest(op.Path) && (isWrite(op.Kind) || isSync(op.Kind) || op.Kind == errorfs.OpRename)
	}},
	{name: "tables cannot be read", err: syscall.EIO, hits: func(op errorfs.Op) bool { return isTable(op.Path) && isRead(op.Kind) }},
	{name: "directories fail", err: syscall.EIO, hits: func(op errorfs.Op) bool {
		switch op.Kind {
		case errorfs.OpOpenDir, errorfs.OpList, errorfs.OpMkdirAll, errorfs.OpRemove, errorfs.OpRemoveAll, errorfs.OpRename, errorfs.OpStat:
			return true
		}
		return isSync(op.Kind) && !strings.Contains(op.Path, ".")
	}},
	{name: "no space", err: syscall.ENOSPC, hits: func(op errorfs.Op) bool { return isWrite(op.Kind) || op.Kind == errorfs.OpMkdirAll }},
	{name: "anything fails", err: syscall.EIO, hits: func(errorfs.Op) bool { return true }},
	{name: "fsync hangs", hits: func(op errorfs.Op) bool { return isSync(op.Kind) }},
	{name: "writes hang", hits: func(op errorfs.Op) bool { return isWrite(op.Kind) }},
	{name: "reads hang", hits: func(op errorfs.Op) bool { return isTable(op.Path) && isRead(op.Kind) }},
}

// An injector puts faults into a file system.
type injector struct {
	now  atomic.Pointer[started]
	hits atomic.Int64

	mu  sync.Mutex // protects rng
	rng *rand.Rand
}

type started struct {
	fault
	over chan struct{}
}

func (i *injector) sees(op errorfs.Op) error {
	f := i.now.Load()
	if f == nil || !f.hits(op) {
		return nil
	}
	i.mu.Lock()
	spared := i.rng.IntN(f.one) > 0
	i.mu.Unlock()
	if spared {
		return nil
	}
	i.hits.Add(1)
	if f.err == nil {
		<-f.over
		return nil
	}
	return fmt.Errorf("%s %s: %w", f.name, op.Path, f.err)
}

// begin lets a fault begin; heal ends it.
func (i *injector) begin(f fault) { i.now.Store(&started{f, make(chan struct{})}) }

func (i *injector) heal() {
	if f := i.now.Swap(nil); f != nil {
		close(f.over)
	}
}

// wounds are the kinds of damage to files while no process uses them.
var wounds = []string{"byte of a WAL flipped", "byte of a table flipped", "byte of the MANIFEST flipped",
	"table lost", "MANIFEST lost", cutShort, "byte of any file flipped"}

const cutShort = "other file cut short"

// witnessed returns how many bytes of a WAL another part of it shows to have
// been synced. Damage behind looks as if a crash had cut the WAL short.
func witnessed(data []byte) int {
	const block, header, synced = 32 << 10, 11, 19
	most, number := 0, uint32(0)
	for at := 0; at+synced <= len(data); {
		if left := block - at%block; left < synced && data[at+6] == 0 {
			at += left
			continue
		}
		kind, log := data[at+6], binary.LittleEndian.Uint32(data[at+7:])
		if kind < 5 || kind > 12 || number != 0 && log != number {
			break
		}
		number = log
		size := header
		if kind > 8 {
			most = max(most, int(binary.LittleEndian.Uint64(data[at+11:])))
			size = synced
		} else {
			most = at
		}
		at += size + int(binary.LittleEndian.Uint16(data[at+4:]))
	}
	return min(most, len(data))
}

// filesFor returns the newest directory and those of its files that a kind of
// damage may befall.
func filesFor(mem *vfs.MemFS, kind string) (path string, files []string, err error) {
	numbers, err := mem.List("data")
	if err != nil {
		return "", nil, err
	}
	slices.Sort(numbers)
	for _, name := range numbers {
		if strings.HasPrefix(name, "store-") && !strings.HasSuffix(name, ".broken") {
			path = mem.PathJoin("data", name)
		}
	}
	if path == "" {
		return "", nil, nil
	}
	files, err = mem.List(path)
	slices.Sort(files)
	return path, slices.DeleteFunc(files, func(name string) bool {
		switch {
		case kind == cutShort: // of a WAL or MANIFEST, it is what a crash leaves
			return isLog(name) || isManifest(name)
		case strings.Contains(kind, "WAL"):
			return !isLog(name)
		case strings.Contains(kind, "table"):
			return !isTable(name)
		case strings.Contains(kind, "MANIFEST"):
			return !strings.HasPrefix(name, "MANIFEST-")
		}
		return name == "LOCK"
	}), err
}

// wound damages a file of the newest directory. It returns what it did, "" if
// there was nothing to damage.
func wound(mem *vfs.MemFS, kind string, rng *rand.Rand) (string, error) {
	path, files, err := filesFor(mem, kind)
	if err != nil {
		return "", err
	}
	if len(files) == 0 {
		return "", nil
	}
	file := mem.PathJoin(path, pick(rng, files))
	if strings.HasSuffix(kind, "lost") {
		return "lost " + file, mem.Remove(file)
	}
	data, err := mem.UnsafeGetFileDataBuffer(file)
	if err != nil || len(data) == 0 {
		return "", err
	}
	most := len(data)
	if isLog(file) {
		most = witnessed(data)
	}
	if most == 0 {
		return "", nil
	}
	at := rng.IntN(most)
	if kind == cutShort {
		return fmt.Sprintf("cut %s of %d bytes at %d", file, len(data), at), rewrite(mem, file, data[:at])
	}
	data[at] ^= 1 << rng.IntN(8)
	return fmt.Sprintf("flipped byte %d of %d of %s", at, len(data), file), nil
}

func rewrite(mem *vfs.MemFS, file string, data []byte) error {
	data = slices.Clone(data)
	f, err := mem.Create(file, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

package store

import (
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/edgecache/edgecache/registry"
)

func TestAWriteThatLastsIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f faults
		var g gate
		var mu sync.Mutex
		var told []string
		o := Options{Stall: 3 * time.Second}.withDefaults()
		db, err := openPebble(f.over(vfs.NewMem()), "/store-000001", merger, o, hooks{
			died: func(err error) { t.Errorf("died: %v", err) },
			slow: func(d time.Duration, what string) {
				mu.Lock()
				defer mu.Unlock()
				if d < o.Stall {
					t.Errorf("told of a write that lasts %s", d)
				}
				told = append(told, what)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		g.close()
		f.on(func(op errorfs.Op) error {
			if op.Kind == errorfs.OpFileSyncData && strings.HasSuffix(op.Path, ".log") {
				g.pass()
			}
			return nil
		})
		done := make(chan error, 1)
		go func() { done <- db.Set([]byte("ikey"), nil, pebble.Sync) }()
		time.Sleep(10 * time.Second)
		g.open()
		if err := <-done; err != nil {
			t.Error(err)
		}
		mu.Lock()
		if len(told) == 0 || !strings.Contains(told[0], ".log") {
			t.Errorf("told of %q, want the WAL's fsync", told)
		}
		mu.Unlock()
		if err := closePebble(db); err != nil {
			t.Error(err)
		}
	})
}

func TestATableThatCannotBeWrittenIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f faults
		counters := new(engineCounters)
		db, err := openPebble(f.over(vfs.NewMem()), "/store-000001", merger, Options{}.withDefaults(), hooks{
			died: func(err error) { t.Errorf("died: %v", err) }, counters: counters,
		})
		if err != nil {
			t.Fatal(err)
		}
		f.on(failing(syscall.EIO, ".sst"))
		if err := db.Set([]byte("ikey"), []byte("value"), pebble.Sync); err != nil {
			t.Fatal(err)
		}
		flushed, err := db.AsyncFlush()
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		// Each try is held back: it would be made at once, and for ever.
		if n := counters.background.Load(); n < 10 || n > uint64(time.Minute/tableErrorPause) {
			t.Errorf("%d failed flushes in a minute", n)
		}
		f.off()
		<-flushed
		if err := closePebble(db); err != nil {
			t.Error(err)
		}
	})
}

// Were Pebble to give up opening once it has flushed what the WAL had, the
// compaction that follows would end the process.
func TestWhatFailsAfterAFlushAtOpeningParks(t *testing.T) {
	disk := vfs.NewCrashableMem()
	o := engineOptions(disk, merger, 0)
	o.DisableAutomaticCompactions = true
	db, err := pebble.Open("/store-000001", o)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 * o.L0CompactionThreshold {
		if err := errors.Join(db.Set([]byte("ia"), []byte("1"), nil), db.Set([]byte("iz"), []byte("2"), nil), db.Flush()); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Set([]byte("im"), []byte("3"), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	killed := disk.CrashClone(vfs.CrashCloneCfg{})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for name, kinds := range map[string][]errorfs.OpKind{
		"create": {errorfs.OpCreate, errorfs.OpReuseForWrite}, "write": {errorfs.OpFileWrite}, "rename": {errorfs.OpRename}, "list": {errorfs.OpList},
	} {
		var f faults
		var flushed atomic.Bool
		f.on(func(op errorfs.Op) error {
			switch {
			case strings.HasSuffix(op.Path, ".sst"):
				flushed.Store(true)
			case flushed.Load() && !strings.Contains(strings.ToLower(op.Path), "manifest") && slices.Contains(kinds, op.Kind): // that is of the flush
				return syscall.EIO
			}
			return nil
		})
		parkedBefore := parkedGoroutines()
		died := make(chan error, 1)
		db, err := openPebble(f.over(killed.CrashClone(vfs.CrashCloneCfg{})), "/store-000001", merger, Options{}.withDefaults(), hooks{
			died: func(err error) { died <- err }, corrupt: func(err error) { t.Errorf("%s: %v", name, err) },
		})
		if err == nil {
			t.Errorf("%s: it opens", name)
			_ = closePebble(db)
			continue
		}
		poll(t, name+": whoever opens is parked", func() bool { return parkedGoroutines() > parkedBefore })
		if err := <-died; !strings.HasPrefix(err.Error(), name+" of ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func parkedGoroutines() int {
	stacks := make([]byte, 4<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "store.park(")
}

func TestADirectoryWithoutItsManifestIsNotBegunAnew(t *testing.T) {
	disk := vfs.NewMem()
	o, h := Options{}.withDefaults(), hooks{died: func(error) {}}
	db, err := openPebble(disk, "/store-000001", merger, o, h)
	if err != nil {
		t.Fatal(err)
	}
	if err := closePebble(db); err != nil {
		t.Fatal(err)
	}
	names, err := disk.List("/store-000001")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "marker.manifest") {
			if err := disk.Remove("/store-000001/" + name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if db, err := openPebble(disk, "/store-000001", merger, o, h); err == nil {
		closePebble(db)
		t.Error("a directory whose MANIFEST is unknown was begun anew: its tables are deleted")
	}
}

func TestSmallDirectoriesHaveSmallFiles(t *testing.T) {
	for _, most := range []uint64{16 << 20, 64 << 20, 1 << 30, 4 << 30, 1 << 40} {
		o := engineOptions(vfs.NewMem(), merger, 0)
		if o.EnsureDefaults(); o.Validate() != nil {
			t.Error(o.Validate())
		}
		wals := 10 * engineOptions(vfs.NewMem(), merger, registry.Size(most)).MemTableSize
		if wals > most/5 || wals > 128<<20 {
			t.Errorf("in %d bytes, WALs may take %d", most, wals)
		}
	}
}

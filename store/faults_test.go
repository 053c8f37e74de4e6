package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/edgecache/edgecache/registry"
)

const testDir = "/data"

// faults are switched on and off under a store that is open.
type faults struct {
	rule atomic.Pointer[func(errorfs.Op) error]
}

func (f *faults) on(rule func(errorfs.Op) error) { f.rule.Store(&rule) }
func (f *faults) off()                           { f.rule.Store(nil) }

func (f *faults) over(disk vfs.FS) vfs.FS {
	return errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if rule := f.rule.Load(); rule != nil {
			return (*rule)(op)
		}
		return nil
	}))
}

// failing fails operations of those kinds on files whose path ends or begins
// so; no kind: all that write.
func failing(err error, name string, kinds ...errorfs.OpKind) func(errorfs.Op) error {
	return func(op errorfs.Op) error {
		base := op.Path[strings.LastIndexByte(op.Path, '/')+1:]
		if !strings.HasSuffix(base, name) && !strings.HasPrefix(base, name) {
			return nil
		}
		for _, k := range kinds {
			if op.Kind == k {
				return err
			}
		}
		if len(kinds) == 0 && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpRemove {
			return err
		}
		return nil
	}
}

func syncs() []errorfs.OpKind {
	return []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}
}

func openOn(t *testing.T, disk vfs.FS, dir string) *Store {
	t.Helper()
	return openWith(t, disk, dir, 5*time.Second)
}

func openWith(t *testing.T, disk vfs.FS, dir string, stall time.Duration) *Store {
	t.Helper()
	o := Defaults()
	o.Dir, o.FS, o.Stall, o.Reopen = dir, disk, stall, 20*time.Millisecond
	o.Logger = slog.New(slog.NewTextHandler(testWriter{t}, nil))
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		noneLeft(t)
	})
	return s
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	// Goroutines that Pebble keeps in a dead directory may outlive the test.
	defer func() { _ = recover() }()
	w.t.Logf("%s", p)
	return len(p), nil
}

// noneLeft fails if goroutines of the store are left, but for those that wait
// for ever in a directory that died: parked, or in Pebble.
func noneLeft(t *testing.T) {
	t.Helper()
	eventually(t, "no goroutine of the store is left", func() error {
		stacks := make([]byte, 4<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		for i, stack := range strings.Split(string(stacks), "\n\n") {
			if i > 0 && strings.Contains(stack, "edgecache/store.") && !strings.Contains(stack, "edgecache/store.park") &&
				!strings.Contains(stack, "pebble/v2.(*DB)") && !strings.Contains(stack, "testing.tRunner") {
				return errors.New(stack)
			}
		}
		return nil
	})
}

// eventually waits until check returns nil.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if err = check(); err == nil {
			return
		}
		<-time.After(5 * time.Millisecond)
	}
	t.Fatalf("%s: not after 30 s: %v", what, err)
}

// promptly returns what f returns, and fails the test if it hangs.
func promptly(t *testing.T, what string, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(10 * time.Second):
		t.Fatalf("%s hangs", what)
		return nil
	}
}

// testEntry returns an entry with a document of that size.
func testEntry(name string, began uint64, size int) *registry.Stored {
	k := registry.Key{Registry: "consul", Name: name}
	document := make([]byte, size)
	for i, rng := 0, rand.New(rand.NewPCG(began, uint64(len(name)))); i < size; i++ {
		document[i] = byte(rng.Uint32()) // does not compress
	}
	r := &registry.Record{Key: k, Kind: registry.KindService, Document: document, MediaType: "text/plain", Wishes: registry.NoWishes}
	r.Seal(1 << 20)
	return &registry.Stored{Entry: registry.Entry{Key: k, Record: r, Began: began, Verified: 1}, Expires: time.Now().Add(time.Hour).UnixMilli()}
}

func tryPut(t *testing.T, s *Store, entries ...*registry.Stored) error {
	t.Helper()
	return promptly(t, "Write", func() error { return s.Write(s.Directory(), entries, nil, nil) })
}

func getName(t *testing.T, s *Store, name string) (e *registry.Stored, err error) {
	t.Helper()
	err = promptly(t, "Get", func() error { e, err = s.Get(registry.Key{Registry: "consul", Name: name}); return err })
	return e, err
}

// invalidate appends an invalidation of a tag.
func invalidate(t *testing.T, s *Store, tag string, position uint64) error {
	t.Helper()
	sel := registry.Selector{Tag: tag, Key: registry.Key{Registry: "consul"}}
	inv := &registry.Invalidation{Mode: registry.ModeHard, Selectors: []registry.Selector{sel}, At: 1}
	return promptly(t, "Append", func() error {
		return s.Append(context.Background(), inv, registry.Applied{Position: position, Wide: inv.Selectors})
	})
}

// raisedTags returns the positions of the tags that are raised, "all" for
// everything.
func raisedTags(t *testing.T, s *Store) map[string]uint64 {
	t.Helper()
	got := map[string]uint64{}
	if err := s.Generations(func(sel registry.Selector, _ registry.Mode, position uint64) {
		if sel.All {
			sel.Tag = "all"
		}
		got[sel.Tag] = position
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

func mustRaise(t *testing.T, s *Store, tags map[string]uint64) {
	t.Helper()
	got := raisedTags(t, s)
	for tag, position := range tags {
		if got[tag] != position {
			t.Errorf("generation of %s = %d, want %d; all: %v", tag, got[tag], position, got)
		}
	}
}

func state(s *Store, want, cause string) func() error {
	return func() error {
		if st := s.Status(); st.State != want || !strings.Contains(st.Error, cause) {
			return fmt.Errorf("state %s %q, want %s because of %q", st.State, st.Error, want, cause)
		}
		return nil
	}
}

// fillMemory writes entries until memory is full and some more, so that it is
// flushed, or until a write fails.
func fillMemory(t *testing.T, s *Store) error {
	t.Helper()
	for i := range 4 * memTableSize / (64 << 10) {
		if err := tryPut(t, s, testEntry(fmt.Sprintf("big-%d", i), 1, 64<<10)); err != nil {
			return err
		}
	}
	return nil
}

func TestADirectoryThatDiesIsReplaced(t *testing.T) {
	for _, c := range []struct {
		name, cause string
		rule        func(errorfs.Op) error
		flush       bool // it shows when memory is flushed
	}{
		{"no space for the WAL", "no space", failing(syscall.ENOSPC, ".log"), false},
		{"the WAL cannot be written", "input/output", failing(syscall.EIO, ".log", errorfs.OpFileWrite), false},
		{"fsync of the WAL fails", "input/output", failing(syscall.EIO, ".log", syncs()...), false},
		{"no space for the next WAL", "no space", failing(syscall.ENOSPC, ".log", errorfs.OpCreate, errorfs.OpReuseForWrite), true},
		{"the MANIFEST cannot be written", "input/output", failing(syscall.EIO, "MANIFEST", errorfs.OpFileWrite), true},
		{"fsync of the MANIFEST fails", "input/output", failing(syscall.EIO, "MANIFEST", syncs()...), true},
		{"fsync of the directory fails", "input/output", failing(syscall.EIO, "store-000001", syncs()...), true},
		{"the directory was removed", "no such file", failing(syscall.ENOENT, ".log", errorfs.OpCreate, errorfs.OpReuseForWrite), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var f faults
			disk := vfs.NewMem()
			s := openOn(t, f.over(disk), testDir)
			node := s.Node()
			if err := errors.Join(invalidate(t, s, "before", 10), tryPut(t, s, testEntry("a", 11, 10))); err != nil {
				t.Fatal(err)
			}
			f.on(c.rule)
			if c.flush {
				fillMemory(t, s) // fails once the directory is dead
			}
			if err := invalidate(t, s, "during", 20); err == nil && !c.flush {
				t.Error("an invalidation was acknowledged though it cannot be durable")
			}
			eventually(t, "it is dead", state(s, stateDead, c.cause))
			if err := invalidate(t, s, "dead", 30); !errors.Is(err, registry.ErrNotDurable) {
				t.Errorf("Append to a dead store: %v, want registry.ErrNotDurable", err)
			}
			if _, err := getName(t, s, "a"); err == nil {
				t.Error("Get of a dead store: no error")
			}
			if err := tryPut(t, s, testEntry("b", 31, 10)); err == nil {
				t.Error("Write to a dead store: no error")
			}
			if got := s.Degraded(); len(got) != 1 || !strings.Contains(got[0], c.cause) {
				t.Errorf("Degraded = %q, want the cause %q", got, c.cause)
			}
			f.off()
			eventually(t, "it is in a fresh directory", state(s, stateOK, ""))
			goesOn(t, s, disk, node, c.cause)
		})
	}
}

// goesOn checks a store that died with the tags before, during and dead
// raised, and is in a fresh directory now.
func goesOn(t *testing.T, s *Store, disk vfs.FS, node uint64, cause string) {
	t.Helper()
	fresh := s.Directory()
	if fresh < 2 {
		t.Errorf("directory %d, want another than 1", fresh)
	}
	if e, err := getName(t, s, "a"); e != nil || err != nil {
		t.Errorf("the entry of the dead directory: %v, %v; want none", e, err)
	}
	if err := errors.Join(invalidate(t, s, "after", 40), tryPut(t, s, testEntry("b", 41, 10))); err != nil {
		t.Errorf("writing to the fresh directory: %v", err)
	}
	want := map[string]uint64{"before": 10, "during": 20, "dead": 30, "after": 40, "all": 0}
	mustRaise(t, s, want)
	note := readFile(t, disk, notePath(testDir, 1))
	if !strings.Contains(note, cause) {
		t.Errorf("note beside the dead directory: %q, want the cause %q", note, cause)
	}
	eventually(t, "only it, the dead one and its note are left", func() error {
		names, err := disk.List(testDir)
		slices.Sort(names)
		want := []string{lockName, "store-000001", "store-000001" + noteSuffix, fmt.Sprintf("store-%06d", fresh)}
		if err == nil && !slices.Equal(names, want) {
			err = fmt.Errorf("%q, want %q", names, want)
		}
		return err
	})
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	again := openOn(t, disk, testDir)
	mustRaise(t, again, want)
	if e, err := getName(t, again, "b"); e == nil || err != nil {
		t.Errorf("the entry of the fresh directory after a restart: %v, %v", e, err)
	}
	if again.Node() != node || again.Position() <= 41 {
		t.Errorf("after a restart: node %x, position %d; want %x, above 41", again.Node(), again.Position(), node)
	}
}

func readFile(t *testing.T, disk vfs.FS, path string) string {
	t.Helper()
	f, err := disk.Open(path)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer f.Close()
	b := make([]byte, 1<<20)
	n, _ := f.ReadAt(b, 0)
	return string(b[:n])
}

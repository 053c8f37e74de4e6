package store

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/edgecache/edgecache/registry"
)

func TestADiskThatIsFullKeepsEntriesOutAndInvalidationsIn(t *testing.T) {
	var f faults
	disk := vfs.NewMem()
	setFree(disk, 500)
	s := openOn(t, f.over(disk), testDir)
	if err := tryPut(t, s, testEntry("a", 1, 10)); err != nil {
		t.Fatal(err)
	}
	// Tables find no space; the WAL does for as long as the ballast makes some.
	f.on(failing(syscall.ENOSPC, ".sst"))
	setFree(disk, 0)
	for i := 0; s.Stats().Background == 0; i++ {
		if err := tryPut(t, s, testEntry(fmt.Sprintf("big-%d", i), 2, 64<<10)); err != nil && !errors.Is(err, errFull) {
			t.Fatalf("Write: %v; want nil or errFull", err)
		}
		if i > 100_000 {
			t.Fatal("no flush failed")
		}
	}
	eventually(t, "it is full", state(s, stateFull, ""))
	if got := s.Degraded(); len(got) != 1 || !strings.Contains(got[0], "full") {
		t.Errorf("Degraded = %q, want that it is full", got)
	}
	if err := tryPut(t, s, testEntry("b", 3, 10)); !errors.Is(err, errFull) {
		t.Errorf("Write: %v, want errFull", err)
	}
	if err := invalidate(t, s, "full", 10); err != nil {
		t.Errorf("Append to a full disk: %v", err)
	}
	if _, err := getName(t, s, "a"); err != nil { // it may have been evicted
		t.Errorf("Get from a full disk: %v", err)
	}
	f.off()
	setFree(disk, 500)
	eventually(t, "it takes entries again", func() error { return errors.Join(state(s, stateOK, "")(), tryPut(t, s, testEntry("b", 11, 10))) })
	if s.Directory() != 1 {
		t.Errorf("directory %d, want 1: nothing of it broke", s.Directory())
	}
	mustRaise(t, s, map[string]uint64{"full": 10})
}

func TestTheBallastOutlivesAFullDisk(t *testing.T) {
	var f faults
	disk := vfs.NewMem()
	setFree(disk, 500)
	s := openOn(t, f.over(disk), testDir)
	ballast := func() error { _, err := disk.Stat(testDir + "/" + ballastName); return err }
	eventually(t, "there is a ballast", ballast)
	var failed atomic.Int64
	f.on(func(op errorfs.Op) error {
		if err := failing(syscall.ENOSPC, ".log")(op); err != nil && ballast() == nil {
			failed.Add(1)
			return err
		}
		return nil
	})
	if err := invalidate(t, s, "tag", 10); err != nil {
		t.Errorf("Append while the ballast can be given up: %v", err)
	}
	if failed.Load() == 0 {
		t.Error("no write failed")
	}
	if err := state(s, stateOK, "")(); err == nil {
		t.Error("nothing says that the disk was full")
	}
	eventually(t, "it is well again", state(s, stateOK, ""))
}

func TestAStoreThatOpensOnABrokenDiskIsDeadUntilItWorks(t *testing.T) {
	for name, rule := range map[string]func(errorfs.Op) error{
		"nothing can be written":        failing(syscall.ENOSPC, ""),
		"the disk is read-only":         failing(syscall.EROFS, ""),
		"the MANIFEST cannot be synced": failing(syscall.EIO, "MANIFEST", syncs()...),
		"the WAL cannot be made":        failing(syscall.EIO, ".log", errorfs.OpCreate),
		"nothing can be read":           func(op errorfs.Op) error { return map[bool]error{true: syscall.EIO}[op.Kind == errorfs.OpList] },
	} {
		t.Run(name, func(t *testing.T) {
			var f faults
			f.on(rule)
			disk := vfs.NewMem()
			s := openOn(t, f.over(disk), testDir)
			if err := state(s, stateDead, "")(); err != nil {
				t.Error(err)
			}
			if err := invalidate(t, s, "dead", s.Position()+1); !errors.Is(err, registry.ErrNotDurable) {
				t.Errorf("Append: %v, want registry.ErrNotDurable", err)
			}
			dead := s.Position() + 1
			f.off()
			eventually(t, "it has a directory", state(s, stateOK, ""))
			if err := errors.Join(invalidate(t, s, "after", dead+1), tryPut(t, s, testEntry("a", dead+2, 10)), s.Close()); err != nil {
				t.Errorf("writing once the disk works: %v", err)
			}
			again := openOn(t, disk, testDir)
			mustRaise(t, again, map[string]uint64{"dead": dead, "after": dead + 1})
			if e, err := getName(t, again, "a"); e == nil || err != nil || again.Node() != s.Node() {
				t.Errorf("after a restart: %v, %v, node %x; want the entry, and %x", e, err, again.Node(), s.Node())
			}
		})
	}
}

// A gate holds operations up while it is shut.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // nil: open
}

func (g *gate) close() { g.mu.Lock(); defer g.mu.Unlock(); g.shut = make(chan struct{}) }

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

func (g *gate) pass() {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut != nil {
		<-shut
	}
}

func TestADiskThatBlocksIsSlowAndNothingWaitsForIt(t *testing.T) {
	var f faults
	var g gate
	disk := vfs.NewMem()
	s := openWith(t, f.over(disk), testDir, 100*time.Millisecond)
	if err := tryPut(t, s, testEntry("a", 1, 10)); err != nil {
		t.Fatal(err)
	}
	g.close()
	t.Cleanup(g.open)
	blocked := failing(errors.New("blocked"), ".log", syncs()...)
	f.on(func(op errorfs.Op) error {
		if blocked(op) != nil {
			g.pass()
		}
		return nil
	})
	for i := range 3 {
		if err := invalidate(t, s, fmt.Sprintf("blocked-%d", i), 10+uint64(i)); !errors.Is(err, registry.ErrNotDurable) {
			t.Errorf("Append %d: %v, want registry.ErrNotDurable", i, err)
		}
	}
	eventually(t, "it is slow", state(s, stateSlow, "commit"))
	if got := s.Degraded(); len(got) == 0 || !strings.Contains(got[0], "slow") {
		t.Errorf("Degraded = %q, want that it is slow", got)
	}
	if e, err := getName(t, s, "a"); e == nil || err != nil {
		t.Errorf("Get while fsync blocks: %v, %v", e, err)
	}
	g.open()
	f.off()
	eventually(t, "it is well again", state(s, stateOK, ""))
	if err := invalidate(t, s, "after", 20); err != nil || s.Directory() != 1 {
		t.Errorf("Append: %v, directory %d; want nil, and 1", err, s.Directory())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// Those that were not waited for became durable all the same.
	mustRaise(t, openOn(t, disk, testDir), map[string]uint64{"blocked-0": 10, "blocked-1": 11, "blocked-2": 12, "after": 20})
}

func TestADiskThatIsSlowInAllThingsWorks(t *testing.T) {
	var f faults
	s := openOn(t, f.over(vfs.NewMem()), testDir)
	f.on(func(errorfs.Op) error { <-time.After(10 * time.Millisecond); return nil })
	for i := range uint64(5) {
		if err := errors.Join(invalidate(t, s, "tag", 10+i), tryPut(t, s, testEntry("a", 11+i, 10))); err != nil {
			t.Fatal(err)
		}
	}
	if e, err := getName(t, s, "a"); e == nil || e.Began != 15 || err != nil {
		t.Errorf("Get: %v, %v", e, err)
	}
	if err := state(s, stateOK, "")(); err != nil {
		t.Error(err)
	}
}

func TestOpenDoesNotWaitForADiskThatHangs(t *testing.T) {
	for name, hangs := range map[string]func(op errorfs.Op) bool{
		"in its lock":       func(op errorfs.Op) bool { return op.Kind == errorfs.OpLock },
		"in its directory":  func(op errorfs.Op) bool { return op.Kind == errorfs.OpMkdirAll },
		"in the MANIFEST":   func(op errorfs.Op) bool { return strings.Contains(op.Path, "MANIFEST") },
		"in a WAL's fsync":  func(op errorfs.Op) bool { return failing(errAny, ".log", syncs()...)(op) != nil },
		"in all that reads": func(op errorfs.Op) bool { return op.Kind == errorfs.OpFileRead || op.Kind == errorfs.OpFileReadAt },
	} {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewMem()
			s := openOn(t, disk, testDir)
			if err := errors.Join(invalidate(t, s, "tag", 10), s.Close()); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) { opensInTime(t, disk, hangs) })
		})
	}
}

var errAny = errors.New("any")

func opensInTime(t *testing.T, disk vfs.FS, hangs func(op errorfs.Op) bool) {
	var f faults
	var g gate
	g.close()
	f.on(func(op errorfs.Op) error {
		if hangs(op) {
			g.pass()
		}
		return nil
	})
	o := Defaults()
	o.Dir, o.FS = testDir, f.over(disk)
	began := time.Now()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	// In the bubble, time passes only while all wait.
	if took := time.Since(began); took > 2*openLimit {
		t.Errorf("Open took %s", took)
	}
	time.Sleep(time.Second)
	if st := s.Status(); st.State == stateOK {
		t.Errorf("state %s on a disk that hangs", st.State)
	}
	if s.Position() == 0 || s.Node() == 0 || s.Clock() == nil {
		t.Error("there is no position, node or clock")
	}
	inv := &registry.Invalidation{Mode: registry.ModeHard, Selectors: []registry.Selector{{All: true}}}
	if err := s.Append(t.Context(), inv, registry.Applied{Position: s.Position() + 1, Wide: inv.Selectors}); !errors.Is(err, registry.ErrNotDurable) || inv.Seq == 0 {
		t.Errorf("Append: %v, seq %d; want registry.ErrNotDurable, and an id", err, inv.Seq)
	}
	g.open()
	f.off()
	time.Sleep(3 * time.Minute)
	if err := state(s, stateOK, "")(); err != nil {
		t.Errorf("after the disk answers again: %v", err)
	}
	inv.Seq = 0
	if err := s.Append(t.Context(), inv, registry.Applied{Position: s.Position() + 2, Wide: inv.Selectors}); err != nil {
		t.Errorf("Append after the disk answers again: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	time.Sleep(time.Minute) // Pebble's monitors end
}

const lockedDir = "EDGECACHE_TEST_LOCKED_DIR"

func TestAnotherProcessHasTheLock(t *testing.T) {
	if dir := os.Getenv(lockedDir); dir != "" {
		o := Defaults()
		o.Dir = dir
		_, err := Open(o)
		fmt.Print("Open: ", err)
		return
	}
	dir := t.TempDir()
	s := openOn(t, vfs.Default, dir)
	child := exec.Command(os.Args[0], "-test.run=^TestAnotherProcessHasTheLock$")
	child.Env = append(os.Environ(), lockedDir+"="+dir)
	out, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(out), dir+" is in use by another process") {
		t.Errorf("Open in another process: %s, %v; want an error that names the directory and why", out, err)
	}
	if err := invalidate(t, s, "tag", 10); err != nil {
		t.Errorf("Append by the one that has the lock: %v", err)
	}
}

func TestADataDirectoryThatIsAFileIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	o := Defaults()
	o.Dir = file
	if s, err := Open(o); !errors.Is(err, errUnusable) {
		t.Errorf("Open: %v, %v; want errUnusable", s, err)
	}
}

package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// smallDisk mounts a file system of so many bytes until the test ends, or
// skips it.
func smallDisk(t *testing.T, bytes int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("edgecache-e2e", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		t.Skip("no small file system here to fill, mounting one needs root: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// room returns the bytes that are free on a file system.
func room(t *testing.T, dir string) int64 {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	return int64(s.Bavail) * s.Bsize
}

// A filler takes room on a file system, as another program would.
type filler struct {
	t    *testing.T
	file *os.File
	size int64
}

func newFiller(t *testing.T, dir string) *filler {
	t.Helper()
	file, err := os.Create(filepath.Join(dir, "of-another-program"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return &filler{t: t, file: file}
}

// leave takes all room but so many bytes.
func (f *filler) leave(bytes int64) {
	f.t.Helper()
	for take := room(f.t, f.file.Name()) - bytes; take > 0; {
		switch err := syscall.Fallocate(int(f.file.Fd()), 0, f.size, take); {
		case err == nil:
			f.size += take
			take = room(f.t, f.file.Name()) - bytes
		case errors.Is(err, syscall.ENOSPC): // others take room, too
			take /= 2
		case !errors.Is(err, syscall.EINTR):
			f.t.Fatal(err)
		}
	}
}

// free gives everything back.
func (f *filler) free() {
	f.t.Helper()
	if err := f.file.Truncate(0); err != nil {
		f.t.Fatal(err)
	}
	f.size = 0
}

// hit expects a fresh answer from memory.
func (n *node) hit(name string) {
	n.t.Helper()
	asked := time.Now()
	a := n.get("/v1/services/" + name)
	if took := time.Since(asked); a.status != http.StatusOK || a.Stale || took > 5*time.Second {
		n.t.Errorf("%s, which is in memory: %v after %s", name, a, took)
	}
}

// degraded returns what the node says is wrong with it; it must be ready.
func (n *node) degraded() string {
	n.t.Helper()
	a := n.get("/readyz")
	if a.status != http.StatusOK {
		n.t.Errorf("readyz: %v", a)
	}
	return strings.Join(a.Degraded, "; ")
}

func TestAFullDisk(t *testing.T) {
	t.Parallel()
	const size = 192 << 20
	disk := smallDisk(t, size)
	f := newFiller(t, disk)
	l := newLedger(t)
	dataDir := filepath.Join(disk, "data")
	n := start(t, l.ledgers(), "--set", "node.data_dir="+dataDir)
	all := names(10)
	n.fills(all)
	n.invalidates(object{"services": []object{{"name": "l0-0"}}, "mode": "hard"})
	n.fills(all)

	f.leave(size / 50) // less than store.min_free
	n.awaitStored("the store is full", func(d *diskState) bool { return d.State == "full" })
	if said := n.degraded(); !strings.Contains(said, "full") {
		t.Errorf("degraded: %q, and the disk is full", said)
	}
	for _, name := range all[1:] {
		n.hit(name)
	}
	if a := n.get("/v1/services/l0-new"); a.status != 200 || a.Stale {
		t.Errorf("a new name while the disk is full: %v", a)
	}
	n.invalidates(object{"services": []object{{"name": "l0-1"}}, "mode": "hard"})

	refused := 0
	for i := 0; refused == 0; i++ {
		if i == 20_000 {
			t.Fatal("20 000 invalidations on a disk without room were acknowledged")
		}
		f.leave(0)
		name := all[10+i%30]
		switch a := n.ask(http.MethodPost, "/v1/invalidate", text(object{"services": []object{{"name": name}}, "mode": "hard"})); {
		case a.status == http.StatusServiceUnavailable && a.Type == "urn:edgecache:not-durable":
			refused++
		case a.status != http.StatusOK:
			t.Fatalf("invalidation %d on a disk without room: %v", i, a)
		}
	}
	f.leave(0)
	for _, name := range all[2:] {
		if a := n.get("/v1/services/" + name); a.status != 200 || a.Stale {
			t.Errorf("%s on a disk without room: %v", name, a)
		}
	}
	if said := n.degraded(); !strings.Contains(said, "store") {
		t.Errorf("degraded: %q, and nothing can be written", said)
	}
	if a := n.ask(http.MethodPost, "/v1/invalidate", text(object{"services": []object{{"name": "r1-9"}}})); a.status != http.StatusServiceUnavailable {
		t.Errorf("an invalidation on a disk without room: %v", a)
	}

	f.free()
	n.awaitStored("the store is well", func(d *diskState) bool { return d.State == "ok" })
	n.awaits("nothing is degraded", "/readyz", func(a *answer) bool { return a.status == 200 && len(a.Degraded) == 0 })
	newest := l.last()
	n.invalidates(object{"all": true, "mode": "hard"})
	n.fills(all)

	n.kill()
	l.down()
	n = n.again()
	for _, name := range all {
		question{l, name, newest, newest}.fromDisk(n, 2*time.Second)
	}
}

// Entries beyond store.max_bytes go, the oldest first; invalidations stay.
func TestTheStoreKeepsItsBound(t *testing.T) {
	t.Parallel()
	const (
		bound   = 64 << 20
		slack   = 128 << 20 // logs, and tables that are being rewritten
		size    = 64 << 10  // of an entry
		entries = 4 * bound / size
		late    = 20 // entries that come when the pressure is over
	)
	l := newLedger(t)
	l.padding = size
	n := startAt(t, shipped(t), configure(t, l.ledgers()), "--set", "store.max_bytes=64MiB", "--set", "cache.memory=8MiB")
	name := func(i int) string { return fmt.Sprintf("l-%05d", i) }
	look := func(i int) {
		if a, err := try(http.MethodHead, n.data+"/v1/services/"+name(i), ""); err != nil || a.status != 200 {
			t.Fatalf("%s: %v, %v", name(i), a, err)
		}
	}
	invalidations, most := 0, int64(0)
	for i := range entries {
		look(i)
		if i%50 == 0 {
			n.invalidatesAtLast(object{"services": []object{{"name": fmt.Sprintf("l-gone-%d", i)}}, "mode": "hard"})
			invalidations++
			most = max(most, usage(t, n.dataDir()))
		}
	}
	if most > bound+slack {
		t.Errorf("the directory grew to %d bytes, with max_bytes %d", most, bound)
	}
	within := func(d *diskState) bool { return d.State == "ok" && d.Bytes <= bound && d.Limit == bound }
	n.awaitWritten(1)
	n.awaitStored("the store is within its bound", within)
	for i := entries; i < entries+late; i++ {
		look(i)
	}
	n.awaitWritten(late)
	n.invalidatesAtLast(object{"services": []object{{"name": name(entries)}}, "mode": "hard"})
	n.awaitStored("the store is within its bound", within)
	held, newest := n.stored(), l.last()
	if held.Entries > bound/size || held.Journal <= invalidations {
		t.Errorf("%d entries of 64 KiB and %d invalidations are left, of %d: %+v", held.Entries, held.Journal, invalidations+1, *held)
	}
	n.kill()
	l.down()
	n = n.again()
	served := func(from, to int) (count int) {
		for i := from; i < to; i++ {
			a, _, err := question{l, name(i), newest, -1}.put(n)
			if err != nil {
				t.Fatal(err)
			}
			if a.status == 200 {
				count++
			}
		}
		return count
	}
	// What came while the disk was full is not there, whatever its age.
	if oldest, recent := served(0, entries/4), served(entries+1, entries+late); oldest > held.Entries/2 || recent < late-1 {
		t.Errorf("%d of the oldest %d are left, and %d of the newest %d", oldest, entries/4, recent, late-1)
	}
	if a := n.get("/v1/services/" + name(entries)); a.status != http.StatusBadGateway {
		t.Errorf("invalidated: %v", a)
	}
}

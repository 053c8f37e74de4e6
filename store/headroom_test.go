package store

import (
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const mib = 1 << 20

// newTestHeadroom returns one over a file system of 1000 MiB, of which 5 % are to
// be free and 100 MiB may be used.
func newTestHeadroom(t *testing.T) (*headroom, *vfs.MemFS) {
	t.Helper()
	mem := vfs.NewMem()
	if err := mem.MkdirAll(directoryPath("/data", 1), 0o755); err != nil {
		t.Fatal(err)
	}
	setFree(mem, 500)
	return newHeadroom(Options{FS: mem, Dir: "/data", MaxBytes: 100 * mib, MinFree: 0.05}.withDefaults()), mem
}

func setFree(mem *vfs.MemFS, freeMiB uint64) {
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: freeMiB * mib, TotalBytes: 1000 * mib, UsedBytes: (1000 - freeMiB) * mib})
}

// A swollenFS says that each table has so many bytes.
type swollenFS struct {
	*vfs.MemFS
	size int64
}

type swollenInfo struct {
	vfs.FileInfo
	size int64
}

func (i swollenInfo) Size() int64 { return i.size }

func (f *swollenFS) Stat(path string) (vfs.FileInfo, error) {
	info, err := f.MemFS.Stat(path)
	if err != nil || !strings.HasSuffix(path, ".sst") {
		return info, err
	}
	return swollenInfo{info, f.size}, nil
}

func TestADiskIsFullBelowMinFreeAndForAMarginAbove(t *testing.T) {
	h, mem := newTestHeadroom(t)
	for _, c := range []struct {
		free   uint64 // MiB; min_free is 50
		full   bool
		excess bool
	}{
		{60, false, false}, {54, false, true}, {49, true, true}, {52, true, true}, {54, true, true}, {56, false, false}, {51, false, true},
	} {
		setFree(mem, c.free)
		h.check(1)
		if got := h.full() != ""; got != c.full {
			t.Errorf("%d MiB free: full = %t (%q), want %t", c.free, got, h.full(), c.full)
		}
		if got := h.excess() > 0; got != c.excess {
			t.Errorf("%d MiB free: excess = %d, want some: %t", c.free, h.excess(), c.excess)
		}
	}
}

func TestADirectoryIsFullAboveMaxBytes(t *testing.T) {
	h, mem := newTestHeadroom(t)
	fs := &swollenFS{MemFS: mem}
	h.fs = fs
	if err := writeFile(mem, directoryPath("/data", 1)+"/000001.sst", "x"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		used   int // MiB
		full   bool
		excess uint64
	}{
		// The slack is 16 MiB.
		{75, false, 0}, {77, false, 9}, {83, false, 15}, {85, true, 17}, {80, true, 12}, {78, false, 10}, {84, false, 16},
	} {
		fs.size = int64(c.used * mib)
		h.check(1)
		if got := h.full() != ""; got != c.full {
			t.Errorf("%d MiB used: full = %t (%q), want %t", c.used, got, h.full(), c.full)
		}
		if got := h.excess() / mib; got != c.excess {
			t.Errorf("%d MiB used: %d MiB are to go, want %d", c.used, got, c.excess)
		}
		if got := h.bytes(); got != uint64(c.used)*mib {
			t.Errorf("%d MiB used: bytes = %d", c.used, got)
		}
	}
	fs.size = 120 * mib
	if h.check(1); !strings.Contains(h.full(), "max_bytes") {
		t.Errorf("full = %q, want the limit named", h.full())
	}
}

func TestTheBallastGoesWhenTheDiskIsFullAndComesBack(t *testing.T) {
	h, mem := newTestHeadroom(t)
	ballast := func() int64 {
		info, err := mem.Stat("/data/" + ballastName)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	h.check(1)
	if got := ballast(); got != 10*mib {
		t.Fatalf("ballast of %d bytes, want 10 MiB", got)
	}
	h.diskFull()
	if ballast() != 0 || h.full() == "" {
		t.Errorf("after ENOSPC: ballast %d, full %q; want none, and full at once", ballast(), h.full())
	}
	setFree(mem, 1)
	h.check(1)
	if ballast() != 0 || h.full() == "" {
		t.Errorf("with 1 MiB free: ballast %d, full %q; want none, and full", ballast(), h.full())
	}
	setFree(mem, 500)
	h.check(1)
	if ballast() != 10*mib || h.full() != "" {
		t.Errorf("with space again: ballast %d, full %q; want it back", ballast(), h.full())
	}
}

func TestAFileSystemThatSaysNothingOfItsSpaceIsNotFull(t *testing.T) {
	h, mem := newTestHeadroom(t)
	mem.TestingSetDiskUsage(vfs.DiskUsage{})
	h.check(1)
	h.check(0)
	if h.full() != "" || h.excess() != 0 {
		t.Errorf("full %q, excess %d; want neither", h.full(), h.excess())
	}
}

package store

import (
	"encoding/binary"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

const intactTags = 40

// killedWith leaves what a process leaves that is killed after it raised some
// tags, each also the name of an entry, with a flush after every few; 0: none.
func killedWith(t *testing.T, flushEvery int, reopened bool) *vfs.MemFS {
	t.Helper()
	mem := vfs.NewCrashableMem()
	s := mustOpen(t, memOptions(mem))
	if reopened {
		mustClose(t, s)
		s = mustOpen(t, memOptions(mem))
	}
	for i := range intactTags {
		if err := invalidate(t, s, tagOf(i), uint64(10+i)); err != nil {
			t.Fatal(err)
		}
		if err := tryPut(t, s, testEntry(tagOf(i), uint64(10+i), 600)); err != nil {
			t.Fatal(err)
		}
		if flushEvery > 0 && i%flushEvery == flushEvery-1 {
			if err := s.dir.Load().db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := invalidate(t, s, "last", 10+intactTags); err != nil {
		t.Fatal(err)
	}
	left := mem.CrashClone(vfs.CrashCloneCfg{})
	mustClose(t, s)
	return left
}

// newestFile returns the bytes of the newest file of that name, for changing.
func newestFile(t *testing.T, mem *vfs.MemFS, prefix, suffix string) []byte {
	t.Helper()
	names, err := mem.List(directoryPath("/data", 1))
	if err != nil {
		t.Fatal(err)
	}
	newest := ""
	for _, name := range names {
		if strings.HasPrefix(name, prefix) && strings.HasSuffix(name, suffix) {
			newest = max(newest, name)
		}
	}
	data, err := mem.UnsafeGetFileDataBuffer(mem.PathJoin(directoryPath("/data", 1), newest))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// mustBeFound opens a store over damage: it has all that was acknowledged, or
// everything is raised.
func mustBeFound(t *testing.T, mem *vfs.MemFS, damage string) {
	t.Helper()
	s := mustOpen(t, memOptions(mem))
	defer mustClose(t, s)
	got := raisedTags(t, s)
	if got["all"] > 0 {
		return
	}
	for i := range intactTags {
		if got[tagOf(i)] == 0 {
			t.Fatalf("%s: directory %d is in use without tag %d, and nothing says so", damage, s.Directory(), i)
		}
	}
}

func TestOneWrongBitInTheWALIsFound(t *testing.T) {
	for _, reopened := range []bool{false, true} {
		left := killedWith(t, 0, reopened)
		length := len(newestFile(t, left, "", ".log"))
		// The last two batches look the same if a crash cut them short.
		for at := 0; at < length-2000; at += 701 {
			mem := left.CrashClone(vfs.CrashCloneCfg{})
			newestFile(t, mem, "", ".log")[at] ^= 1 << (at % 8)
			mustBeFound(t, mem, fmt.Sprintf("byte %d of %d of the WAL, reopened %t", at, length, reopened))
		}
	}
}

// The same for many more bits, without opening the directory.
func TestOneWrongBitAnywhereInTheWALIsDamage(t *testing.T) {
	left := killedWith(t, 0, false)
	data := newestFile(t, left, "", ".log")
	l := logFile{data, binary.LittleEndian.Uint32(data[7:])}
	if at, damaged := l.damage(); damaged {
		t.Fatalf("damaged at %d before a bit was changed", at)
	}
	missed := 0
	for bit := 0; bit < 8*(len(data)-4000); bit += 3 {
		data[bit/8] ^= 1 << (bit % 8)
		if _, damaged := l.damage(); !damaged {
			missed++
			t.Logf("bit %d of byte %d of %d", bit%8, bit/8, len(data))
		}
		data[bit/8] ^= 1 << (bit % 8)
	}
	if missed > 0 {
		t.Errorf("%d wrong bits were not noticed", missed)
	}
}

func TestOneWrongBitInTheMANIFESTIsFound(t *testing.T) {
	left := killedWith(t, 5, true)
	length := len(newestFile(t, left, "MANIFEST-", ""))
	for at := 0; at < length; at += 7 {
		mem := left.CrashClone(vfs.CrashCloneCfg{})
		newestFile(t, mem, "MANIFEST-", "")[at] ^= 1 << (at % 8)
		mustBeFound(t, mem, fmt.Sprintf("byte %d of %d of the MANIFEST", at, length))
	}
}

// Pebble frees what a compaction uses if it gives up opening under it.
func TestADirectoryThatOpensNotToTheEndEndsNoProcess(t *testing.T) {
	left := killedWith(t, 1, true)
	for range 20 {
		mem := left.CrashClone(vfs.CrashCloneCfg{})
		full := errorfs.Wrap(mem, errorfs.InjectorFunc(failing(syscall.ENOSPC, ".dbtmp")))
		o := memOptions(full)
		o.Reopen = -1
		mustClose(t, mustOpen(t, o))
	}
}

package store

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// usedContexts returns how many contexts there are, in use and idle.
func usedContexts() (made, idle int) {
	contexts.mu.Lock()
	defer contexts.mu.Unlock()
	return contexts.made, len(contexts.idle)
}

func needAIO(t *testing.T) {
	t.Helper()
	a := contexts.take()
	if a == nil {
		t.Skip("this kernel has no asynchronous I/O, or refuses it: fsync is the usual one")
	}
	contexts.give(a)
}

func TestManyFilesAreSyncedAtATime(t *testing.T) {
	needAIO(t)
	fs, dir := systemFS(), t.TempDir()
	var syncing sync.WaitGroup
	for i := range 3 * maxContexts {
		syncing.Go(func() {
			f, err := fs.Create(filepath.Join(dir, string(rune('A'+i))), vfs.WriteCategoryUnspecified)
			if err != nil {
				t.Error(err)
				return
			}
			for range 3 {
				_, err := f.Write([]byte("entry"))
				if err = errors.Join(err, f.SyncData(), f.Sync()); err != nil {
					t.Error(err)
				}
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	syncing.Wait()
	if made, idle := usedContexts(); made == 0 || made > maxContexts || idle != made {
		t.Errorf("%d contexts were made and %d are idle; at most %d expected, all idle", made, idle, maxContexts)
	}
}

// What the kernel cannot do this way is done, or refused, by the usual fsync.
func TestWhatCannotBeSubmittedIsSyncedAsUsual(t *testing.T) {
	needAIO(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	usual := errors.New("the usual one")
	a := contexts.take()
	if err := a.submit(opFsync, w.Fd()); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("a pipe: %v, EINVAL expected", err)
	}
	contexts.give(a)
	f := syncFile{pipeFile{fd: w.Fd()}}
	if err := f.sync(opFsync, func() error { return usual }); err != usual {
		t.Errorf("%v, the error of the usual fsync expected", err)
	}
	if made, idle := usedContexts(); idle != made {
		t.Errorf("%d of %d contexts are idle", idle, made)
	}
}

type pipeFile struct {
	vfs.File
	fd uintptr
}

func (f pipeFile) Fd() uintptr { return f.fd }

// The disk that fails is a file system in a file on another one, which is full.
func TestWhatTheDiskDidNotTakeIsAnErrorOfFsync(t *testing.T) {
	needAIO(t)
	full, small := t.TempDir(), t.TempDir()
	image := filepath.Join(full, "image")
	setUp(t, "mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", full)
	t.Cleanup(func() { umount(t, full) })
	setUp(t, "truncate", "-s", "64M", image)
	setUp(t, "mkfs.ext4", "-q", "-F", "-O", "^has_journal", image)
	setUp(t, "mount", "-o", "loop", image, small)
	t.Cleanup(func() { umount(t, small) })
	f, err := systemFS().Create(filepath.Join(small, "file"), vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := bytes.Repeat([]byte("entry"), 200_000)
	for range 32 {
		if _, err := f.Write(block); err != nil {
			t.Fatal("it failed before fsync: ", err)
		}
		if err = f.SyncData(); err != nil {
			break
		}
	}
	var call *os.SyscallError
	if !errors.As(err, &call) || call.Syscall != "fsync" || !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EIO) {
		t.Errorf("%v, want that fsync found no space, or failed", err)
	}
}

// setUp runs a command without which there is no such disk.
func setUp(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Skipf("no disk here that fails, making one needs root, a loop device and mkfs.ext4: %s: %v %s", name, err, out)
	}
}

func umount(t *testing.T, dir string) {
	if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
		t.Errorf("umount %s: %v %s", dir, err, out)
	}
}

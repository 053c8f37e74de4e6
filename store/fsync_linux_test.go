package store

import (
	"errors"
	"os"
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

func TestAFailedFsyncIsAnError(t *testing.T) {
	for res, want := range map[int64]error{0: nil, -int64(syscall.EIO): syscall.EIO, -int64(syscall.ENOSPC): syscall.ENOSPC} {
		if err := (ioEvent{res: res}).err(); !errors.Is(err, want) {
			t.Errorf("result %d: %v, %v expected", res, err, want)
		}
	}
}

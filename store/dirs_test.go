package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestADataDirectoryIsLockedOnce(t *testing.T) {
	for name, disk := range map[string]struct {
		fs  vfs.FS
		dir string
	}{"disk": {vfs.Default, filepath.Join(t.TempDir(), "new", "data")}, "memory": {vfs.NewMem(), "/data"}} {
		t.Run(name, func(t *testing.T) {
			lock, err := lockDir(disk.fs, disk.dir)
			if err != nil {
				t.Fatal(err)
			}
			_, err = lockDir(disk.fs, disk.dir)
			if !errors.Is(err, errUnusable) || !strings.Contains(err.Error(), disk.dir) || !strings.Contains(err.Error(), "another process") {
				t.Errorf("second lock: %v; want errUnusable, naming the directory and why", err)
			}
			if err := lock.Close(); err != nil {
				t.Fatal(err)
			}
			lock, err = lockDir(disk.fs, disk.dir)
			if err != nil {
				t.Fatalf("lock after it was given back: %v", err)
			}
			lock.Close()
		})
	}
}

func TestADataDirectoryThatIsAFileIsForTheOperator(t *testing.T) {
	file := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		if _, err := lockDir(vfs.Default, dir); !errors.Is(err, errUnusable) || !strings.Contains(err.Error(), "not a directory") {
			t.Errorf("lock of %s: %v; want errUnusable, not a directory", dir, err)
		}
	}
}

func TestADataDirectoryThatIsNotPermittedIsForTheOperator(t *testing.T) {
	err := dirError("/data", &os.PathError{Op: "open", Path: "/data/LOCK", Err: os.ErrPermission})
	if !errors.Is(err, errUnusable) || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v; want errUnusable and fs.ErrPermission", err)
	}
}

func TestNewestDirectory(t *testing.T) {
	for _, c := range []struct {
		have   []string
		number uint32
		broken bool
	}{
		{nil, 0, false},
		{[]string{"LOCK", "ballast", "store-x", "store-1", "store-0000001x", "store-000000"}, 0, false},
		{[]string{"store-000001"}, 1, false},
		{[]string{"store-000009", "store-000010"}, 10, false},
		{[]string{"store-000002.broken", "store-000002"}, 2, true},
		{[]string{"store-000002", "store-000002.broken"}, 2, true},
		{[]string{"store-000002.broken", "store-000002", "store-000003"}, 3, false},
		{[]string{"store-000002", "store-000003.broken"}, 3, true},
		{[]string{"store-1000000", "store-999999"}, 1000000, false},
	} {
		mem := vfs.NewMem()
		for _, name := range c.have {
			if err := mem.MkdirAll("/data/"+name, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := mem.MkdirAll("/data", 0o755); err != nil {
			t.Fatal(err)
		}
		for range 50 { // each time they are listed in another order
			number, broken, err := newest(mem, "/data")
			if number != c.number || broken != c.broken || err != nil {
				t.Fatalf("newest of %q = %d, %t, %v; want %d, %t", c.have, number, broken, err, c.number, c.broken)
			}
		}
	}
}

func TestOnlyTheNewestBrokenDirectoryIsKept(t *testing.T) {
	for name, c := range map[string]struct {
		noted []uint32
		kept  uint32
	}{
		"the newest with a note":        {[]uint32{1, 2}, 2}, // 3 was begun in vain
		"without notes the newest":      {nil, 3},
		"the newest, and it has a note": {[]uint32{2, 3}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for n := uint32(1); n <= 4; n++ {
				if err := os.MkdirAll(directoryPath(dir, n), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(directoryPath(dir, n), "000001.sst"), []byte("x"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, n := range c.noted {
				if err := setAside(vfs.Default, dir, n, errors.New("it broke")); err != nil {
					t.Fatal(err)
				}
			}
			if err := tidy(vfs.Default, dir, 4); err != nil {
				t.Fatal(err)
			}
			kept := filepath.Base(directoryPath(dir, c.kept))
			if got, want := list(t, dir), []string{kept, kept + noteSuffix, "store-000004"}; !slices.Equal(got, want) {
				t.Errorf("after tidy there are %q, want %q", got, want)
			}
			if _, err := os.Stat(filepath.Join(dir, kept, "000001.sst")); err != nil {
				t.Errorf("the broken directory is not as it was: %v", err)
			}
		})
	}
}

func TestANoteSaysWhy(t *testing.T) {
	dir := t.TempDir()
	if err := setAside(vfs.Default, dir, 7, errors.New("checksum mismatch")); err != nil {
		t.Fatal(err)
	}
	note, err := os.ReadFile(filepath.Join(dir, "store-000007.broken"))
	if err != nil || !strings.Contains(string(note), "checksum mismatch") || !strings.Contains(string(note), "store-000007") {
		t.Errorf("note: %q, %v; want the directory and the reason", note, err)
	}
	if !hasNote(vfs.Default, dir, 7) || hasNote(vfs.Default, dir, 6) {
		t.Error("hasNote does not tell which has one")
	}
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

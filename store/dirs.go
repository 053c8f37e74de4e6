package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A data directory holds lockName, directories store-000001, store-000002 …,
// for a directory that broke a note store-000001.broken, and the ballast.
const (
	lockName        = "LOCK"
	directoryPrefix = "store-"
	noteSuffix      = ".broken"
)

// errUnusable is matched by the errors of a data directory that only the
// operator can mend, for which a node does not start.
var errUnusable = errors.New("data directory not usable")

// lockDir makes the data directory if it is missing and locks it against other
// processes until the Closer is closed. An error that matches errUnusable is
// for the operator; any other is the disk's.
func lockDir(fs vfs.FS, dir string) (io.Closer, error) {
	err := fs.MkdirAll(dir, 0o755)
	if info, statErr := fs.Stat(dir); statErr == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, dirError(dir, err)
	}
	lock, err := fs.Lock(fs.PathJoin(dir, lockName))
	if err != nil {
		return nil, dirError(dir, err)
	}
	return lock, nil
}

// dirError says what the operator can do about a data directory.
func dirError(dir string, err error) error {
	var path *os.PathError
	switch {
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: %s is not a directory: name one, or a path that does not exist yet", errUnusable, dir)
	case errors.Is(err, syscall.EAGAIN), strings.Contains(err.Error(), "lock held"), errors.Is(err, syscall.EACCES) && !errors.As(err, &path):
		return fmt.Errorf("%w: %s is in use by another process: stop it, or give this node a directory of its own", errUnusable, dir)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w: %s: %w: let the user that runs this node write it", errUnusable, dir, err)
	}
	return fmt.Errorf("data directory %s: %w", dir, err)
}

func isNotExist(err error) bool { return errors.Is(err, os.ErrNotExist) }

func directoryPath(dir string, number uint32) string {
	return filepath.Join(dir, fmt.Sprintf("%s%06d", directoryPrefix, number))
}

func notePath(dir string, number uint32) string { return directoryPath(dir, number) + noteSuffix }

// newest returns the greatest number of a directory or note in a data
// directory, 0 if there is none, and whether its note says that it is broken.
func newest(fs vfs.FS, dir string) (number uint32, broken bool, err error) {
	names, err := fs.List(dir)
	if err != nil {
		return 0, false, err
	}
	for _, name := range names {
		n, note, ok := parseDirectory(name)
		if !ok || n < number {
			continue
		}
		broken = note || broken && n == number
		number = n
	}
	return number, broken, nil
}

// parseDirectory reads the name of a numbered directory or its note.
func parseDirectory(name string) (number uint32, note, ok bool) {
	name, note = strings.CutSuffix(name, noteSuffix)
	digits, ok := strings.CutPrefix(name, directoryPrefix)
	if !ok || len(digits) < 6 {
		return 0, false, false
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), note, err == nil && n > 0
}

// setAside leaves a directory as it is for the operator, with a note beside it
// why. A node never goes back to one that has a note or a successor.
func setAside(fs vfs.FS, dir string, number uint32, reason error) error {
	text := fmt.Sprintf("%s: %s is broken and not used any more: %v\n"+
		"The node goes on in a directory with a greater number and needs nothing more of this one.\n"+
		"It is kept for you to look at until another breaks. To free its space, delete it and this note.\n",
		time.Now().UTC().Format(time.RFC3339), filepath.Base(directoryPath(dir, number)), reason)
	return errors.Join(writeFile(fs, notePath(dir, number), text), syncDir(fs, dir))
}

// hasNote reports whether a directory was set aside.
func hasNote(fs vfs.FS, dir string, number uint32) bool {
	_, err := fs.Stat(notePath(dir, number))
	return err == nil
}

func writeFile(fs vfs.FS, path, text string) error {
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(text))
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

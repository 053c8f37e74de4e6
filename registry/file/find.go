package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxBytes bounds all files of a registry together.
const maxBytes = 64 << 20

// A stamp says which files there are and which state of each was read. Two
// equal stamps mean equal content, as far as the file system tells.
type stamp []found

type found struct {
	path string
	info fs.FileInfo // of the file, not of a link to it
}

func (s stamp) equal(other stamp) bool {
	return slices.EqualFunc(s, other, func(a, b found) bool {
		return a.path == b.path && a.info.Size() == b.info.Size() &&
			a.info.ModTime().Equal(b.info.ModTime()) && os.SameFile(a.info, b.info)
	})
}

// newest returns when a file last changed.
func (s stamp) newest() time.Time {
	var newest time.Time
	for _, f := range s {
		if t := f.info.ModTime(); t.After(newest) {
			newest = t
		}
	}
	return newest
}

func isGlob(path string) bool { return strings.ContainsAny(path, "*?[") }

func checkPattern(path string) error {
	if path == "" {
		return errors.New("is empty")
	}
	if _, err := filepath.Match(path, ""); isGlob(path) && err != nil {
		return fmt.Errorf("%q: not a glob: %w", path, err)
	}
	return nil
}

// find returns the files that the paths name, each once, in byte order of
// their paths within each path.
func find(paths []string) (stamp, error) {
	var all stamp
	var size int64
	seen := map[string]bool{}
	for _, path := range paths {
		files, err := expand(path)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if seen[file] {
				continue
			}
			seen[file] = true
			info, err := os.Stat(file)
			if err != nil {
				return nil, err
			}
			if !info.Mode().IsRegular() {
				return nil, fmt.Errorf("%s: a regular file expected, found mode %v", file, info.Mode())
			}
			if size += info.Size(); size > maxBytes {
				return nil, fmt.Errorf("%s: with it the registry has more than %d MiB", file, maxBytes>>20)
			}
			all = append(all, found{file, info})
		}
	}
	return all, nil
}

// expand returns the files of one path.
func expand(path string) ([]string, error) {
	if isGlob(path) {
		if _, err := os.Stat(path); err != nil { // else it is the name of a file
			return expandGlob(path)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{filepath.Clean(path)}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, entry := range entries {
		name := entry.Name()
		if hidden(name) || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name)) {
			continue
		}
		file := filepath.Join(path, name)
		if info, err := os.Stat(file); err == nil && info.IsDir() {
			continue
		}
		files = append(files, file)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no file *.yaml, *.yml or *.json in this directory; write one with services: [] if none is meant", path)
	}
	return files, nil
}

func expandGlob(pattern string) ([]string, error) {
	matches, err := filepath.Glob(pattern)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, file := range matches {
		if info, err := os.Stat(file); err == nil && info.IsDir() || hidden(filepath.Base(file)) {
			continue
		}
		files = append(files, filepath.Clean(file))
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no file matches; write one with services: [] if none is meant", pattern)
	}
	return files, nil
}

// hidden reports whether a name is none of its own: what editors and
// Kubernetes put beside a file.
func hidden(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "#") || strings.HasSuffix(name, "~")
}

// directories returns where changes of the files show: the directories of the
// paths, and those that links lead to.
func directories(paths []string, files stamp) []string {
	var dirs []string
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			dirs = append(dirs, filepath.Clean(path))
			continue
		}
		dir := filepath.Dir(path)
		for isGlob(dir) {
			dir = filepath.Dir(dir)
		}
		dirs = append(dirs, dir)
	}
	for _, file := range files {
		dirs = append(dirs, filepath.Dir(file.path))
		if target, err := filepath.EvalSymlinks(file.path); err == nil {
			dirs = append(dirs, filepath.Dir(target))
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// salvage reads the contents of a directory that cannot be used: as Pebble
// does if it can still be read, else out of the tables and WALs that are there,
// whether they are in use or not. What was deleted may come back: of numbers,
// generations and records, more is as right. The error says what could not be
// read; what could is returned with it. It returns after openLimit at the latest.
func salvage(fs vfs.FS, path string) (contents, error) {
	type salvaged struct {
		contents
		err error
	}
	done := make(chan salvaged, 1)
	go func() {
		c, err := salvageNow(fs, path)
		done <- salvaged{c, err}
	}()
	limit := time.NewTimer(openLimit)
	defer limit.Stop()
	select {
	case s := <-done:
		return s.contents, s.err
	case <-limit.C:
		return contents{}, errOpenTooLong
	}
}

func salvageNow(fs vfs.FS, path string) (contents, error) {
	c, err := salvageOne(fs, path)
	switch format := c.numbers[numberFormat]; {
	case format > formatVersion:
		c.complete = false
		return c, errors.Join(err, fmt.Errorf("format %d: a newer program may keep more in it", format))
	case format > 0:
		return c, err
	}
	// Its beginning was cut short: what it was to have is in the one before.
	before, listErr := predecessor(fs, path)
	if before == "" {
		c.complete = c.complete && listErr == nil
		return c, errors.Join(err, listErr)
	}
	old, oldErr := salvageNow(fs, before)
	old.merge(&c)
	return old, errors.Join(err, oldErr)
}

// predecessor returns the path of the directory before that at path, "" if
// there is none.
func predecessor(fs vfs.FS, path string) (string, error) {
	dir := fs.PathDir(path)
	number, _, _ := parseDirectory(fs.PathBase(path))
	names, err := fs.List(dir)
	before := uint32(0)
	for _, name := range names {
		if n, note, ok := parseDirectory(name); ok && !note && n < number {
			before = max(before, n)
		}
	}
	if before == 0 {
		return "", err
	}
	return directoryPath(dir, before), err
}

func salvageOne(fs vfs.FS, path string) (contents, error) {
	c, opened, err := readReadOnly(fs, path)
	if err != nil {
		raw := collector{contents: newContents(), newest: map[string]uint64{}}
		rawErr := readRaw(fs, path, kept+string(familyJournal), raw.add)
		c = raw.contents
		// Without its MANIFEST nobody knows whether a table is missing, but
		// that not even the format is there.
		c.complete = rawErr == nil && !opened && c.numbers[numberFormat] > 0
		if !opened {
			err = rawErr
		}
	}
	c.journal = func(yield func(key, value []byte) error) error {
		return readRaw(fs, path, string(familyJournal), func(key, value []byte, _ uint64) error { return yield(key, value) })
	}
	return c, err
}

// readReadOnly reads what Pebble can open, but not write, and reports whether
// it can.
func readReadOnly(fs vfs.FS, path string) (c contents, opened bool, err error) {
	defer recovered(&err)
	if err := intact(fs, path); err != nil {
		return contents{}, false, err
	}
	opts := engineOptions(fs, merger, 0)
	opts.ReadOnly = true
	opts.DisableConsistencyCheck = true // of all tables, whatever is in them
	opts.Logger = quiet{}
	opts.EventListener = &pebble.EventListener{DataCorruption: func(pebble.DataCorruptionInfo) {}}
	db, err := pebble.Open(path, opts)
	if err != nil {
		return contents{}, false, err
	}
	c, err = readContents(db)
	return c, true, errors.Join(err, closePebble(db))
}

// recovered turns a panic, with which Pebble meets some corruptions, into an error.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%v", r)
	}
}

// quiet drops Pebble's messages: what they tell is returned, too.
type quiet struct{}

func (quiet) Infof(string, ...any)              {}
func (quiet) Errorf(string, ...any)             {}
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

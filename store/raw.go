package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

// readRaw calls add for all that tables and WALs of a directory hold of some
// families. It goes on after an error, and returns them all.
func readRaw(fs vfs.FS, path, families string, add func(key, value []byte, seq uint64) error) error {
	names, err := fs.List(path)
	if err != nil {
		return err
	}
	errs := map[string]error{}
	opts := engineOptions(fs, merger, 0)
	opts.EnsureDefaults()
	for _, name := range names {
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		if err := readTable(fs, fs.PathJoin(path, name), opts, families, add); err != nil {
			errs[name] = fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := intactWAL(fs, path); err != nil {
		errs["damage"] = err
	}
	logs, err := wal.Scan(wal.Dir{FS: fs, Dirname: path})
	if err != nil {
		errs["WAL"] = err
	}
	for i, log := range logs {
		err := readWAL(log, families, add)
		// A crash leaves the newest with an end that is cut off; what is lost
		// there was acknowledged to nobody.
		if err != nil && (i < len(logs)-1 || !errors.Is(err, record.ErrUnexpectedEOF)) {
			errs[log.Num.String()] = fmt.Errorf("WAL %s: %w", log.Num, err)
		}
	}
	return joined(errs)
}

// joined joins at most a few errors, and says how many there were.
func joined(errs map[string]error) error {
	const most = 3
	var list []error
	for err := range maps.Values(errs) {
		if len(list) == most {
			return errors.Join(append(list, fmt.Errorf("and %d more files", len(errs)-most))...)
		}
		list = append(list, err)
	}
	return errors.Join(list...)
}

func readTable(fs vfs.FS, path string, opts *pebble.Options, families string, add func(key, value []byte, seq uint64) error) (err error) {
	defer recovered(&err)
	f, err := fs.Open(path)
	if err != nil {
		return err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r, err := sstable.NewReader(context.Background(), readable, opts.MakeReaderOptions())
	if err != nil {
		return errors.Join(err, readable.Close())
	}
	defer r.Close()
	var errs []error
	for _, family := range []byte(families) {
		errs = append(errs, readFamily(r, family, add))
	}
	return errors.Join(errs...)
}

func readFamily(r *sstable.Reader, family byte, add func(key, value []byte, seq uint64) error) error {
	it, err := r.NewIter(sstable.NoTransforms, []byte{family}, []byte{family + 1}, sstable.AssertNoBlobHandles)
	if err != nil {
		return err
	}
	var errs []error
	for kv := it.First(); kv != nil; kv = it.Next() {
		if !holds(kv.Kind()) {
			continue
		}
		value, _, err := kv.Value(nil)
		if err == nil {
			err = add(kv.K.UserKey, value, uint64(kv.SeqNum()))
		}
		if err != nil {
			errs = append(errs, err)
			break
		}
	}
	return errors.Join(append(errs, it.Error(), it.Close())...)
}

// holds reports whether a key of that kind has a value.
func holds(kind pebble.InternalKeyKind) bool {
	return kind == pebble.InternalKeyKindSet || kind == pebble.InternalKeyKindSetWithDelete || kind == pebble.InternalKeyKindMerge
}

func readWAL(log wal.LogicalLog, families string, add func(key, value []byte, seq uint64) error) (err error) {
	defer recovered(&err)
	r := log.OpenForRead()
	defer func() { err = errors.Join(err, r.Close()) }()
	for {
		rec, _, err := r.NextRecord()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		batch, err := io.ReadAll(rec)
		if err != nil {
			return err
		}
		head, ok := batchrepr.ReadHeader(batch)
		if !ok {
			return errors.New("a batch without a header")
		}
		seq := uint64(head.SeqNum)
		for entries := batchrepr.Read(batch); ; seq++ {
			kind, key, value, ok, err := entries.Next()
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			if holds(kind) && len(key) > 0 && strings.IndexByte(families, key[0]) >= 0 {
				if err := add(key, value, seq); err != nil {
					return err
				}
			}
		}
	}
}

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"

	"github.com/edgecache/edgecache/registry"
)

// contents is what a directory holds besides entries and what belongs to them.
type contents struct {
	numbers     map[string]uint64
	generations map[registry.Selector]positions
	identities  map[string]string
	epochs      map[epochID]epochState
	complete    bool  // false: invalidations may be missing
	lost        error // what could not be read of the journal

	// journal calls yield for each record, in no order and some of them twice,
	// until it returns an error. nil: there are none, or they are in the DB.
	journal func(yield func(key, value []byte) error) error
}

func newContents() contents {
	return contents{
		numbers: map[string]uint64{}, generations: map[registry.Selector]positions{}, identities: map[string]string{},
		epochs: map[epochID]epochState{}, complete: true,
	}
}

// kept are the families of contents that are held in memory.
const kept = string(familyNumber) + string(familyGeneration) + string(familyIdentity) + string(familyEpoch)

// readContents reads them from an open directory. All of it is read, so that
// what is corrupt shows at once.
func readContents(db *pebble.DB) (contents, error) {
	c := collector{contents: newContents()}
	for _, family := range []byte(kept + string(familyJournal)) {
		it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{family}, UpperBound: []byte{family + 1}})
		if err != nil {
			return contents{}, err
		}
		for it.First(); it.Valid() && err == nil; it.Next() {
			err = c.add(it.Key(), it.Value(), 0)
		}
		if err = errors.Join(err, it.Error(), it.Close()); err != nil {
			return contents{}, err
		}
	}
	return c.contents, nil
}

// A collector puts contents together, out of any number of pieces in any order.
type collector struct {
	contents
	newest map[string]uint64 // sequence number of what was taken of a key that is set, not merged
}

// add takes a key and a value that was set or merged under that sequence number.
func (c *collector) add(key, value []byte, seq uint64) error {
	if len(key) == 0 {
		return errors.New("empty key")
	}
	switch key[0] {
	case familyNumber:
		n, err := parseNumber(value)
		if err != nil {
			return err
		}
		c.numbers[string(key[1:])] = max(c.numbers[string(key[1:])], n)
	case familyGeneration:
		s, err := parseGenerationKey(key)
		if err != nil {
			return err
		}
		p, err := parsePositions(value)
		if err != nil {
			return err
		}
		q := c.generations[s]
		q.raise(&p)
		c.generations[s] = q
		c.used(p.newest())
	case familyIdentity:
		identity, err := parseIdentity(value)
		if err == nil && c.newer(key, seq) {
			c.identities[string(key[1:])] = identity
		}
		return err
	case familyEpoch:
		id, err := parseEpochKey(key)
		if err != nil {
			return err
		}
		e, err := parseEpoch(value)
		if err == nil && c.newer(key, seq) {
			e.Origin, e.Epoch = id.origin, id.epoch
			c.epochs[id] = e
		}
		return err
	case familyJournal:
		position, _, err := parseRecord(value)
		if err == nil {
			_, _, err = parseJournalKey(key)
		}
		c.used(position)
		return err
	}
	return nil
}

// used notes that a position was used, should the number that says so be lost.
func (c *collector) used(position uint64) {
	if position > 0 {
		c.numbers[numberPosition] = max(c.numbers[numberPosition], position+1)
	}
}

// newer reports whether no later value of the key was taken yet, and notes this one.
func (c *collector) newer(key []byte, seq uint64) bool {
	if last, ok := c.newest[string(key)]; ok && last > seq {
		return false
	}
	if c.newest != nil {
		c.newest[string(key)] = seq
	}
	return true
}

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

// merge adds to c what a directory has that was begun after its own, but is
// not complete.
func (c *contents) merge(later *contents) {
	for name, n := range later.numbers {
		c.numbers[name] = max(c.numbers[name], n)
	}
	for wide, p := range later.generations {
		q := c.generations[wide]
		q.raise(&p)
		c.generations[wide] = q
	}
	maps.Copy(c.identities, later.identities)
	c.complete = c.complete && later.complete
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

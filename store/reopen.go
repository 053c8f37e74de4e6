package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/edgecache/edgecache/registry"
)

const (
	// maxFresh is how many directories a process begins after deaths. A disk
	// on which more die is not worth what each costs: files, memory, goroutines.
	maxFresh = 5

	// reopenMost is the longest time between tries to begin a directory: for so
	// long a node stays without a disk that works again.
	reopenMost = time.Minute

	// fillLimit is how long the contents of a fresh directory may take: a million
	// invalidations need seconds.
	fillLimit = time.Minute
	fillBytes = 1 << 20 // of a batch
)

var errNotFilled = fmt.Errorf("not begun after %s: the disk does not answer", fillLimit)

// begin makes a fresh directory with the contents c and what the store keeps
// in memory, and takes it into use. It returns after openLimit and fillLimit at
// the latest.
func (s *Store) begin(number uint32, c contents) error {
	d := newDirectory(number, directoryPath(s.opts.Dir, number))
	// A note is left if the directory that it is about was deleted by hand.
	if err := s.opts.FS.Remove(notePath(s.opts.Dir, number)); err != nil && !isNotExist(err) {
		return err
	}
	db, err := s.openPebble(d)
	if err != nil {
		return err
	}
	d.db = db
	done := make(chan error, 1)
	go func() {
		var err error
		defer func() { done <- err }()
		defer recovered(&err)
		if err = s.fill(db, c); err == nil {
			err = db.Flush() // the first WAL does not tell what was synced of it
		}
		if err == nil {
			c, err = readContents(db)
		}
	}()
	limit := time.NewTimer(fillLimit)
	defer limit.Stop()
	select {
	case err = <-done:
		if err != nil {
			s.abandon(d, err)
			return err
		}
	case <-d.dead:
		return d.reason
	case <-limit.C:
		s.die(d, errNotFilled)
		return errNotFilled
	}
	s.use(d, c)
	return nil
}

// fill writes the contents of a fresh directory. The number of its format is
// the last, and with it all becomes durable: a directory without one was never
// in use, and what was before it counts.
func (s *Store) fill(db *pebble.DB, c contents) error {
	if err := fillJournal(db, &c); err != nil {
		return err
	}
	s.mu.Lock()
	generations := make(map[registry.Selector]positions, len(s.generations))
	for wide, p := range s.generations {
		generations[wide] = p
	}
	identities := make(map[string]string, len(s.identities))
	for name, identity := range s.identities {
		identities[name] = identity
	}
	s.mu.Unlock()

	position := max(s.position, c.numbers[numberPosition])
	b := db.NewBatch()
	defer b.Close()
	for wide, p := range generations {
		position = max(position, p.newest()+1)
		must(b.Merge(appendGenerationKey(nil, wide), p.append(nil), nil))
	}
	for name, identity := range identities {
		must(b.Set(appendIdentityKey(nil, name), appendIdentity(nil, identity), nil))
	}
	for id, e := range c.epochs {
		must(b.Set(appendEpochKey(nil, id.origin, id.epoch), appendEpoch(nil, &e), nil))
	}
	must(b.Set(appendNumberKey(nil, numberNode), appendNumber(nil, s.Node()), nil))
	for name, n := range map[string]uint64{
		numberPosition: position,
		numberClock:    max(s.clock.Bound(), c.numbers[numberClock]),
		numberWall:     uint64(s.Now()),
		numberFormat:   formatVersion,
	} {
		must(b.Merge(appendNumberKey(nil, name), appendNumber(nil, n), nil))
	}
	return b.Commit(pebble.Sync)
}

// fillJournal copies the journal, and makes the states of the epochs say what
// was copied.
func fillJournal(db *pebble.DB, c *contents) error {
	if c.journal == nil {
		return nil
	}
	b := db.NewBatch()
	var failed error
	err := c.journal(func(key, value []byte) error {
		id, seq, err := parseJournalKey(key)
		if err != nil || seq < c.epochs[id].Start {
			return nil
		}
		must(b.Set(key, value, nil))
		if b.Len() >= fillBytes {
			failed = b.Commit(pebble.NoSync)
			b = db.NewBatch()
		}
		return failed
	})
	if failed != nil {
		return failed
	}
	if err != nil {
		// What is missing shows as holes.
		c.lost = errors.Join(c.lost, err)
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return err
	}
	return countJournal(db, c)
}

// countJournal sets the states of the epochs by the records that there are.
func countJournal(db *pebble.DB, c *contents) error {
	for id, e := range c.epochs {
		e.Count, e.oldest = 0, 0
		c.epochs[id] = e
	}
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{familyJournal}, UpperBound: []byte{familyJournal + 1}})
	if err != nil {
		return err
	}
	for it.First(); it.Valid(); it.Next() {
		id, seq, err := parseJournalKey(it.Key())
		if err != nil {
			continue
		}
		position, raw, err := parseRecord(it.Value())
		if err != nil {
			continue
		}
		e, known := c.epochs[id]
		if !known {
			// Whether a hard one was before is not known: assume it.
			e.EpochState = EpochState{Origin: id.origin, Epoch: id.epoch, Start: seq, Hard: seq - 1, Newest: seq - 1}
		}
		if e.Count == 0 {
			e.oldest = position
		}
		e.Count++
		e.Last = max(e.Last, seq)
		if registry.ModeOf(raw) == registry.ModeHard {
			e.Newest = max(e.Newest, seq)
		}
		c.epochs[id] = e
	}
	return errors.Join(it.Error(), it.Close())
}

// startReopen starts the goroutine that attends to deaths.
func (s *Store) startReopen() { s.wg.Go(s.reopen) }

func (s *Store) reopen() {
	if d, err := s.live(); err == nil {
		s.tidy(d.number)
	}
	fresh := 0
	for {
		var d *directory
		select {
		case <-s.ctx.Done():
			return
		case d = <-s.deaths:
		}
		if d != nil {
			s.note(d)
		}
		if _, err := s.live(); err == nil || s.opts.Reopen < 0 {
			continue
		}
		if fresh == maxFresh {
			s.log.Error("store: no more fresh directories are begun until a restart", "begun", fresh)
			continue
		}
		if !s.beginAgain(d) {
			return
		}
		fresh++
	}
}

// beginAgain tries to begin a directory until it succeeds or the store is closed.
func (s *Store) beginAgain(dead *directory) bool {
	for delay := s.opts.Reopen; ; delay = min(2*delay, max(reopenMost, s.opts.Reopen)) {
		if !s.await(delay) {
			return false
		}
		number, err := s.nextNumber()
		if err == nil {
			err = s.begin(number, s.mirror(dead))
		}
		if err == nil {
			if dead != nil {
				s.log.Warn("store: a fresh directory is in use, the entries of the dead one are lost on disk",
					"directory", directoryPath(s.opts.Dir, number), "dead", dead.path, "entries", dead.entries.Load())
			}
			s.tidy(number)
			return true
		}
		s.log.Warn("store: no fresh directory yet", "err", err, "next", min(2*delay, reopenMost))
	}
}

// await waits before the next try, but not longer than a full disk is full. It
// reports whether the store is still open.
func (s *Store) await(delay time.Duration) bool {
	full := s.room.full() != ""
	for until := s.elapsed() + delay; ; {
		left := until - s.elapsed()
		if left <= 0 || full && s.room.full() == "" {
			return s.ctx.Err() == nil
		}
		if !s.rest(min(left, roomEvery)) {
			return false
		}
	}
}

// nextNumber returns a number for a directory that was never used.
func (s *Store) nextNumber() (uint32, error) {
	if err := s.acquire(); err != nil {
		return 0, err
	}
	number, _, err := newest(s.opts.FS, s.opts.Dir)
	return number + 1, err
}

// mirror returns what the store keeps in memory of its directory, and the
// journal of the dead one, as far as it can be read.
func (s *Store) mirror(dead *directory) contents {
	c := newContents()
	var path string
	if dead != nil {
		path = dead.path
	} else if number, _, err := newest(s.opts.FS, s.opts.Dir); err == nil && number > 0 {
		path = directoryPath(s.opts.Dir, number) // that of an earlier process
	} else {
		return c
	}
	old, err := salvage(s.opts.FS, path)
	if err != nil {
		s.log.Warn("store: not all could be read of the journal of the dead directory", "directory", path, "err", err)
	}
	if old.epochs != nil {
		c.epochs, c.journal = old.epochs, old.journal
	}
	return c
}

// note puts a note beside a directory that died.
func (s *Store) note(d *directory) {
	if err := setAside(s.opts.FS, s.opts.Dir, d.number, d.reason); err != nil {
		s.log.Error("store: no note could be put beside the dead directory", "directory", d.path, "err", err)
	}
}

// tidy deletes what is left of all directories but the one in use and the one
// before it, which is kept for the operator.
func (s *Store) tidy(number uint32) {
	if err := tidy(s.opts.FS, s.opts.Dir, number); err != nil {
		s.log.Warn("store: old directories are left", "err", err)
	}
}

func tidy(fs vfs.FS, dir string, number uint32) error {
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	// One with a note broke; one without is a try that came to nothing, but if
	// there is no other.
	var before uint32
	for _, name := range names {
		n, note, ok := parseDirectory(name)
		if !ok || note || n >= number {
			continue
		}
		if noted := hasNote(fs, dir, n); before == 0 || noted && !hasNote(fs, dir, before) || n > before && noted == hasNote(fs, dir, before) {
			before = n
		}
	}
	var errs []error
	for _, name := range names {
		if n, _, ok := parseDirectory(name); ok && n < number && n != before {
			errs = append(errs, fs.RemoveAll(fs.PathJoin(dir, name)))
		}
	}
	if before > 0 && !hasNote(fs, dir, before) {
		errs = append(errs, setAside(fs, dir, before, errors.New("an earlier process gave it up and could not note why")))
	}
	return errors.Join(append(errs, syncDir(fs, dir))...)
}

package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/edgecache/edgecache/registry"
)

// Open opens the store in o.Dir. It fails only if another process uses the
// directory, or it cannot be one: what is broken is kept aside, what can be
// read of it goes into a fresh directory, and if none can be begun, the store
// is dead until one can. The caller must Close it.
func Open(o Options) (*Store, error) { return open(o, time.Now) }

func open(o Options, wall func() time.Time) (*Store, error) {
	o = o.withDefaults()
	s := &Store{
		opts: o, log: o.Logger, wall: wall, start: time.Now(), room: newHeadroom(o), cache: pebble.NewCache(cacheSize),
		epoch: rand.Uint64(), generations: map[registry.Selector]positions{}, identities: map[string]string{},
		deaths: make(chan *directory, 1),
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	number, broken, err := s.find()
	switch {
	case errors.Is(err, errUnusable):
		s.stop()
		s.cache.Unref()
		return nil, err
	case err != nil:
		s.adopt(contents{})
		s.notBegun(nil, err)
	default:
		s.openNewest(number, broken)
	}
	s.wg.Go(s.tick)
	s.startSweep()
	s.startReopen()
	return s, nil
}

// find locks the data directory and returns the number of the directory that
// was in use last. It waits for a disk that hangs no longer than openLimit.
func (s *Store) find() (number uint32, broken bool, err error) {
	type found struct {
		number uint32
		broken bool
		err    error
	}
	done := make(chan found, 1)
	go func() {
		var f found
		if f.err = s.acquire(); f.err == nil {
			f.number, f.broken, f.err = newest(s.opts.FS, s.opts.Dir)
		}
		done <- f
	}()
	limit := time.NewTimer(openLimit)
	defer limit.Stop()
	select {
	case f := <-done:
		if errors.Is(f.err, os.ErrPermission) && !errors.Is(f.err, errUnusable) {
			f.err = dirError(s.opts.Dir, f.err)
		}
		return f.number, f.broken, f.err
	case <-limit.C:
		return 0, false, errOpenTooLong
	}
}

// acquire locks the data directory, if it is not locked yet. It may hang with
// the disk: no lock but its own is held over that.
func (s *Store) acquire() error {
	s.locking.Lock()
	defer s.locking.Unlock()
	s.mu.Lock()
	locked := s.lock != nil
	s.mu.Unlock()
	if locked {
		return nil
	}
	lock, err := lockDir(s.opts.FS, s.opts.Dir)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return errors.Join(errClosed, lock.Close())
	}
	s.lock = lock
	return nil
}

// openNewest takes the directory of that number into use or, if that is
// broken, a fresh one with what can be read of it.
func (s *Store) openNewest(number uint32, broken bool) {
	var reason error
	if number > 0 && !broken {
		if reason = s.openDirectory(number); reason == nil {
			return
		}
		s.log.Error("store: the directory cannot be used and is kept aside", "directory", directoryPath(s.opts.Dir, number), "err", reason)
		if errors.Is(reason, errOpenTooLong) {
			// Neither would another; the node starts without.
			s.adopt(contents{})
			s.notBegun(aside(s.opts.Dir, number, reason), reason)
			return
		}
	}
	c := newContents()
	if number > 0 {
		c = s.salvage(number)
	} else if err := syncParents(s.opts.FS, s.opts.Dir); err != nil {
		s.log.Warn("store: the data directory may be lost in a crash of the machine", "dir", s.opts.Dir, "err", err)
	}
	s.adopt(c)
	if err := s.begin(number+1, c); err != nil {
		s.notBegun(aside(s.opts.Dir, number, reason), err)
	} else if reason != nil {
		if err := setAside(s.opts.FS, s.opts.Dir, number, reason); err != nil {
			s.log.Warn("store: no note could be put beside the directory", "err", err)
		}
	}
}

// aside returns a directory that cannot be used and has no note yet, nil if
// there is no reason for one.
func aside(dir string, number uint32, reason error) *directory {
	if reason == nil {
		return nil
	}
	d := newDirectory(number, directoryPath(dir, number))
	d.reason = reason
	return d
}

// syncParents makes durable that a directory is there, and those above it.
func syncParents(fs vfs.FS, dir string) error {
	for {
		parent := fs.PathDir(dir)
		if parent == dir {
			return nil
		}
		if err := syncDir(fs, parent); err != nil {
			return err
		}
		dir = parent
	}
}

// notBegun notes that no directory is in use after Open. broken is the one
// that was to be, if there was one.
func (s *Store) notBegun(broken *directory, err error) {
	s.log.Error("store: no directory can be begun", "err", err)
	s.failed.Store(&err)
	s.mourn(broken)
}

// openDirectory takes a directory of an earlier process into use.
func (s *Store) openDirectory(number uint32) error {
	d := newDirectory(number, directoryPath(s.opts.Dir, number))
	var c contents
	var err error
	if d.db, err = s.openPebble(d); err != nil {
		return err
	}
	if err = d.within(openLimit, func() (err error) { c, err = readContents(d.db); return err }); err == nil {
		if format := c.numbers[numberFormat]; format == 0 || format > formatVersion {
			err = fmt.Errorf("format %d, only formats 1 to %d are known", format, formatVersion)
		}
	}
	if err != nil {
		s.abandon(d, err)
		return err
	}
	s.adopt(c)
	s.use(d, c)
	return nil
}

// within runs f, which uses the database, and waits for it until the directory
// dies, but not longer than limit.
func (d *directory) within(limit time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() {
		var err error
		defer func() { done <- err }()
		defer recovered(&err)
		err = f()
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-d.dead:
		return d.reason
	case <-timer.C:
		return errOpenTooLong
	}
}

// salvage returns what can be read of a directory that cannot be used.
func (s *Store) salvage(number uint32) contents {
	c, err := salvage(s.opts.FS, directoryPath(s.opts.Dir, number))
	if err != nil {
		s.log.Error("store: not all could be read of the broken directory", "number", number, "err", err)
	}
	return c
}

// openPebble opens the database of d.
func (s *Store) openPebble(d *directory) (*pebble.DB, error) {
	if err := s.acquire(); err != nil {
		return nil, err
	}
	return openPebble(s.opts.FS, d.path, merger, s.opts, hooks{
		died:     func(err error) { s.die(d, err) },
		corrupt:  func(err error) { s.die(d, fmt.Errorf("corrupt: %w", err)) },
		slow:     s.noteSlow,
		full:     s.room.diskFull,
		counters: &s.engine, cache: s.cache,
	})
}

// adopt takes over what an earlier process left. Open alone calls it.
func (s *Store) adopt(c contents) {
	if s.node = c.numbers[numberNode]; s.node == 0 {
		s.node = rand.Uint64() | 1
	}
	s.position = max(c.numbers[numberPosition], 1)
	s.clock = registry.NewClock(s.wall, c.numbers[numberClock])
	// As of s.start: what opening took is counted from there, and not twice.
	s.base = max(s.wall().Add(-time.Since(s.start)).UnixMilli(), int64(c.numbers[numberWall]))
	s.mu.Lock()
	defer s.mu.Unlock()
	for wide, p := range c.generations {
		s.generations[wide] = p
		s.position = max(s.position, p.newest()+1) // the number may be lost
	}
	for name, identity := range c.identities {
		s.identities[name] = identity
	}
	if !c.complete {
		everything := registry.Selector{All: true}
		p, lost := s.generations[everything], at(registry.ModeVerify, s.position)
		p.raise(&lost)
		s.generations[everything] = p
	}
}

// use takes d, which has the contents c, into use: from now on what is queued
// goes there. What was raised in memory alone comes first: nothing queued from
// now on is durable before it.
func (s *Store) use(d *directory, c contents) {
	d.committed.init(s.opts, c)
	s.mu.Lock()
	first := &op{sync: true, add: s.missingLocked(c), done: make(chan error, 1)}
	s.epoch, s.seq = d.epoch, 0
	d.queue = append(d.queue, first)
	if old := s.dir.Swap(d); old != nil {
		old.queue = nil
	}
	s.mu.Unlock()
	go s.commitLoop(d)
	if !d.alive() {
		s.mourn(d)
		return
	}
	s.log.Info("store: open", "directory", d.path)
	// It reserves indexes. On a disk that stalls, better go on without than wait.
	_ = s.waitDurable(s.ctx, d, first)
}

// missingLocked returns what adds the generations and identities that are kept
// in memory, but not in c.
func (s *Store) missingLocked(c contents) func(r *round) error {
	generations, identities := map[registry.Selector]positions{}, map[string]string{}
	for wide, p := range s.generations {
		if p != c.generations[wide] {
			generations[wide] = p
		}
	}
	for name, identity := range s.identities {
		if kept, ok := c.identities[name]; !ok || kept != identity {
			identities[name] = identity
		}
	}
	return func(r *round) error {
		for wide, p := range generations {
			r.raise([]registry.Selector{wide}, &p)
		}
		for name, identity := range identities {
			r.setIdentity(name, identity)
		}
		return nil
	}
}

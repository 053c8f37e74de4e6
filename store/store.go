package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/edgecache/edgecache/registry"
)

// Errors of a store that does not take what it is given.
var (
	errClosed    = errors.New("store closed")
	errDead      = errors.New("store dead")
	errFull      = errors.New("store full: no entries are written")
	errDirectory = errors.New("another directory is in use")
)

// A Store keeps entries and invalidations on disk. All methods are safe for
// concurrent use.
type Store struct {
	opts  Options
	log   *slog.Logger
	lock  io.Closer        // of the data directory
	wall  func() time.Time // the wall clock
	start time.Time        // for its monotonic reading
	room  *headroom

	node     uint64
	position uint64          // no position at or above it was used before
	clock    *registry.Clock // goes on above every index given before
	base     int64           // Unix ms: what Now returned at start

	dir    atomic.Pointer[directory] // in use, or the last that was and died; nil: there was none
	failed atomic.Pointer[error]     // why there is none

	mu          sync.Mutex // protects the fields below, and the queue of each directory
	closed      bool
	epoch, seq  uint64 // of the newest invalidation appended
	generations map[registry.Selector]positions
	identities  map[string]string

	deaths chan *directory // at most one: the newest not yet attended to
	ctx    context.Context // ends when Close begins
	stop   context.CancelFunc
	wg     sync.WaitGroup // goroutines of the store, committers excepted
	reads  readings
	stats  counters
	engine engineCounters
}

// A directory is one Pebble database of the data directory.
type directory struct {
	number uint32
	path   string
	db     *pebble.DB
	epoch  uint64 // of the invalidations appended while it is in use

	once   sync.Once
	reason error         // why it died; set before dead is closed
	dead   chan struct{} // closed at its death
	done   chan struct{} // closed when its committer has ended

	queue  []*op         // what waits to be committed; Store.mu protects it
	ending bool          // nothing more is queued; Store.mu protects it
	wake   chan struct{} // holds one token if the queue may have grown
	since  atomic.Int64  // when the commit under way began, see Store.elapsed; 0: none is

	committed // what its committer keeps
}

func newDirectory(number uint32, path string) *directory {
	return &directory{
		number: number, path: path, epoch: rand.Uint64(),
		dead: make(chan struct{}), done: make(chan struct{}), wake: make(chan struct{}, 1),
	}
}

func (d *directory) alive() bool {
	select {
	case <-d.dead:
		return false
	default:
		return true
	}
}

// Open opens the store in o.Dir. It fails only if another process uses the
// directory, or it cannot be one: what is broken is kept aside, what can be
// read of it goes into a fresh directory, and if none can be begun, the store
// is dead until one can. The caller must Close it.
func Open(o Options) (*Store, error) { return open(o, time.Now) }

func open(o Options, wall func() time.Time) (*Store, error) {
	o = o.withDefaults()
	s := &Store{
		opts: o, log: o.Logger, wall: wall, room: newHeadroom(o), start: time.Now(), deaths: make(chan *directory, 1), epoch: rand.Uint64(),
		generations: map[registry.Selector]positions{}, identities: map[string]string{},
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	var err error
	if s.lock, err = lockDir(o.FS, o.Dir); err != nil {
		return nil, err
	}
	number, broken, err := newest(o.FS, o.Dir)
	if err != nil {
		s.lock.Close()
		return nil, err
	}
	if number == 0 || broken || !s.openDirectory(number) {
		s.replace(number)
	}
	s.wg.Go(s.tick)
	s.startSweep()
	s.startReopen()
	return s, nil
}

// openDirectory takes a directory into use; if it cannot be, it is kept aside.
func (s *Store) openDirectory(number uint32) bool {
	d := newDirectory(number, directoryPath(s.opts.Dir, number))
	db, err := s.openPebble(d)
	if err == nil {
		d.db = db
		var c contents
		if c, err = readContents(db); err == nil {
			if format := c.numbers[numberFormat]; format == 0 || format > formatVersion {
				err = fmt.Errorf("format %d, only formats 1 to %d are known", format, formatVersion)
			}
		}
		if err == nil {
			s.adopt(c)
			s.use(d, c)
			return true
		}
		s.abandon(d, err)
	}
	s.log.Error("store: the directory cannot be used and is kept aside", "directory", d.path, "err", err)
	if err := setAside(s.opts.FS, s.opts.Dir, number, err); err != nil {
		s.log.Error("store: no note could be put beside the directory", "directory", d.path, "err", err)
	}
	return false
}

// replace begins a fresh directory above number, with what can be read of that.
func (s *Store) replace(number uint32) {
	c := contents{complete: true}
	if number > 0 {
		var err error
		if c, err = salvage(s.opts.FS, directoryPath(s.opts.Dir, number)); err != nil {
			s.log.Error("store: not all could be read of the broken directory", "number", number, "err", err)
		}
	}
	s.adopt(c)
	if err := s.begin(number+1, c); err != nil {
		s.log.Error("store: no directory could be begun", "err", err)
		s.failed.Store(&err)
		s.notifyDeath(nil)
	}
}

// openPebble opens the database of d.
func (s *Store) openPebble(d *directory) (*pebble.DB, error) {
	return openPebble(s.opts.FS, d.path, merger, s.opts, hooks{
		died:     func(err error) { s.die(d, err) },
		corrupt:  func(err error) { s.die(d, fmt.Errorf("corrupt: %w", err)) },
		slow:     func(time.Duration, string) {},
		counters: &s.engine,
	})
}

// adopt takes over what an earlier process left. Open alone calls it.
func (s *Store) adopt(c contents) {
	if s.node = c.numbers[numberNode]; s.node == 0 {
		s.node = rand.Uint64() | 1
	}
	s.position = max(c.numbers[numberPosition], 1)
	s.clock = registry.NewClock(s.wall, c.numbers[numberClock])
	s.base = max(s.wall().UnixMilli(), int64(c.numbers[numberWall]))
	for sel, p := range c.generations {
		s.generations[sel] = p
	}
	for name, identity := range c.identities {
		s.identities[name] = identity
	}
	if !c.complete {
		all := registry.Selector{All: true}
		p := s.generations[all]
		lost := at(registry.ModeVerify, s.position)
		p.raise(&lost)
		s.generations[all] = p
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
	s.dir.Store(d)
	s.mu.Unlock()
	d.wake <- struct{}{}
	go s.commitLoop(d)
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

// die gives a directory up. Those who wait for it are answered; nothing of it
// is called any more. It may be called by anyone holding any lock but Store.mu.
func (s *Store) die(d *directory, reason error) {
	d.once.Do(func() {
		d.reason = reason
		close(d.dead)
		s.stats.deaths.Add(1)
		s.log.Error("store: dead", "directory", d.path, "err", reason)
		s.notifyDeath(d)
	})
}

// notifyDeath has a fresh directory begun, in time.
func (s *Store) notifyDeath(d *directory) {
	select {
	case s.deaths <- d:
	default:
	}
}

// abandon gives up a directory that was not in use.
func (s *Store) abandon(d *directory, reason error) {
	d.once.Do(func() { d.reason = reason; close(d.dead) })
	closePebble(d.db)
}

// live returns the directory in use, or an error that says why there is none.
func (s *Store) live() (*directory, error) {
	d := s.dir.Load()
	if d == nil {
		if err := s.failed.Load(); err != nil {
			return nil, fmt.Errorf("%w: %w", errDead, *err)
		}
		return nil, errDead
	}
	if !d.alive() {
		return nil, fmt.Errorf("%w: %w", errDead, d.reason)
	}
	return d, nil
}

// closeLimit is how long Close waits for a disk.
const closeLimit = 5 * time.Second

// Close commits what is queued and closes the store. It waits for a disk that
// does not answer at most for five seconds each way, then leaves it.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.stop()
	done := make(chan error, 1)
	go func() { done <- s.close() }()
	limit := time.NewTimer(closeLimit)
	defer limit.Stop()
	select {
	case err := <-done:
		return errors.Join(err, s.lock.Close())
	case <-limit.C:
		// The lock is kept: the old files are still open.
		return fmt.Errorf("store: not closed after %s: the disk does not answer", closeLimit)
	}
}

func (s *Store) close() error {
	s.wg.Wait()
	d := s.dir.Load()
	if d == nil {
		return nil
	}
	s.end(d)
	select {
	case <-d.done:
	case <-d.dead:
		return nil
	}
	return closePebble(d.db)
}

// Directory implements cache.Store.
func (s *Store) Directory() uint32 {
	if d, err := s.live(); err == nil {
		return d.number
	}
	return 0
}

// Node returns this node's id, drawn once in the life of its data directory.
func (s *Store) Node() uint64 { return s.node }

// Epoch returns the epoch of the invalidations that are appended now.
func (s *Store) Epoch() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch
}

// Clock returns the node's clock of indexes, above every index given before.
func (s *Store) Clock() *registry.Clock { return s.clock }

// Position implements cache.Journal.
func (s *Store) Position() uint64 { return s.position }

// Now implements cache.Store.
func (s *Store) Now() int64 { return s.base + time.Since(s.start).Milliseconds() }

// elapsed returns the time since the store was opened; it is never 0.
func (s *Store) elapsed() time.Duration { return time.Since(s.start) + 1 }

// Identity implements cache.Store.
func (s *Store) Identity(registryName string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.identities[registryName], nil
}

// SetIdentity implements cache.Store. A fresh directory has what was set.
func (s *Store) SetIdentity(registryName, identity string) error {
	s.mu.Lock()
	s.identities[registryName] = identity
	o := &op{sync: true, add: func(r *round) error {
		r.setIdentity(registryName, identity)
		return nil
	}}
	d, err := s.enqueueLocked(o, 0)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return d.wait(o)
}

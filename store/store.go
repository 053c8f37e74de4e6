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
	cache *pebble.Cache    // of blocks, for all directories
	wall  func() time.Time // the wall clock
	start time.Time        // for its monotonic reading
	room  *headroom

	node     uint64
	position uint64          // no position at or above it was used before
	clock    *registry.Clock // goes on above every index given before
	base     int64           // Unix ms: what Now returned at start

	dir    atomic.Pointer[directory] // in use, or the last that was and died; nil: there was none
	failed atomic.Pointer[error]     // why there is none

	locking sync.Mutex  // held while the data directory is being locked; before mu
	closed  atomic.Bool // set with mu held

	mu          sync.Mutex // protects the fields below, and the queue of each directory
	lock        io.Closer  // of the data directory; nil: not locked yet
	epoch, seq  uint64     // of the newest invalidation appended
	generations map[registry.Selector]positions
	identities  map[string]string

	deaths   chan *directory // at most one: the newest not yet attended to
	ctx      context.Context // ends when Close begins
	stop     context.CancelFunc
	wg       sync.WaitGroup // goroutines of the store, committers excepted
	reads    readings
	lastSlow atomic.Pointer[slowWrite] // the newest
	stats    counters
	engine   engineCounters
}

// A directory is one Pebble database of the data directory.
type directory struct {
	number uint32
	path   string
	db     *pebble.DB
	epoch  uint64 // of the invalidations appended while it is in use

	once    sync.Once
	reason  error         // why it died; set before dead is closed
	dead    chan struct{} // closed at its death
	mourned atomic.Bool   // it was in use, and another is to be begun
	done    chan struct{} // closed when its committer has ended

	queue  []*op         // what waits to be committed; Store.mu protects it
	ending bool          // nothing more is queued; Store.mu protects it
	wake   chan struct{} // holds one token if the queue may have grown
	since  atomic.Int64  // when the commit under way began, see Store.elapsed; 0: none is

	engine    atomic.Pointer[Engine] // the newest sample; nil: none yet
	committed                        // what its committer keeps
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

// die gives a directory up: those who wait for it are answered. It may be
// called by anyone, with any lock held.
func (s *Store) die(d *directory, reason error) {
	d.once.Do(func() {
		d.reason = reason
		close(d.dead)
		s.log.Error("store: a directory is given up", "directory", d.path, "err", reason)
		if s.dir.Load() == d {
			s.mourn(d)
		}
	})
}

// mourn has a fresh directory begun, in time, in place of the one in use; nil:
// there is none.
func (s *Store) mourn(d *directory) {
	if d != nil && d.mourned.Swap(true) {
		return
	}
	s.stats.deaths.Add(1)
	select {
	case s.deaths <- d:
	default:
	}
}

// abandon gives up a directory that was opened, but not taken into use.
func (s *Store) abandon(d *directory, reason error) {
	s.die(d, reason)
	if err := closePebble(d.db); err != nil {
		s.log.Warn("store: a directory that is not used could not be closed", "directory", d.path, "err", err)
	}
}

// live returns the directory in use, or an error that says why there is none.
func (s *Store) live() (*directory, error) {
	if s.closed.Load() {
		return nil, errClosed
	}
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

// Close refuses what comes from now on, commits what is queued, and closes the
// store. It does not wait longer than five seconds for a disk that does not
// answer: then it leaves all as it is and says so.
func (s *Store) Close() error {
	s.mu.Lock()
	twice := s.closed.Swap(true)
	s.mu.Unlock()
	if twice {
		return nil
	}
	s.stop()
	done := make(chan error, 1)
	go func() { done <- s.close() }()
	limit := time.NewTimer(closeLimit)
	defer limit.Stop()
	select {
	case err := <-done:
		return err
	case <-limit.C:
		// The lock is kept: the old files are still open.
		return fmt.Errorf("store: not closed after %s: the disk does not answer", closeLimit)
	}
}

func (s *Store) close() (err error) {
	s.wg.Wait()
	if d := s.dir.Load(); d != nil {
		s.end(d)
		select {
		case <-d.done:
		case <-d.dead:
		}
		if d.alive() {
			<-s.reads.ended()
			err = closePebble(d.db)
		}
	}
	s.cache.Unref()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// Directory implements cache.Store.
func (s *Store) Directory() uint32 {
	if d, err := s.live(); err == nil {
		return d.number
	}
	return 0
}

// Node returns this node's id, drawn once in the life of its data directory.
func (s *Store) Node() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.node
}

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

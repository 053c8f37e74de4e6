package store

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// The states of a store, as StoreStatus says them.
const (
	stateOK   = "ok"
	stateSlow = "slow" // a commit or a read stalls
	stateFull = "full" // entries are not written
	stateDead = "dead" // nothing is read or written
)

type counters struct {
	commits, syncs, ops    atomic.Uint64
	commitTime             atomic.Int64 // ns
	deaths                 atomic.Uint64
	refused                atomic.Uint64
	unreadable, readErrors atomic.Uint64
}

func (c *counters) committed(ops int, synced bool, took time.Duration) {
	c.commits.Add(1)
	if synced {
		c.syncs.Add(1)
	}
	c.ops.Add(uint64(ops))
	c.commitTime.Add(int64(took))
}

// Stats are totals since Open, and what is now.
type Stats struct {
	Directory     uint32 // in use; 0: none
	Bytes         uint64 // on disk
	Limit         uint64
	Entries       uint64
	Journal       uint64 // records kept
	Queued        int    // changes that wait for the committer
	Commits       uint64 // batches written
	Syncs         uint64 // of them, those that were synced
	Changes       uint64 // in them
	CommitSeconds float64
	Deaths        uint64 // directories given up
	Refused       uint64 // writes of entries refused because the disk was full
	Unreadable    uint64 // values read that made no sense
	ReadErrors    uint64
	Stalls        uint64 // times that commits waited for flushes or compactions
	Background    uint64 // flushes and compactions that failed
	SlowWrites    uint64 // reports of writes that lasted longer than Options.Stall
	Engine        Engine // zero while nothing was sampled
}

// Stats returns the totals.
func (s *Store) Stats() Stats {
	st := s.Status()
	c := &s.stats
	t := Stats{
		Directory: s.Directory(), Bytes: st.Bytes, Limit: st.Limit, Entries: st.Entries, Journal: st.Journal,
		Commits: c.commits.Load(), Syncs: c.syncs.Load(), Changes: c.ops.Load(),
		CommitSeconds: time.Duration(c.commitTime.Load()).Seconds(),
		Deaths:        c.deaths.Load(), Refused: c.refused.Load(), Unreadable: c.unreadable.Load(), ReadErrors: c.readErrors.Load(),
		Stalls: s.engine.stalls.Load(), Background: s.engine.background.Load(), SlowWrites: s.engine.slow.Load(),
	}
	if d := s.dir.Load(); d != nil {
		s.mu.Lock()
		t.Queued = len(d.queue)
		s.mu.Unlock()
		if e := d.engine.Load(); e != nil {
			t.Engine = *e
		}
	}
	return t
}

// Status returns the store's state. It asks the disk nothing.
func (s *Store) Status() registry.StoreStatus {
	st := registry.StoreStatus{State: stateOK, Limit: uint64(s.opts.MaxBytes)}
	d, err := s.live()
	if err != nil {
		st.State, st.Error = stateDead, err.Error()
		return st
	}
	st.Bytes, st.Entries = s.room.bytes(), uint64(d.entries.Load())
	d.journal.mu.Lock()
	st.Journal = d.journal.kept
	d.journal.mu.Unlock()
	if reason := s.room.full(); reason != "" {
		st.State, st.Error = stateFull, reason
	}
	if reason := s.slow(d); reason != "" {
		st.State, st.Error = stateSlow, reason
	}
	return st
}

// slow returns what stalls, "" if nothing does.
func (s *Store) slow(d *directory) string {
	if lasts := s.stalled(d); lasts > 0 {
		text := fmt.Sprintf("a commit takes %s", lasts.Round(100*time.Millisecond))
		if w := s.lastSlow.Load(); w != nil && s.elapsed()-w.at < lasts {
			text += ": " + w.what
		}
		return text
	}
	if oldest := s.reads.oldest(); oldest > 0 {
		if lasts := s.elapsed() - oldest; lasts > s.opts.Stall {
			return fmt.Sprintf("a read takes %s", lasts.Round(100*time.Millisecond))
		}
	}
	return ""
}

// A slowWrite is one that lasted longer than Options.Stall.
type slowWrite struct {
	at   time.Duration
	what string // such as "sync of 000005.log"
}

// noteSlow is told of a write that lasts for so long.
func (s *Store) noteSlow(_ time.Duration, what string) {
	s.lastSlow.Store(&slowWrite{s.elapsed(), what})
}

// Degraded says what an operator should know, nothing if all is well.
func (s *Store) Degraded() []string {
	var list []string
	d, err := s.live()
	if err != nil {
		return append(list, err.Error())
	}
	if reason := s.slow(d); reason != "" {
		list = append(list, "store slow: "+reason)
	}
	if reason := s.room.full(); reason != "" {
		list = append(list, "store full: "+reason)
	}
	return list
}

// readings are the reads under way.
type readings struct {
	mu    sync.Mutex // protects the fields below
	next  uint64
	began map[uint64]time.Duration
	none  chan struct{} // closed when there are none; nil: nobody waits for that
}

// begin notes a read that begins now. It must begin before the read looks
// whether the store is open and the directory alive: who closes it waits for
// those who may have found it so.
func (r *readings) begin(now time.Duration) (ticket uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began == nil {
		r.began = map[uint64]time.Duration{}
	}
	r.next++
	r.began[r.next] = now
	return r.next
}

func (r *readings) end(ticket uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if delete(r.began, ticket); len(r.began) == 0 && r.none != nil {
		close(r.none)
		r.none = nil
	}
}

// ended returns a channel that is closed once no read is under way.
func (r *readings) ended() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	none := make(chan struct{})
	if len(r.began) == 0 {
		close(none)
	} else {
		r.none = none
	}
	return none
}

// oldest returns when the oldest read under way began, 0 if there is none.
func (r *readings) oldest() (began time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, at := range r.began {
		if began == 0 || at < began {
			began = at
		}
	}
	return began
}

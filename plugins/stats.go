package plugins

import (
	"sync"
	"sync/atomic"
)

// stats count what a filter did, over its generations.
type stats struct {
	calls      striped // of guests
	memoized   striped // answered by a verdict that was kept
	broken     atomic.Uint64
	recycled   atomic.Uint64
	logDropped atomic.Uint64
	timed      atomic.Uint64 // calls that were timed, each sampled-th of an instance
	took       atomic.Uint64 // ns, by those

	mu       sync.Mutex // protects the field below
	failures map[string]uint64
}

// failed counts a failure and returns how many there were of its kind.
func (s *stats) failed(kind string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failures == nil {
		s.failures = map[string]uint64{}
	}
	s.failures[kind]++
	return s.failures[kind]
}

// A striped counter is one that processors do not contend for.
type striped [stripes]struct {
	n atomic.Uint64
	_ [56]byte
}

const stripes = 16

// sampled is how many calls of an instance there are to one that is timed: two
// looks at the clock cost as much as a call.
const sampled = 64

func (s *striped) add() { s[processor()%stripes].n.Add(1) }

func (s *striped) sum() (n uint64) {
	for i := range s {
		n += s[i].n.Load()
	}
	return n
}

package plugins

import (
	"slices"
	"sync"
	"sync/atomic"
)

// stats count what a filter did, over its generations.
type stats struct {
	calls      striped // of guests, but of filters those only whose pool is gone
	memoized   striped // answered by a verdict that was kept
	broken     atomic.Uint64
	recycled   atomic.Uint64
	logDropped atomic.Uint64
	requests   atomic.Uint64 // by HTTP, of adapters
	denied     atomic.Uint64 // likewise: not made, for nobody allows them
	timed      atomic.Uint64 // calls that were timed, each sampled-th of an instance
	took       atomic.Uint64 // ns, by those

	mu       sync.Mutex // protects the fields below
	failures map[string]uint64
	pools    []*pool // of filters: each counts its calls
}

// begin has the calls of a pool counted.
func (s *stats) begin(p *pool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pools = append(s.pools, p)
}

// end takes over the calls of a pool that makes no more.
func (s *stats) end(p *pool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pools = slices.DeleteFunc(s.pools, func(o *pool) bool { return o == p })
	s.calls[0].n.Add(p.calls())
}

// called returns how many calls of guests ended.
func (s *stats) called() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.calls.sum()
	for _, p := range s.pools {
		n += p.calls()
	}
	return n
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

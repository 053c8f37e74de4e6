package registry

import (
	"sync"
	"time"
)

// The index of a change is 41 bits of milliseconds since 2020 and 12 bits of
// content hash: below 2^53, so that it is exact in a JSON number.
const (
	clockBits  = 12
	clockEpoch = 1577836800000 // 2020-01-01T00:00:00Z in Unix ms
)

// A Clock gives indexes that rise with each change on one node. The wall clock
// may jump: the reading never falls. It is safe for concurrent use.
type Clock struct {
	now func() time.Time

	mu   sync.Mutex // protects last
	last uint64     // ms since 2020 of the newest index
}

// NewClock returns a clock over now (nil: [time.Now]) whose readings all lie
// above bound, an earlier reading or 0.
func NewClock(now func() time.Time, bound uint64) *Clock {
	if now == nil {
		now = time.Now
	}
	return &Clock{now: now, last: bound >> clockBits}
}

// Next returns the index of a change to content of that hash: above every
// index the clock returned before.
func (c *Clock) Next(hash uint64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last+1, c.wall())
	return c.last<<clockBits | hash&(1<<clockBits-1)
}

// wall returns the wall clock in ms since 2020, 1 if it stands before that.
func (c *Clock) wall() uint64 { return uint64(max(c.now().UnixMilli()-clockEpoch, 1)) }

// Observe makes all further readings lie above index, which another node gave.
// An index more than a day ahead of the wall clock is ignored.
func (c *Clock) Observe(index uint64) {
	ms := index >> clockBits
	c.mu.Lock()
	defer c.mu.Unlock()
	if ms > c.last && ms < c.wall()+86_400_000 {
		c.last = ms
	}
}

// Bound returns a reading that no index given so far exceeds.
func (c *Clock) Bound() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last<<clockBits | (1<<clockBits - 1)
}

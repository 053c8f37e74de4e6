package plugins

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	breakerRow    = 5                // failures one after the other open it
	breakerSpan   = 10 * time.Second // or more than half of at least
	breakerLeast  = 20               // calls within this
	breakerPause  = time.Second      // before a call is tried; doubled each time, up to
	breakerLonger = time.Minute
)

// A breaker keeps calls from a guest that fails: it opens after some failures,
// and then lets a single call through after a pause that doubles each time.
type breaker struct {
	opened atomic.Bool
	row    atomic.Int32 // failures since the last success

	mu     sync.Mutex // protects the fields below
	until  time.Time
	pause  time.Duration
	trying bool
	since  time.Time // the span began
	calls  uint64    // before it
	count  uint64    // failures in it
}

// allows reports whether a call may be made, and whether it is the one that is
// tried: what that ends in must be told.
func (b *breaker) allows() (allowed, trial bool) {
	if !b.opened.Load() {
		return true, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.opened.Load() {
		return true, false
	}
	if b.trying || time.Now().Before(b.until) {
		return false, false
	}
	b.trying = true
	return true, true
}

// succeeded takes note that a call did. While the breaker is open, only that of
// the one that was tried says something: others began before.
func (b *breaker) succeeded(trial bool) {
	if b.row.Load() != 0 {
		b.row.Store(0)
	}
	if trial {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.pause, b.trying, b.since, b.count = 0, false, time.Time{}, 0
		b.opened.Store(false)
	}
}

// abstained says that the call that was allowed was not made.
func (b *breaker) abstained(trial bool) {
	if trial {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.trying = false
	}
}

// failed takes note of a failure, the calls made so far being so many, and
// reports whether that opened the breaker.
func (b *breaker) failed(calls uint64, trial bool) bool {
	row := b.row.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if now.Sub(b.since) > breakerSpan {
		b.since, b.calls, b.count = now, calls-1, 0
	}
	b.count++
	was := b.opened.Load()
	if was && !trial { // a call that began before it opened
		return false
	}
	within := calls - b.calls
	if !was && row < breakerRow && (within < breakerLeast || 2*b.count <= within) {
		return false
	}
	b.pause = min(max(2*b.pause, breakerPause), breakerLonger)
	b.until = now.Add(b.pause*3/4 + rand.N(b.pause/2))
	b.trying = false
	b.opened.Store(true)
	return !was
}

// state returns what people call it: closed, open or half-open.
func (b *breaker) state() string {
	if !b.opened.Load() {
		return "closed"
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.trying || !time.Now().Before(b.until) {
		return "half-open"
	}
	return "open"
}

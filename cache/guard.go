package cache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/edgecache/edgecache/registry"
)

// When a registry's breaker opens.
const (
	breakerInARow = 5
	breakerCalls  = 20 // in the last ten seconds, of which half failed
	breakerWindow = 10 // seconds
)

// A guard protects one registry: a breaker that lets one probe through per
// recheck while the registry fails, and a rate limit.
type guard struct {
	recheck Recheck
	limit   *rate.Limiter // nil: none
	changed func(up bool) // called without mu held when the breaker opens or closes

	open     atomic.Bool  // the breaker is open, for the hit path
	closedAt atomic.Int64 // cache time when the breaker last closed: failures from before are void
	calls    atomic.Uint64
	failures atomic.Uint64

	mu      sync.Mutex // protects the fields below
	inARow  int
	buckets [breakerWindow]bucket // ring of seconds
	opened  int                   // failed probes in a row since it opened
	next    time.Duration         // of the next probe
	probing time.Duration         // until when a probe is waited for; 0: none is under way
	lastOK  time.Duration
	lastErr string
}

type bucket struct {
	second        int64
	calls, failed int
}

func newGuard(recheck Recheck, perSecond float64, changed func(bool)) *guard {
	g := &guard{recheck: recheck, changed: changed, lastOK: -1}
	g.closedAt.Store(-1)
	if perSecond > 0 {
		g.limit = rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond)))
	}
	return g
}

// errBreakerOpen is the cause of a fetch that was not made.
var errBreakerOpen = errors.New("not asked: it failed too often lately")

// errRateLimited is the cause of a fetch that our own limit held back.
var errRateLimited = errors.New("not asked: the configured rate is used up")

// allow reports whether the registry may be asked now, and if not, after how
// long the next probe is due. With an open breaker it allows one call per
// recheck; the caller must report it by done.
func (g *guard) allow(now time.Duration) (bool, time.Duration) {
	if !g.open.Load() {
		return true, 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.open.Load() {
		return true, 0
	}
	if now < max(g.next, g.probing) {
		return false, max(g.next-now, 2*time.Millisecond)
	}
	g.probing = now + g.recheck.Max
	g.next = now + backoff(g.recheck, g.opened)
	return true, 0
}

// wait holds the call back until the rate limit allows it.
func (g *guard) wait(ctx context.Context) error {
	if g.limit == nil {
		return nil
	}
	if err := g.limit.Wait(ctx); err != nil {
		return errRateLimited
	}
	return nil
}

// done reports how a call ended. A success is any answer the registry gave of
// itself, a proof of absence too.
func (g *guard) done(now time.Duration, err *registry.UpstreamError) {
	g.calls.Add(1)
	switch {
	case err == nil:
		g.succeeded(now)
	case err.Harmless:
		g.mu.Lock()
		g.probing = 0
		g.mu.Unlock()
	default:
		g.failures.Add(1)
		g.failed(now, err)
	}
}

func (g *guard) succeeded(now time.Duration) {
	g.mu.Lock()
	g.inARow, g.probing, g.lastOK = 0, 0, now
	g.bucketLocked(now).calls++
	closed := g.open.Load()
	if closed {
		g.opened, g.buckets = 0, [breakerWindow]bucket{}
		g.closedAt.Store(int64(now))
		g.open.Store(false)
	}
	g.mu.Unlock()
	if closed {
		g.changed(true)
	}
}

func (g *guard) failed(now time.Duration, err *registry.UpstreamError) {
	g.mu.Lock()
	g.inARow++
	g.lastErr = err.Error()
	b := g.bucketLocked(now)
	b.calls++
	b.failed++
	g.probing = 0
	opened := false
	switch {
	case g.open.Load():
		g.opened++
		g.next = now + max(backoff(g.recheck, g.opened), err.RetryAfter)
	case g.inARow >= breakerInARow || g.halfFailedLocked(now):
		opened = true
		g.opened = 1
		g.next = now + max(backoff(g.recheck, 1), err.RetryAfter)
		g.open.Store(true)
	}
	g.mu.Unlock()
	if opened {
		g.changed(false)
	}
}

func (g *guard) bucketLocked(now time.Duration) *bucket {
	second := int64(now / time.Second)
	b := &g.buckets[second%breakerWindow]
	if b.second != second {
		*b = bucket{second: second}
	}
	return b
}

func (g *guard) halfFailedLocked(now time.Duration) bool {
	oldest := int64(now/time.Second) - breakerWindow
	calls, failed := 0, 0
	for _, b := range g.buckets {
		if b.second > oldest {
			calls += b.calls
			failed += b.failed
		}
	}
	return calls >= breakerCalls && 2*failed >= calls
}

// retryIn returns the time until the next probe: 0 with a closed breaker, one
// millisecond if the probe is due.
func (g *guard) retryIn(now time.Duration) time.Duration {
	if !g.open.Load() {
		return 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if now < max(g.next, g.probing) {
		return max(g.next-now, 2*time.Millisecond)
	}
	return time.Millisecond
}

// alive notes a sign of life that was no call.
func (g *guard) alive(now time.Duration) {
	if g.open.Load() {
		g.succeeded(now)
		return
	}
	g.mu.Lock()
	g.inARow, g.lastOK = 0, now
	g.mu.Unlock()
}

// A guardStatus is the guard's state for people. Times are cache time; lastOK
// is -1 if there was no success, next is 0 with a closed breaker.
type guardStatus struct {
	breaker         string
	lastOK, next    time.Duration
	lastErr         string
	calls, failures uint64
}

func (g *guard) status() guardStatus {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := guardStatus{breaker: "closed", lastOK: g.lastOK, lastErr: g.lastErr, calls: g.calls.Load(), failures: g.failures.Load()}
	if g.open.Load() {
		s.breaker, s.next = "open", g.next
		if g.probing > 0 {
			s.breaker = "half-open"
		}
	}
	return s
}

// down reports whether the registry is known not to answer: its breaker is not
// closed, or every call so far failed.
func (s *guardStatus) down() bool {
	return s.breaker != "closed" || s.lastOK < 0 && s.failures > 0
}

// inherit carries the state of the guard it replaces over.
func (g *guard) inherit(old *guard) {
	old.mu.Lock()
	defer old.mu.Unlock()
	g.inARow, g.buckets, g.opened, g.next = old.inARow, old.buckets, old.opened, old.next
	g.lastOK, g.lastErr = old.lastOK, old.lastErr
	g.open.Store(old.open.Load())
	g.closedAt.Store(old.closedAt.Load())
	g.calls.Store(old.calls.Load())
	g.failures.Store(old.failures.Load())
}

package cache

import (
	"math/rand/v2"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// state says what an entry is good for. A greater state is worse.
type state uint8

const (
	stateFresh    state = iota
	stateStale          // serve at once while it is fetched (RFC 5861, stale-while-revalidate)
	stateFallback       // serve only if the registry cannot be reached (stale-if-error)
	stateExpired        // never serve
)

// windows are the times of one entry, decided when it was filled.
type windows struct {
	ttl time.Duration // fresh up to this age, jitter taken off
	swr time.Duration // stale up to this age
	sie time.Duration // fallback up to this age
}

// A condition is all that the state of an entry depends on.
type condition struct {
	windows
	age    time.Duration
	mode   registry.Mode // strictest invalidation that covers it
	live   bool          // a live watch confirms it
	absent bool          // it proves absence: fresh or expired, never stale
	kept   bool          // kept against unconfirmed empty answers
	behind bool          // the registry is known to have newer
	disk   bool          // it came from disk, and nothing confirmed it since: never fresh
}

// state is pure arithmetic: what may be done with an entry in this condition.
func (c *condition) state() state {
	switch {
	case c.mode == registry.ModeHard:
		return stateExpired
	case c.absent:
		if c.mode == registry.ModeNone && c.age <= c.ttl {
			return stateFresh
		}
		return stateExpired
	case c.age > c.sie && !c.live:
		return stateExpired
	case c.mode == registry.ModeVerify:
		return stateFallback
	case c.mode == registry.ModeSoft, c.kept, c.behind:
		return stateStale
	case !c.disk && (c.live || c.age <= c.ttl):
		return stateFresh
	case c.age <= c.swr:
		return stateStale
	}
	return stateFallback
}

// The bounds of what an upstream may wish.
const (
	minWish = time.Second
	maxWish = 24 * time.Hour
)

// wish returns what counts of three opinions on a window: what the registry's
// configuration sets, then the upstream's wish within bounds, then the default.
func wish(set *time.Duration, said, def time.Duration, least time.Duration) time.Duration {
	switch {
	case set != nil:
		return *set
	case said >= 0:
		return min(max(said, least), maxWish)
	}
	return def
}

// windowsOf returns the windows of an answer that carried these wishes. They
// are ages: stale-while-revalidate begins where the TTL ends, stale-if-error
// is the bound on age itself, so that no answer is older than the operator
// said.
func (u *upstream) windowsOf(w registry.Freshness) windows {
	o, p := &u.Overrides, &u.policy
	ttl := wish(o.TTL, w.TTL, p.TTL, minWish)
	ttl -= time.Duration(float64(ttl) * float64(p.Jitter) * rand.Float64())
	swr := ttl + wish(o.StaleWhileRevalidate, w.StaleWhileRevalidate, p.StaleWhileRevalidate, 0)
	sie := wish(o.StaleIfError, w.StaleIfError, p.StaleIfError, 0)
	return windows{ttl: ttl, swr: swr, sie: max(sie, swr)}
}

// absence returns the windows of a proof of absence: it has no stale window.
func (u *upstream) absence() windows {
	ttl := u.policy.NegativeTTL
	ttl -= time.Duration(float64(ttl) * float64(u.policy.Jitter) * rand.Float64())
	return windows{ttl: ttl, swr: ttl, sie: ttl}
}

// jittered returns d shortened by up to a fifth, so that what failed together
// does not come back together.
func jittered(d time.Duration) time.Duration {
	return d - time.Duration(float64(d)*0.2*rand.Float64())
}

// backoff returns the time until the next try after so many failures in a row.
func backoff(r Recheck, fails int) time.Duration {
	d := r.Min
	for i := 1; i < fails && d < r.Max; i++ {
		d *= 2
	}
	return jittered(min(d, r.Max))
}

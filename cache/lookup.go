package cache

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// class says what one registry contributes to a lookup.
type class uint8

const (
	classDown class = iota
	classAbsent
	classFound
)

// found is what one registry says of a name.
type found struct {
	class     class
	entry     *entry           // of found and absent; nil for an absence by name list
	rec       *registry.Record // of found
	index     uint64
	age, ttl  time.Duration
	stale     bool
	hit       bool
	stored    bool
	collapsed bool
	fwd       registry.Forward
	fwdStatus int
	details   registry.Details
	err       error // of down: an *UpstreamError or a sentinel
	retryIn   time.Duration
}

// one answers from one registry that is not a merge.
func (c *Cache) one(ctx context.Context, u *upstream, q *registry.Query, now, until time.Duration, f *found) {
	e := c.mem.get(registry.Key{Registry: u.Name, Name: q.Name})
	if e == nil {
		c.miss(ctx, u, q, nil, stateExpired, now, until, f)
		return
	}
	st, age := c.view(u, e, now)
	if st == stateFresh && (q.MaxAge < 0 || age <= q.MaxAge && q.MaxAge > 0) {
		e.touch(now)
		f.serve(e, st, age)
		f.hit = true
		if f.ttl < time.Duration(float64(e.ttl)*float64(u.policy.RefreshAhead)) && e.rec != nil {
			c.refreshAhead(u, e, now)
		}
		return
	}
	e.used.Store(int64(now))
	if st < stateExpired && (q.MaxAge < 0 || age <= q.MaxAge && q.MaxAge > 0) {
		c.stale(ctx, u, q, e, st, age, now, until, f)
		return
	}
	c.miss(ctx, u, q, e, st, now, until, f)
}

// serve fills f from an entry in a state that may be served.
func (f *found) serve(e *entry, st state, age time.Duration) {
	f.class, f.entry, f.rec, f.index, f.age = classFound, e, e.rec, e.index, age
	f.stale = st != stateFresh
	f.ttl = e.ttl - age
	if now := e.base() + age; !f.stale && e.confirmedLive(now) {
		f.ttl = max(f.ttl, e.watch.left(now))
	}
	if e.rec == nil {
		f.class = classAbsent
		f.details |= registry.DetailNegative
	}
	if f.stale && f.ttl > 0 {
		f.ttl = 0 // stale by an invalidation, not by age
	}
	if e.mode() > registry.ModeNone {
		f.details |= registry.DetailInvalidated
	}
	if e.empties > 0 {
		f.details |= registry.DetailEmptyUnconfirmed
	}
	if e.disk {
		f.details |= registry.DetailDisk
	}
}

// stale answers from an entry that may be served stale, fetching as its state
// asks for.
func (c *Cache) stale(ctx context.Context, u *upstream, q *registry.Query, e *entry, st state, age, now, until time.Duration, f *found) {
	switch {
	case q.OnlyCached:
		f.serveStale(e, st, age, now, 0)
		return
	case e.empties > 0 && now < e.nextTry && e.mode() == registry.ModeNone:
		f.serveStale(e, st, age, now, 0) // the refresher asks again in its own time
		return
	case u.failing(e, now):
		f.serveStale(e, st, age, now, registry.DetailSIE)
		return
	case u.guard.open.Load():
		if u.guard.retryIn(now) <= time.Millisecond {
			c.fetchSoon(u, e.key.Name, whatever) // the probe
		}
		f.serveStale(e, st, age, now, registry.DetailSIE)
		return
	}
	wait := until
	if st == stateStale {
		wait = min(until, now+u.policy.Verify)
		if u.policy.Verify == 0 || e.mode() == registry.ModeSoft {
			c.fetchSoon(u, e.key.Name, e)
			f.serveStale(e, st, age, now, registry.DetailSWR)
			return
		}
	}
	out, collapsed, ended := c.fetchNow(ctx, u, e.key.Name, wanted{seen: e}, wait)
	switch {
	case ended && out.err == nil && c.landed(u, out, f):
		f.collapsed, f.fwd = collapsed, registry.ForwardStale
	case ended:
		c.fallBack(u, e, registry.DetailSIE, out.err, f)
	case st == stateStale:
		c.fallBack(u, e, registry.DetailSWR|registry.DetailVerifyTimeout, nil, f)
	default:
		c.fallBack(u, e, registry.DetailSIE|registry.DetailVerifyTimeout, nil, f)
	}
}

// serveStale fills f from an entry in place of what the registry says now.
func (f *found) serveStale(e *entry, st state, age, now time.Duration, d registry.Details) {
	e.touch(now)
	f.serve(e, st, age)
	f.hit, f.stale = true, true
	f.details |= d
}

// fallBack serves e after a wait that led to nothing. It has aged since, and
// may not be served any more if a hard invalidation came.
func (c *Cache) fallBack(u *upstream, e *entry, d registry.Details, err *registry.UpstreamError, f *found) {
	now := c.now()
	st, age := c.view(u, e, now)
	switch {
	case st < stateExpired:
		f.serveStale(e, st, age, now, d)
	case err != nil:
		f.fail(err, err.RetryAfter)
	default:
		f.fail(&registry.UpstreamError{Registry: u.Name, Err: errOverrun}, 0)
	}
}

// errOverrun is the cause of a lookup that an invalidation overtook.
var errOverrun = errors.New("invalidated while it was fetched")

// landed fills f from the result of a flight; false if nothing of it may be
// served.
func (c *Cache) landed(u *upstream, out outcome, f *found) bool {
	e := out.entry
	if e == nil || e.rec == nil && e.failure != nil {
		return false
	}
	now := c.now()
	st, age := c.view(u, e, now)
	if st != stateFresh {
		// A watch may have brought the present content meanwhile.
		if held := c.mem.get(e.key); held != nil && held != e && held.began >= e.began {
			if better, young := c.view(u, held, now); better == stateFresh {
				e, st, age = held, better, young
			}
		}
	}
	if st == stateExpired && (e.rec != nil || e.mode() == registry.ModeHard) {
		return false
	}
	e.touch(now)
	f.serve(e, st, age)
	f.stored, f.fwdStatus = out.stored, out.fwdStatus
	if out.copied {
		f.details |= registry.DetailPeer
	}
	return true
}

// miss answers where nothing held may be served as it is: the registry is
// asked, and what is held is the last resort if it is too old only for q.
func (c *Cache) miss(ctx context.Context, u *upstream, q *registry.Query, e *entry, st state, now, until time.Duration, f *found) {
	disk := diskUnasked
	if c.disk != nil && (e == nil || !e.known()) && !u.list.lacks(q.Name, now) {
		var got *entry
		patient := q.OnlyCached || u.guard.open.Load() || u.failing(e, now)
		if got, disk = c.recall(ctx, u, q.Name, patient, until); got != nil {
			c.recalled(ctx, u, q, got, until, f)
			return
		}
		now = c.now()
	}
	usable := e != nil && st < stateExpired // but older than q allows
	if c.settledUnasked(u, q, e, usable, now, f) {
		return
	}
	var notBefore time.Duration
	if q.MaxAge >= 0 {
		notBefore = now - q.MaxAge
	}
	switch {
	case usable:
		f.fwd = registry.ForwardRequest
	case e != nil && e.rec != nil:
		f.fwd = registry.ForwardStale
	}
	out, collapsed, ended := c.fetchNow(ctx, u, q.Name, wanted{disk: disk, notBefore: notBefore, seen: e}, until)
	switch {
	case (!ended || out.err != nil) && disk == diskLate && c.late(ctx, u, q, until, f):
	case !ended:
		err := &registry.UpstreamError{Registry: u.Name, Timeout: true, Err: errors.New("no answer within the lookup's time")}
		f.fail(err, 0)
		f.tooOld(usable)
	case out.err != nil:
		f.fwdStatus = out.err.Status
		f.fail(out.err, out.err.RetryAfter)
		f.tooOld(usable)
	case c.landed(u, out, f):
		f.collapsed = collapsed
		if q.MaxAge >= 0 && f.age > c.now()-notBefore {
			*f = found{fwd: f.fwd, fwdStatus: f.fwdStatus} // kept against the registry's answer
			f.fail(registry.ErrTooOld, 0)
		}
	default:
		f.fail(&registry.UpstreamError{Registry: u.Name, Err: errOverrun}, 0)
	}
}

// recalled answers from what a recall brought.
func (c *Cache) recalled(ctx context.Context, u *upstream, q *registry.Query, e *entry, until time.Duration, f *found) {
	now := c.now()
	st, age := c.view(u, e, now)
	e.used.Store(int64(now))
	young := q.MaxAge < 0 || age <= q.MaxAge && q.MaxAge > 0
	switch {
	case st == stateFresh && young:
		e.touch(now)
		f.serve(e, st, age)
		f.hit = true
	case st < stateExpired && young:
		c.stale(ctx, u, q, e, st, age, now, until, f)
	default:
		c.miss(ctx, u, q, e, st, now, until, f)
	}
}

// late serves what the disk brings after the registry was asked in vain; it
// reports whether there is something.
func (c *Cache) late(ctx context.Context, u *upstream, q *registry.Query, until time.Duration, f *found) bool {
	e, _ := c.recall(ctx, u, q.Name, true, until)
	if e == nil || e.rec == nil {
		return false
	}
	now := c.now()
	st, age := c.view(u, e, now)
	if st == stateExpired || q.MaxAge == 0 || q.MaxAge > 0 && age > q.MaxAge {
		return false
	}
	f.serveStale(e, st, age, now, registry.DetailSIE)
	return true
}

// settledUnasked answers a miss where the registry is not to be asked.
func (c *Cache) settledUnasked(u *upstream, q *registry.Query, e *entry, usable bool, now time.Duration, f *found) bool {
	if !usable && u.list.lacks(q.Name, now) {
		f.class, f.hit, f.index = classAbsent, true, u.list.indexNow()
		if e != nil {
			f.index = max(f.index, e.index)
		}
		f.details |= registry.DetailNegative
		return true
	}
	switch {
	case q.OnlyCached && usable:
		f.fail(registry.ErrTooOld, 0)
		return true
	case q.OnlyCached:
		f.fail(registry.ErrNotCached, 0)
		return true
	case u.failing(e, now):
		f.fail(e.failure, e.nextTry-now)
		f.tooOld(usable)
		return true
	}
	if in := u.guard.retryIn(now); in > time.Millisecond && (usable || c.opts.Cluster == nil || e != nil && e.known()) {
		f.fail(u.notAsked(in), in)
		f.tooOld(usable)
		return true
	}
	return false
}

func (f *found) fail(err error, retryIn time.Duration) {
	f.class, f.err, f.retryIn = classDown, err, max(retryIn, 0)
}

// tooOld says that an answer was at hand, but older than the query allows.
func (f *found) tooOld(usable bool) {
	if usable {
		f.err = errors.Join(registry.ErrTooOld, f.err)
	}
}

// answer returns f as the engine's answer.
func (f *found) answer(u *upstream) registry.Answer {
	return registry.Answer{Record: f.rec, Kind: u.Kind, Index: f.index, Age: f.age, TTL: f.ttl, Stale: f.stale,
		Hit: f.hit, Stored: f.stored, Collapsed: f.collapsed, Fwd: f.fwd, FwdStatus: f.fwdStatus, Details: f.details}
}

// outcome returns what the registry said, for problems.
func (f *found) outcome(name string) registry.Outcome {
	switch f.class {
	case classFound:
		return registry.Outcome{Registry: name, Outcome: "found"}
	case classAbsent:
		return registry.Outcome{Registry: name, Outcome: "absent"}
	}
	return registry.Outcome{Registry: name, Outcome: "down", Err: f.err}
}

// failure returns f, which is not found, as a lookup's error.
func (f *found) failure(name, registryName string) error {
	return &registry.LookupError{Name: strings.Clone(name), Err: f.sentinel(), RetryAfter: f.retryIn,
		Registries: []registry.Outcome{f.outcome(registryName)}}
}

// sentinel returns the error of the registry package that says why f is not
// found.
func (f *found) sentinel() error {
	if f.class == classAbsent {
		return registry.ErrNotFound
	}
	for _, s := range []error{registry.ErrTooOld, registry.ErrNotCached} {
		if errors.Is(f.err, s) {
			return s
		}
	}
	if up, ok := errors.AsType[*registry.UpstreamError](f.err); ok && up.Timeout {
		return registry.ErrRegistryTimeout
	}
	return registry.ErrRegistryFailed
}

package cache

import (
	"time"

	"github.com/edgecache/edgecache/registry"
)

// settleWith decides what a reply means for what is held, stores it and takes
// the flight off the table, all under the order lock: the next caller either
// joins this flight or finds its result.
func (f *flight) settleWith(c *Cache, r reply, have *registry.Record, began uint64) {
	u := f.up
	r.identify(u, f.key)
	c.order.Lock()
	if c.flights[f.key] == f {
		delete(c.flights, f.key)
	}
	held := c.mem.peek(f.key)
	f.out = c.settle(u, f.key, held, r, have, began)
	f.out.retries, f.out.copied = r.retries, r.copied
	c.scheduleLocked(u, f.out)
	c.order.Unlock()
	c.settled(u, f.key, held, f.out)
}

// settled tells subscribers and the refresher what was stored; u's watch
// begins with the first record.
func (c *Cache) settled(u *upstream, key registry.Key, held *entry, out outcome) {
	if !out.stored {
		c.scheduleAgain(u, key, out.err)
		return
	}
	if held == nil || held.index != out.entry.index {
		c.subs.notify(out.entry.key)
		if !u.can.List && (held == nil || held.rec == nil) != (out.entry.rec == nil) {
			c.seen(u)
		}
	}
	if out.entry.rec != nil {
		c.watchName(u, out.entry)
	}
}

// settle stores what follows from a reply, which was identified, to a fetch that
// began at a position. The order lock is held.
func (c *Cache) settle(u *upstream, key registry.Key, held *entry, r reply, have *registry.Record, began uint64) outcome {
	late := held != nil && held.known() && held.began > began
	switch {
	case r.err != nil && late:
		return outcome{err: r.err, result: "failed", fwdStatus: r.err.Status}
	case r.err != nil:
		return c.settleFailure(u, key, held, r)
	case r.same:
		if held == nil || held.rec == nil || held.rec.Hash() != have.Hash() {
			// What the registry confirmed was replaced meanwhile; the newer
			// one stands. If it was evicted, the confirmed one comes back.
			if held != nil && held.known() {
				return outcome{entry: held, result: "unchanged", fwdStatus: 304}
			}
			return c.settleRecord(u, key, held, r, have, began)
		}
		return c.settleRecord(u, key, held, r, held.rec, began)
	case r.absent:
		return c.settleAbsence(u, key, held, r, began)
	}
	rec := r.rec
	if len(rec.Instances) == 0 && !late && c.suspicious(u, held, r.received) {
		return c.keep(u, held, r, began)
	}
	rec = c.indexed(held, r)
	return c.settleRecord(u, key, held, r, rec, began)
}

// indexed returns the reply's record under the index that its content has here;
// what is held itself, if nothing of it changed.
func (c *Cache) indexed(held *entry, r reply) *registry.Record {
	rec := r.rec
	same := held != nil && held.rec != nil && held.rec.Hash() == r.hash
	switch {
	case same && held.rec.Revision == rec.Revision && held.rec.Wishes == rec.Wishes:
		return held.rec // its fragments are built
	case same && r.copied:
		return rec.WithIndex(held.rec.Index)
	case same:
		rec.SealHashed(held.rec.Index, r.hash)
	case r.copied && rec.Index > c.mem.forgotten.Load() && (held == nil || rec.Index > held.index):
		// It rises here too.
	case r.copied:
		return rec.WithIndex(c.clock.Next(r.hash))
	default:
		rec.SealHashed(c.clock.Next(r.hash), r.hash)
	}
	return rec
}

// settleRecord stores a sealed record.
func (c *Cache) settleRecord(u *upstream, key registry.Key, held *entry, r reply, rec *registry.Record, began uint64) outcome {
	n := &entry{doubts: &certain, key: key, rec: rec, index: rec.Index, began: began, size: charge(key, rec),
		windows: u.windowsOf(rec.Wishes), confirmed: r.asked}
	out := outcome{entry: n, result: "changed", fwdStatus: 200}
	if r.same {
		out.fwdStatus = 304
	}
	mode := max(c.gens.judge(key, rec.Tags, began), r.mode)
	n.mark.Store(uint32(mode))
	n.checked.Store(u.newest.Load())
	n.watch = u.confirms(key.Name, r)
	n.used.Store(int64(r.received))
	if held != nil {
		n.use(held)
	}
	if held != nil && held.rec != nil && held.rec.Index == rec.Index {
		out.result = "unchanged"
	}
	n.noteUntold(held, &r, out.result == "unchanged")
	switch {
	case mode == registry.ModeHard:
		return outcome{result: "failed", fwdStatus: out.fwdStatus}
	case held != nil && held.known() && held.began > began:
		// Something newer was stored meanwhile (a watch event, or a fetch
		// after an invalidation): callers from before may have this one.
		n.raise(registry.ModeSoft)
		return out
	case r.copied && held != nil && held.known() && held.mode() == registry.ModeNone && held.base() >= n.confirmed:
		out.entry, out.result = held, "kept"
		return out
	case held != nil && held.rec != nil && c.compareHeld(u, n, held, &r):
		return c.keepNewer(held, out, r.received)
	case rec.Wishes.NoStore && u.Overrides.TTL == nil:
		return out
	}
	if r.provisional {
		n.onProbation(0)
	}
	c.replace(held, n)
	out.stored = true
	return out
}

// noteUntold notes that the entry's content came by a fetch, or from a peer: a
// watch here that finds nothing new in it has not told the other nodes.
func (e *entry) noteUntold(held *entry, r *reply, unchanged bool) {
	switch {
	case r.watch != nil:
	case unchanged:
		e.flags.Store(held.flags.Load() & untold)
	default:
		e.flags.Store(untold)
	}
}

// confirms returns the watch that keeps an answer fresh: the one that said it,
// or one that was gap-free since before it was asked for.
func (u *upstream) confirms(name string, r reply) *watch {
	if r.watch != nil {
		return r.watch
	}
	if w := u.watchOf(name); w != nil && w.syncedBefore(r.asked) {
		return w
	}
	return nil
}

// Pauses before the registry is asked again whether an unchanged answer after
// an invalidation is the truth.
var provisionalPauses = [...]time.Duration{time.Second, 2 * time.Second, 4 * time.Second}

// compareHeld decides how far n, just fetched, is to be believed given what is
// held: it reports whether n is older by revision, and makes n provisional if
// an invalidation said that it changed and it did not.
func (c *Cache) compareHeld(u *upstream, n, held *entry, r *reply) (older bool) {
	cmp, comparable := n.rec.Revision.Compare(held.rec.Revision)
	comparable = comparable && held.began >= u.moved
	if comparable && cmp < 0 {
		if held.behind > 0 && r.received-held.behind >= u.policy.Empty.Grace {
			return false // the registry was reset: believed
		}
		return true
	}
	if r.copied {
		return false // whoever asked the registry decided it
	}
	invalidated := max(held.mode(), c.gens.covering(held.key, held.rec.Tags, held.began)) > registry.ModeNone
	unchanged := n.rec.Hash() == held.rec.Hash()
	if unchanged && (invalidated || held.provisional > 0) && !(comparable && cmp > 0) {
		step := held.provisional
		if invalidated {
			step = 0
		}
		n.onProbation(step)
	}
	return false
}

// onProbation has the registry asked again soon, so many times less.
func (e *entry) onProbation(step int) {
	if step < len(provisionalPauses) {
		e.doubt()
		e.provisional = step + 1
		e.ttl = min(e.ttl, time.Second)
	}
}

// unconfirmed returns a copy of e that a watch no longer confirms: the registry
// answered, and said something else.
func (e *entry) unconfirmed() *entry {
	n := e.succeed()
	n.confirmed, n.watch = e.base(), nil
	n.doubt()
	n.failure, n.fails = nil, 0
	return n
}

// behindPause is the time between questions to a registry that answers older
// than what is held.
const behindPause = time.Second

// keepNewer keeps what is held against an older answer of a lagging server.
func (c *Cache) keepNewer(held *entry, out outcome, now time.Duration) outcome {
	n := held.unconfirmed()
	if n.behind == 0 {
		n.behind = max(now, 1)
	}
	n.nextTry = now + behindPause
	c.replace(held, n)
	out.entry, out.result, out.stored = n, "kept", true
	return out
}

// suspicious reports whether an empty or vanished answer must be confirmed
// before it replaces what is held.
func (c *Cache) suspicious(u *upstream, held *entry, now time.Duration) bool {
	if held == nil || held.rec == nil || len(held.rec.Instances) == 0 || u.can.PushEmpty {
		return false
	}
	// Whoever invalidated knew of a change, and the registry was reached.
	if held.deleted || max(held.mode(), c.gens.covering(held.key, held.rec.Tags, held.began)) >= registry.ModeVerify {
		return false
	}
	if now-held.base() > held.sie {
		return false // what is held may not be served any more
	}
	empty := u.policy.Empty
	return held.empties+1 < empty.Confirm || now-held.emptySince < empty.Grace && held.empties > 0 ||
		held.empties == 0 && empty.Grace > 0
}

// keep counts an unconfirmed empty answer, fetched from a position on, and
// keeps what is held.
func (c *Cache) keep(u *upstream, held *entry, r reply, began uint64) outcome {
	n := held.unconfirmed()
	if held.began >= u.moved {
		n.began = max(held.began, began)
		n.mark.Store(uint32(c.gens.judge(held.key, held.rec.Tags, n.began)))
	}
	if n.empties == 0 {
		n.emptySince = r.received
	}
	n.empties++
	n.nextTry = r.received + u.policy.Empty.pause()
	c.replace(held, n)
	return outcome{entry: n, result: "kept", stored: true, fwdStatus: 200}
}

// pause is the time between questions while an empty answer is unconfirmed.
func (e Empty) pause() time.Duration {
	return max(e.Grace/time.Duration(e.Confirm), 10*time.Millisecond)
}

// settleAbsence stores a proof of absence.
func (c *Cache) settleAbsence(u *upstream, key registry.Key, held *entry, r reply, began uint64) outcome {
	late := held != nil && held.known() && held.began > began
	if !r.meant && !late && c.suspicious(u, held, r.received) {
		out := c.keep(u, held, r, began)
		out.fwdStatus = 404
		return out
	}
	n := &entry{doubts: &certain, key: key, began: began, size: charge(key, nil), windows: u.absence(), confirmed: r.asked}
	out := outcome{entry: n, result: "absent", fwdStatus: 404}
	n.mark.Store(uint32(max(c.gens.judge(key, nil, began), r.mode)))
	n.checked.Store(u.newest.Load())
	n.watch = u.confirms(key.Name, r)
	if held != nil {
		n.use(held)
	}
	if late {
		n.raise(registry.ModeSoft)
		return out // something newer was stored meanwhile
	}
	n.noteUntold(held, &r, held != nil && held.absent())
	if held != nil && held.absent() {
		n.index = held.index
	} else {
		n.index = c.clock.Next(0)
	}
	if n.mode() == registry.ModeNone {
		c.replace(held, n)
		out.stored = true
	}
	return out
}

// settleFailure notes a failure beside what is held, and when to try again. A
// call that was not made, or that we gave up, says nothing of the key.
func (c *Cache) settleFailure(u *upstream, key registry.Key, held *entry, r reply) outcome {
	out := outcome{err: r.err, result: "failed", fwdStatus: r.err.Status}
	if r.err.Harmless {
		return out
	}
	var n *entry
	if held != nil {
		n = held.succeed()
	} else {
		n = &entry{doubts: &certain, key: key, size: charge(key, nil)}
	}
	n.doubt()
	n.searched = n.rec == nil && (n.searched || r.searched)
	n.failure, n.failedAt = r.err, r.received
	n.fails++
	n.nextTry = r.received + max(backoff(u.policy.Recheck, n.fails), r.err.RetryAfter)
	c.replace(held, n)
	out.entry, out.stored = n, true
	return out
}

package cache

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// A nameList is what one registry lists.
type nameList struct {
	snap   atomic.Pointer[nameSnapshot] // nil: never listed
	sign   atomic.Int64                 // cache time of the last sign of life of its watch
	live   atomic.Bool                  // a watch of the list is gap-free
	void   atomic.Uint64                // position of the newest invalidation that covers the list
	listed atomic.Uint64                // position before the newest list was asked for

	mu        sync.Mutex    // protects the fields below
	loading   chan struct{} // closed when the load under way ends; nil: none is
	empties   int           // unconfirmed empty lists in a row
	since     time.Duration // of the first of them
	nextTry   time.Duration
	fails     int
	seenIndex uint64 // of a registry that cannot list: when the names seen last changed
}

// A nameSnapshot is one complete list, immutable.
type nameSnapshot struct {
	names     []string // in byte order
	set       map[string]struct{}
	index     uint64
	confirmed time.Duration
}

// lacks reports whether a live complete list proves that the name is absent.
func (l *nameList) lacks(name string, now time.Duration) bool {
	if !l.live.Load() || l.void.Load() > l.listed.Load() || now-time.Duration(l.sign.Load()) > listInterval {
		return false
	}
	s := l.snap.Load()
	if s == nil {
		return false
	}
	_, ok := s.set[name]
	return !ok
}

// listInterval is how long after its last sign of life a list watch counts.
const listInterval = 2 * time.Minute

func (l *nameList) indexNow() uint64 {
	if s := l.snap.Load(); s != nil {
		return s.index
	}
	return 0
}

// age returns how old the list is, and whether it is fresh.
func (l *nameList) age(s *nameSnapshot, ttl, now time.Duration) (time.Duration, bool) {
	base := s.confirmed
	live := l.live.Load() && now-time.Duration(l.sign.Load()) <= listInterval
	if live {
		base = max(base, time.Duration(l.sign.Load()))
	}
	return max(now-base, 0), (live || now-base <= ttl) && l.void.Load() <= l.listed.Load()
}

// followList runs the watch of a registry's list until the cache closes or a
// reload replaces the registry.
func (c *Cache) followList(u *upstream) {
	watcher := u.Source.(registry.ListWatcher)
	for fails := 0; u.ctx.Err() == nil; {
		if in := u.guard.retryIn(c.now()); in > 0 {
			if !pause(u.ctx, in+jittered(u.policy.Recheck.Min)) {
				return
			}
		}
		if ok, _ := u.guard.allow(c.now()); !ok {
			continue
		}
		began := c.position()
		emit := func(names []string) {
			now := c.now()
			fails = 0
			u.guard.alive(now)
			u.list.sign.Store(int64(now))
			if names != nil {
				u.list.live.Store(c.listed(u, names, now, began))
			}
			began = c.position()
		}
		_, err := guarded(c, u, func() (struct{}, error) { return struct{}{}, watcher.WatchList(u.ctx, emit) })
		u.list.live.Store(false)
		if u.ctx.Err() != nil {
			return
		}
		fails++
		c.watchFailed(u, err)
		if !pause(u.ctx, backoff(u.policy.Recheck, fails)) {
			return
		}
	}
}

// listed takes a complete list; it reports whether the list was believed.
func (c *Cache) listed(u *upstream, asked []string, now time.Duration, began uint64) bool {
	names := make([]string, 0, len(asked))
	for _, a := range asked {
		if n, ok := u.localName(a); ok {
			names = append(names, strings.Clone(n))
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	l := &u.list
	l.mu.Lock()
	old := l.snap.Load()
	if old != nil && len(old.names) > 0 && len(names) == 0 && !u.can.PushEmpty && !l.emptyLocked(u.policy.Empty, now) {
		l.mu.Unlock()
		return false
	}
	l.empties = 0
	n := &nameSnapshot{names: names, confirmed: now}
	changed := old == nil || !slices.Equal(old.names, names)
	if changed {
		n.set = make(map[string]struct{}, len(names))
		for _, name := range names {
			n.set[name] = struct{}{}
		}
		n.index = c.clock.Next(uint64(len(names)))
	} else {
		n.names, n.set, n.index = old.names, old.set, old.index
	}
	l.snap.Store(n)
	l.listed.Store(max(began, l.listed.Load()))
	l.mu.Unlock()
	if changed {
		c.listChanged(u, old, n)
	}
	return true
}

// emptyLocked counts an empty list and reports whether to believe it.
func (l *nameList) emptyLocked(e Empty, now time.Duration) bool {
	if l.empties == 0 {
		l.since = now
	}
	l.empties++
	l.nextTry = now + e.pause()
	return l.empties >= e.Confirm && now-l.since >= e.Grace
}

// listChanged asks again for what appeared or vanished, if it is held, and
// tells those who follow.
func (c *Cache) listChanged(u *upstream, old, n *nameSnapshot) {
	var had map[string]struct{}
	if old != nil {
		had = old.set
		for _, name := range old.names {
			if _, ok := n.set[name]; !ok {
				c.appearedOrGone(u, name, true)
			}
		}
	}
	for _, name := range n.names {
		if _, ok := had[name]; !ok && old != nil {
			c.appearedOrGone(u, name, false)
		}
	}
	c.subs.notifyList(u.Name)
}

// appearedOrGone makes an entry that a list contradicts stale and asks for it.
func (c *Cache) appearedOrGone(u *upstream, name string, gone bool) {
	key := registry.Key{Registry: u.Name, Name: name}
	c.order.Lock()
	held := c.mem.peek(key)
	contradicted := held != nil && (held.rec != nil) == gone
	if contradicted || c.flights[key] != nil {
		position := c.gens.next()
		c.gens.raiseKey(key, registry.ModeSoft, position)
		c.voidLocked(key)
		c.tell(key, position, registry.Revision{})
	}
	if contradicted {
		held.raise(registry.ModeSoft)
	}
	c.order.Unlock()
	follows := c.subs.follows(key)
	if contradicted && (follows || held.rec != nil) {
		c.fetchSoon(u, name, whatever)
	}
	if follows && !contradicted {
		c.subs.notify(key)
	}
}

// loadList asks for the list unless it is being asked for, and waits for that
// until the given cache time.
func (c *Cache) loadList(ctx context.Context, u *upstream, until time.Duration) {
	l := &u.list
	l.mu.Lock()
	done, begins := l.loading, l.loading == nil
	if begins && c.now() < l.nextTry && (l.fails > 0 || l.empties > 0) {
		l.mu.Unlock()
		return
	}
	if begins {
		done = make(chan struct{})
		l.loading = done
	}
	l.mu.Unlock()
	if begins && !c.spawn(func() { c.runListLoad(u, done) }) {
		return // closed
	}
	left := until - c.now()
	if left <= 0 {
		return
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-ctx.Done():
	case <-c.ctx.Done():
	}
}

func (c *Cache) runListLoad(u *upstream, done chan struct{}) {
	l := &u.list
	began := c.position()
	asked := c.now()
	names, err := c.askList(u)
	l.mu.Lock()
	l.loading = nil
	if err != nil {
		l.fails++
		l.nextTry = c.now() + max(backoff(u.policy.Recheck, l.fails), err.RetryAfter)
	} else {
		l.fails = 0
	}
	l.mu.Unlock()
	if err == nil {
		c.listed(u, names, asked, began)
	}
	close(done)
}

// askList makes one call for the list under the guard.
func (c *Cache) askList(u *upstream) ([]string, *registry.UpstreamError) {
	if ok, in := u.guard.allow(c.now()); !ok {
		return nil, u.notAsked(in)
	}
	ctx, cancel := context.WithTimeout(c.ctx, u.Timeout)
	defer cancel()
	if err := u.guard.wait(ctx); err != nil {
		up := &registry.UpstreamError{Registry: u.Name, Err: err, Harmless: true}
		u.guard.done(c.now(), up)
		return nil, up
	}
	names, err := guarded(c, u, func() ([]string, error) { return u.Source.(registry.Lister).List(ctx) })
	var up *registry.UpstreamError
	if err != nil {
		up = c.upstreamError(ctx, u, err)
	}
	u.guard.done(c.now(), up)
	return names, up
}

package cache

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// A watch follows one name of a registry, or all of them.
type watch struct {
	up     *upstream
	name   string // "": all
	cancel context.CancelFunc

	sign   atomic.Int64 // cache time of the last sign of life
	synced atomic.Int64 // cache time since when it is gap-free; 0: it is not

	// Of the goroutine that runs the watch.
	began uint64              // position before which what it says may have been read
	seen  map[string]struct{} // named since the last list was complete
	told  int                 // names told of, though nothing changed here, before the first list was complete
}

// lastSign returns when the watch last confirmed what it covers.
func (w *watch) lastSign() time.Duration { return time.Duration(w.sign.Load()) }

// interval is the longest time between two signs of life.
func (w *watch) interval() time.Duration {
	if w.up.can.Interval > 0 {
		return w.up.can.Interval
	}
	return time.Minute
}

// live reports whether the watch is gap-free and gave a sign of life within
// twice its interval.
func (w *watch) live(now time.Duration) bool {
	return w.synced.Load() > 0 && now-w.lastSign() <= 2*w.interval()
}

// left returns for how much longer the watch counts as live.
func (w *watch) left(now time.Duration) time.Duration { return w.lastSign() + 2*w.interval() - now }

// syncedBefore reports whether the watch has been gap-free since before at.
func (w *watch) syncedBefore(at time.Duration) bool {
	s := time.Duration(w.synced.Load())
	return s > 0 && s <= at
}

const allNames = ""

// watchOf returns the watch that covers a name, or nil.
func (u *upstream) watchOf(name string) *watch {
	if !u.can.Watch || !u.Watch {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.can.WatchAll {
		name = allNames
	}
	return u.watches[name]
}

func (u *upstream) watchCount() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.watches)
}

// watchName begins to follow the name of an entry, once.
func (c *Cache) watchName(u *upstream, e *entry) {
	if !u.can.Watch || !u.Watch || u.can.WatchAll || !c.owns(u, e.key.Name) {
		return
	}
	c.startWatch(u, e.key.Name)
}

func (c *Cache) watchAll(u *upstream) { c.startWatch(u, allNames) }

func (c *Cache) startWatch(u *upstream, name string) {
	u.mu.Lock()
	if u.watches[name] != nil || u.closed {
		u.mu.Unlock()
		return
	}
	ctx, cancel := context.WithCancel(u.ctx)
	w := &watch{up: u, name: name, cancel: cancel}
	u.watches[name] = w
	u.mu.Unlock()
	started := c.spawn(func() {
		defer cancel()
		c.follow(ctx, w)
	})
	if !started {
		u.endWatch(w)
	}
}

// endWatch stops a watch for good; its entries live on their TTL.
func (u *upstream) endWatch(w *watch) {
	u.mu.Lock()
	delete(u.watches, w.name)
	u.mu.Unlock()
	w.synced.Store(0)
	w.cancel()
}

// follow runs a watch and starts it again after each end, until ctx ends.
func (c *Cache) follow(ctx context.Context, w *watch) {
	u := w.up
	watcher := u.Source.(registry.Watcher)
	var names []string
	if w.name != allNames {
		names = []string{u.upstreamName(w.name)}
	}
	for fails := 0; ctx.Err() == nil; {
		if in := u.guard.retryIn(c.now()); in > 0 {
			// One probe at a time: lookups make it, or the first watch to wake.
			if !pause(ctx, in+jittered(u.policy.Recheck.Min)) {
				return
			}
		}
		if ok, _ := u.guard.allow(c.now()); !ok {
			continue
		}
		w.seen = map[string]struct{}{}
		w.began, w.told = c.position(), 0
		started := c.now()
		emit := func(ev registry.Event) {
			u.guard.alive(c.now())
			c.watched(w, ev)
		}
		_, err := guarded(c, u, func() (struct{}, error) {
			return struct{}{}, watcher.Watch(ctx, registry.Revision{}, names, emit)
		})
		lasted := w.synced.Swap(0) > 0
		if ctx.Err() != nil {
			return
		}
		if lasted && c.now()-started > u.policy.Recheck.Max {
			fails = 0
		}
		fails++
		c.watchFailed(u, err)
		if !pause(ctx, backoff(u.policy.Recheck, fails)) {
			return
		}
	}
}

// watchFailed reports the end of a watch to the guard.
func (c *Cache) watchFailed(u *upstream, err error) {
	if err == nil {
		err = errors.New("the watch ended")
	}
	up := c.upstreamError(c.ctx, u, err)
	u.guard.done(c.now(), up)
}

// pause waits; it reports whether d passed before ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// watched applies one event.
func (c *Cache) watched(w *watch, ev registry.Event) {
	u := w.up
	c.stats.watchEvents.Add(1)
	now := c.now()
	began := w.began
	switch ev.Kind {
	case registry.EventUpsert, registry.EventDelete:
		name, ok := u.localName(ev.Name)
		if !ok || w.name != allNames && name != w.name {
			return
		}
		if ev.Kind == registry.EventDelete {
			c.vanished(w, name, ev.Deliberate, now, began)
			break
		}
		w.seen[name] = struct{}{}
		c.offer(u, w, name, ev.Record, now, began)
	case registry.EventSynced:
		c.synced(w, now, began)
	}
	if w.synced.Load() > 0 {
		w.sign.Store(int64(now))
	}
	w.began = c.position()
}

// position returns the position of the newest invalidation applied.
func (c *Cache) position() uint64 {
	c.order.Lock()
	defer c.order.Unlock()
	return c.gens.position
}

// synced ends a list: what it did not name is gone, and from now on the watch
// is gap-free.
func (c *Cache) synced(w *watch, now time.Duration, began uint64) {
	u := w.up
	seen := w.seen
	w.seen = map[string]struct{}{} // a reset may begin another list
	switch {
	case w.name != allNames:
		if _, ok := seen[w.name]; !ok {
			c.vanished(w, w.name, u.can.PushEmpty, now, began)
		}
	default:
		for e := range c.mem.all() {
			if _, ok := seen[e.key.Name]; !ok && e.key.Registry == u.Name && e.rec != nil {
				c.vanished(w, e.key.Name, u.can.PushEmpty, now, began)
			}
		}
	}
	w.sign.Store(int64(now))
	w.synced.Store(int64(max(now, 1)))
}

// offer stores a record that a watch saw, if it is not older than what is
// held. A change takes a position: a fetch that began before it cannot bring
// the old content back.
func (c *Cache) offer(u *upstream, w *watch, name string, rec *registry.Record, now time.Duration, began uint64) {
	if rec == nil {
		return
	}
	key := registry.Key{Registry: u.Name, Name: name}
	r := reply{rec: rec, asked: now, received: now, watch: w}
	r.identify(u, key)
	c.order.Lock()
	held := c.mem.peek(key)
	if c.retired(u) {
		c.order.Unlock()
		return
	}
	if held == nil && w != nil && w.name == allNames && c.flights[key] == nil && !c.subs.follows(key) {
		if c.tellsOf(w, nil) {
			c.changedLocked(key, rec.Tags, rec.Revision, began)
		}
		c.order.Unlock()
		return // nobody here asked for it yet; a lookup fetches it
	}
	changed := held == nil || held.rec == nil || held.rec.Hash() != r.hash
	older := held != nil && held.rec != nil && held.began >= u.moved && olderThan(rec, held.rec)
	if !older && (changed || c.tellsOf(w, held)) {
		began = c.changedLocked(key, rec.Tags, rec.Revision, began)
	}
	out := c.settle(u, key, held, r, nil, began)
	c.scheduleLocked(u, out)
	if changed && !out.stored {
		c.contradictLocked(held, false)
	}
	c.order.Unlock()
	c.settled(u, key, held, out)
}

// contradictLocked handles an entry that a watch contradicted with something
// that was not stored, since an invalidation covers it: the watch confirms the
// entry no longer, and the next lookup asks.
func (c *Cache) contradictLocked(held *entry, deleted bool) {
	if held == nil || c.mem.peek(held.key) != held {
		return
	}
	n := held.unconfirmed()
	n.deleted = n.deleted || deleted
	n.raise(registry.ModeSoft)
	c.put(n)
}

func olderThan(rec, held *registry.Record) bool {
	cmp, ok := rec.Revision.Compare(held.Revision)
	return ok && cmp < 0
}

// vanished handles a name that a watch no longer sees. Unless the registry
// said so deliberately, it must be confirmed like any empty answer.
func (c *Cache) vanished(w *watch, name string, deliberate bool, now time.Duration, began uint64) {
	u := w.up
	key := registry.Key{Registry: u.Name, Name: name}
	c.order.Lock()
	held := c.mem.peek(key)
	if c.retired(u) {
		c.order.Unlock()
		return
	}
	if held == nil || held.rec == nil {
		if c.flights[key] != nil || c.tellsOf(w, held) {
			c.changedLocked(key, nil, registry.Revision{}, began) // it may have read what vanished
		}
		c.order.Unlock()
		return
	}
	if deliberate {
		began = c.changedLocked(key, held.rec.Tags, registry.Revision{}, began)
	}
	r := reply{absent: true, meant: deliberate, asked: now, received: now, watch: w}
	out := c.settleAbsence(u, key, held, r, began)
	c.scheduleLocked(u, out)
	if !out.stored {
		c.contradictLocked(held, deliberate)
	}
	c.order.Unlock()
	c.settled(u, key, held, out)
	if deliberate && !out.stored {
		c.fetchSoon(u, name, whatever) // what it finds is believed
	}
}

package cache

import (
	"container/heap"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// refreshAhead starts one fetch for an entry that is in use and about to go
// stale.
func (c *Cache) refreshAhead(u *upstream, e *entry, now time.Duration) {
	if e.flags.Load()&refreshBegun != 0 || u.guard.open.Load() || u.failing(e, now) || e.flags.Or(refreshBegun)&refreshBegun != 0 {
		return
	}
	c.stats.refreshes.Add(1)
	c.fetchSoon(u, e.key.Name, e)
}

// A refresher asks registries in the background: for what is in use and about
// to go stale, for what somebody follows, and again for what was not settled
// by the last answer.
type refresher struct {
	c    *Cache
	wake chan struct{} // holds one value: the earliest time changed

	mu   sync.Mutex // protects the fields below
	due  dueHeap
	most int // items before void ones are taken out
}

// A dueItem is void unless its time is the due time of the key's entry.
type dueItem struct {
	at  time.Duration
	key registry.Key
}

type dueHeap []dueItem

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(dueItem)) }
func (h *dueHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

func (r *refresher) init(c *Cache) {
	r.c = c
	r.wake = make(chan struct{}, 1)
	r.most = leastItems
}

// schedule puts what is held of a key on the refresher's list, unless it is
// there with an earlier time: then it is put back when that comes.
func (c *Cache) schedule(u *upstream, key registry.Key) {
	c.order.Lock()
	defer c.order.Unlock()
	if e := c.mem.peek(key); e != nil {
		c.scheduleLocked(u, outcome{entry: e, stored: true})
	}
}

// scheduleLocked is schedule for what was just stored, if anything was.
func (c *Cache) scheduleLocked(u *upstream, out outcome) {
	if out.stored {
		now := c.now()
		c.refresher.advance(out.entry, max(c.dueAt(u, out.entry), now+leastPause), now)
	}
}

// scheduleAgain puts an entry whose fetch changed nothing back on the list:
// the fetch was not made, was given up or came too late.
func (c *Cache) scheduleAgain(u *upstream, key registry.Key, err *registry.UpstreamError) {
	c.order.Lock()
	defer c.order.Unlock()
	if e := c.mem.peek(key); e != nil {
		now := c.now()
		wait := jittered(u.policy.Recheck.Min)
		if err != nil {
			wait = max(wait, err.RetryAfter)
		}
		c.refresher.advance(e, max(c.dueAt(u, e), now+wait), now)
	}
}

// leastPause is the shortest time between two visits to an entry.
const leastPause = 10 * time.Millisecond

// advance makes the entry due at the given time unless it is due before. The
// order lock is held.
func (r *refresher) advance(e *entry, at, now time.Duration) {
	if due := time.Duration(e.due.Load()); due <= now || due > at {
		r.put(e, at)
	}
}

// put makes the entry due at the given time. The order lock is held.
func (r *refresher) put(e *entry, at time.Duration) {
	e.due.Store(int64(at))
	r.add(dueItem{at, e.key})
}

func (r *refresher) add(item dueItem) {
	r.mu.Lock()
	if len(r.due) >= r.most {
		r.makeRoomLocked()
	}
	r.due = append(r.due, item) // heap.Push would put it into an interface
	heap.Fix(&r.due, len(r.due)-1)
	first := r.due[0] == item
	r.mu.Unlock()
	if first {
		select {
		case r.wake <- struct{}{}:
		default: // a wake-up is pending already
		}
	}
}

// leastItems is how many items the list holds before void ones are looked for.
const leastItems = 4096

// makeRoomLocked takes void items out once they must be the most: an entry whose
// time moves often leaves one behind each time.
func (r *refresher) makeRoomLocked() {
	entries := r.c.mem.entries()
	if r.most = leastItems + 2*entries; len(r.due) < r.most {
		return
	}
	r.due = slices.DeleteFunc(r.due, func(i dueItem) bool {
		e := r.c.mem.peek(i.key)
		return e == nil || time.Duration(e.due.Load()) != i.at
	})
	heap.Init(&r.due)
}

// dueAt returns when an entry deserves the refresher's attention.
func (c *Cache) dueAt(u *upstream, e *entry) time.Duration {
	switch {
	case e.fails > 0, e.empties > 0, e.behind > 0:
		return e.nextTry
	case e.provisional > 0:
		return e.confirmed + provisionalPauses[e.provisional-1]
	case e.mode() > registry.ModeNone:
		return 0 // it was invalidated while it was fetched
	case e.watch != nil && e.watch.live(c.now()):
		return e.confirmed + max(e.ttl, e.watch.interval())
	case e.rec == nil:
		return e.confirmed + e.ttl
	}
	return e.confirmed + e.ttl - time.Duration(float64(e.ttl)*float64(u.policy.RefreshAhead))
}

// run serves the list until the cache closes.
func (r *refresher) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := r.c.now()
		r.mu.Lock()
		var due []dueItem
		for len(r.due) > 0 && r.due[0].at <= now {
			due = append(due, heap.Pop(&r.due).(dueItem))
		}
		next := time.Hour
		if len(r.due) > 0 {
			next = r.due[0].at - now
		}
		r.mu.Unlock()
		for _, item := range due {
			r.visit(item, now)
		}
		timer.Reset(next)
		select {
		case <-r.c.ctx.Done():
			return
		case <-timer.C:
		case <-r.wake:
		}
	}
}

// visit fetches an entry whose time has come, if anybody wants it.
func (r *refresher) visit(item dueItem, now time.Duration) {
	c, k := r.c, item.key
	u := c.ups.Load().byName[k.Registry]
	if u == nil || u.merges() {
		return
	}
	if e := c.mem.peek(k); e != nil {
		c.view(u, e, now) // brings its mark up to date
	}
	if r.wanted(u, item, now) {
		c.stats.refreshes.Add(1)
		c.fetchSoon(u, k.Name, whatever)
	}
}

// wanted reports whether the item's entry is to be fetched now. One that is to
// be looked at later is put back.
func (r *refresher) wanted(u *upstream, item dueItem, now time.Duration) bool {
	c := r.c
	c.order.Lock()
	defer c.order.Unlock()
	e := c.mem.peek(item.key)
	if e == nil || time.Duration(e.due.Load()) != item.at {
		return false
	}
	if at := c.dueAt(u, e); at > now {
		r.put(e, at) // confirmed meanwhile
		return false
	}
	// What is too old to be served is nobody's last good any more.
	unsettled := (e.empties > 0 || e.behind > 0 || e.provisional > 0) && now-e.base() <= e.sie
	inUse := e.rec != nil && u.policy.RefreshAhead > 0 && now-time.Duration(e.used.Load()) <= e.ttl
	if !unsettled && !inUse && !c.subs.follows(item.key) {
		e.due.Store(0)
		return false
	}
	if e.watch != nil && e.watch.live(now) && e.mode() == registry.ModeNone && !unsettled {
		r.put(e, now+max(e.ttl, e.watch.interval()))
		return false
	}
	if in := u.guard.retryIn(now); in > time.Millisecond {
		r.put(e, now+max(in, jittered(u.policy.Recheck.Min)))
		return false
	}
	e.due.Store(0)
	return true
}

// refreshNow fetches one key, no matter how fresh it is, and reports how that
// went.
func (c *Cache) refreshNow(ctx context.Context, u *upstream, name string) registry.ReportItem {
	began := c.now()
	item := registry.ReportItem{Name: name, Registry: u.Name}
	out, _, ended := c.fetchNow(ctx, u, name, wanted{notBefore: began, direct: true, seen: whatever}, began+u.fillBudget())
	item.ElapsedMS = milliseconds(c.now() - began)
	switch {
	case !ended:
		item.Result, item.Error = "failed", "no answer in time"
	case out.err != nil:
		item.Result, item.Error, item.Retries = "failed", out.err.Error(), out.retries
	default:
		item.Result, item.Retries = out.result, out.retries
	}
	return item
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

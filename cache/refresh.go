package cache

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// refreshAhead starts one fetch for an entry that is in use and about to go
// stale.
func (c *Cache) refreshAhead(u *upstream, e *entry, now time.Duration) {
	if e.refreshing.Load() || u.guard.open.Load() || u.failing(e, now) || !e.refreshing.CompareAndSwap(false, true) {
		return
	}
	c.stats.refreshes.Add(1)
	c.fetchSoon(u, e.key.Name)
}

// A refresher asks registries in the background: for what is in use and about
// to go stale, for what somebody follows, and again for what was not settled
// by the last answer.
type refresher struct {
	c    *Cache
	wake chan struct{} // holds one value: the earliest time changed

	mu  sync.Mutex // protects due
	due dueHeap
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
}

// schedule puts an entry just stored on the refresher's list, unless it is
// there with an earlier time: then it is put back when that comes.
func (c *Cache) schedule(u *upstream, e *entry) {
	now := c.now()
	at := max(c.dueAt(u, e), now+leastPause)
	if due := time.Duration(e.due.Load()); due > now && due <= at {
		return
	}
	c.refresher.put(e, at)
}

// leastPause is the shortest time between two visits to an entry.
const leastPause = 10 * time.Millisecond

func (r *refresher) put(e *entry, at time.Duration) {
	e.due.Store(int64(at))
	r.add(dueItem{at, e.key})
}

func (r *refresher) add(item dueItem) {
	r.mu.Lock()
	heap.Push(&r.due, item)
	first := r.due[0] == item
	r.mu.Unlock()
	if first {
		select {
		case r.wake <- struct{}{}:
		default: // a wake-up is pending already
		}
	}
}

// dueAt returns when an entry deserves the refresher's attention.
func (c *Cache) dueAt(u *upstream, e *entry) time.Duration {
	switch {
	case e.fails > 0, e.empties > 0, e.behind > 0:
		return e.nextTry
	case e.provisional > 0:
		return e.confirmed + provisionalPauses[e.provisional-1]
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
	e := c.mem.peek(k)
	if u == nil || u.merges() || e == nil || time.Duration(e.due.Load()) != item.at {
		return
	}
	if at := c.dueAt(u, e); at > now {
		r.put(e, at) // confirmed meanwhile
		return
	}
	unsettled := e.empties > 0 || e.behind > 0 || e.provisional > 0
	inUse := e.rec != nil && u.policy.RefreshAhead > 0 && e.used.Load() > 0 && now-time.Duration(e.used.Load()) <= e.ttl
	if !unsettled && !inUse && !c.subs.follows(k) {
		e.due.Store(0)
		return
	}
	if st, _ := c.view(u, e, now); st == stateFresh && e.watch != nil && e.watch.live(now) && !unsettled {
		r.put(e, now+max(e.ttl, e.watch.interval()))
		return
	}
	if in := u.guard.retryIn(now); in > time.Millisecond {
		r.put(e, now+in)
		return
	}
	c.stats.refreshes.Add(1)
	e.due.Store(0)
	c.fetchSoon(u, k.Name)
}

// refreshNow fetches one key, no matter how fresh it is, and reports how that
// went.
func (c *Cache) refreshNow(ctx context.Context, u *upstream, name string) registry.ReportItem {
	began := c.now()
	item := registry.ReportItem{Name: name, Registry: u.Name}
	out, _, ended := c.fetchNow(ctx, u, name, began, began+u.fillBudget())
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

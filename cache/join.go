package cache

import (
	"context"
	"strings"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// join returns the flight that fetches a key, starting it if there is none.
// A flight that started before notBefore is returned with ok false: the caller
// waits for its end and joins again. The caller leaves what it joined.
func (c *Cache) join(ctx context.Context, u *upstream, name string, w wanted) (f *flight, collapsed, ok bool) {
	key := registry.Key{Registry: u.Name, Name: name}
	c.order.Lock()
	defer c.order.Unlock()
	if f := c.flights[key]; f != nil {
		f.waiters++
		return f, true, f.started >= w.notBefore && (f.direct || w.notBefore == 0)
	}
	if held := c.mem.peek(key); w.seen != whatever && held != nil && held != w.seen && w.notBefore == 0 && c.lastsLocked(held) {
		f = &flight{up: u, key: held.key, done: make(chan struct{}), waiters: 1, direct: true, cancel: func() {}, out: outcome{entry: held}}
		close(f.done) // one that ended since the caller looked
		return f, true, true
	}
	key.Name = strings.Clone(name)
	f = &flight{up: u, key: key, began: c.gens.position, started: c.now(), done: make(chan struct{}), waiters: 1, disk: w.disk}
	current := c.ups.Load().byName[u.Name]
	if c.closed || current == nil || current.merges() {
		f.out.err = &registry.UpstreamError{Registry: u.Name, Err: errClosed, Harmless: true}
		close(f.done)
		f.cancel = func() {}
		return f, false, true
	}
	u, f.up = current, current // the caller may have it from before a reload
	f.direct = w.direct || w.notBefore > 0 || c.opts.Cluster == nil || !c.opts.Cluster.Synced() || c.owns(u, name)
	u.calls.Add(1)
	h := c.holding(f)
	budget := u.fillBudget()
	if !f.direct {
		budget *= 2 // for a peer and then the registry
	}
	flying, cancel := context.WithTimeout(context.WithoutCancel(ctx), budget)
	unhook := context.AfterFunc(c.ctx, cancel)
	f.cancel = cancel
	c.flights[key] = f
	c.wg.Go(func() {
		defer func() { unhook(); cancel(); u.calls.Done() }()
		c.run(flying, f, h)
	})
	return f, false, true
}

// wanted is what the caller of a flight wants.
type wanted struct {
	disk      diskAnswer    // what it knows of the disk
	notBefore time.Duration // the flight must not have started before
	direct    bool          // the flight asks the registry itself
	seen      *entry        // what it saw in memory: newer will do; whatever: it will not
}

var whatever = new(entry)

// lastsLocked reports whether an entry is fresh by its age, and nothing covers
// it.
func (c *Cache) lastsLocked(e *entry) bool {
	return e.known() && e.doubts == &certain && c.now()-e.confirmed < e.ttl &&
		max(e.mode(), c.gens.covering(e.key, tagsOf(e.rec), e.began)) == registry.ModeNone
}

// leave takes a caller off a flight. A voided flight that nobody waits for is
// cancelled: its result would not be used. Any other one goes on.
func (c *Cache) leave(f *flight) {
	c.order.Lock()
	f.waiters--
	abandoned := f.voided && f.waiters == 0
	c.order.Unlock()
	if abandoned {
		f.cancel()
	}
}

package cache

import (
	"context"
	"errors"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// Copies of records that nodes give each other. The sender reads what it has
// logged first and then what it holds; so a copy is valid under all of that.
// The receiver takes it for fetched before the first invalidation that it
// applied and the sender had not logged.

// Copy returns what is held of a key, for a peer; ok is false if there is
// nothing that may be served.
func (c *Cache) Copy(a registry.Ask) (cp registry.Copy, ok bool) {
	u := c.source(a)
	if u == nil {
		return cp, false
	}
	e := c.mem.peek(a.Key)
	if e == nil || !e.known() {
		return cp, false
	}
	st, age := c.view(u, e, c.now())
	if st == stateExpired || e.mode() == registry.ModeHard {
		return cp, false
	}
	cp.Entry = registry.Entry{Key: e.key, Record: e.rec, Mode: e.mode(), Empties: empties(e)}
	cp.Age = age
	cp.Fresh, cp.Provisional = st == stateFresh, e.provisional > 0
	return cp, true
}

// source returns the registry that a peer asks of, if it is the same here.
func (c *Cache) source(a registry.Ask) *upstream {
	u := c.ups.Load().byName[a.Registry]
	if u == nil || u.merges() || u.print != a.Source || !u.covers("", a.Name) || registry.CheckName(a.Name) != nil {
		return nil
	}
	return u
}

// Fill asks the registry for a key, for a peer, and waits for that; false if it
// cannot.
func (c *Cache) Fill(ctx context.Context, a registry.Ask) bool {
	u := c.source(a)
	if u == nil || c.closing() {
		return false
	}
	f, _, _ := c.join(ctx, u, a.Name, wanted{direct: true, seen: c.unsuitable(a)})
	defer c.leave(f)
	if !f.direct {
		return false // that one asks a peer itself
	}
	select {
	case <-f.done:
		return f.out.err == nil
	case <-ctx.Done():
		return false
	}
}

// unsuitable returns what is held of a key, nil if it is what a asks for.
func (c *Cache) unsuitable(a registry.Ask) *entry {
	if a.Younger >= 0 {
		return whatever
	}
	e := c.mem.peek(a.Key)
	if cp, ok := c.Copy(a); ok && cp.Suits(a) {
		return nil
	}
	return e
}

func (c *Cache) closing() bool { return c.ctx.Err() != nil }

// Before notes what was logged before this life.
func (c *Cache) Before(list []registry.EpochState) {
	c.order.Lock()
	defer c.order.Unlock()
	for _, e := range list {
		c.history.before(e)
	}
}

// Began returns the position up to which a copy may be taken to know all that
// was applied here, given what its sender has logged of each epoch: all up to a
// sequence; ok is false if that cannot be told.
func (c *Cache) Began(upto func(origin, epoch uint64) uint64) (began uint64, ok bool) {
	c.order.Lock()
	defer c.order.Unlock()
	first, ok := c.history.lacked(upto)
	if !ok {
		return 0, false
	}
	return min(first-1, c.gens.position), true
}

// Offer takes what a peer sends unasked, if anybody here wants it.
func (c *Cache) Offer(cp registry.Copy, source string, began uint64) {
	u := c.source(registry.Ask{Key: cp.Key, Source: source})
	if u == nil {
		return
	}
	r := c.replyOf(u, cp)
	if r.err != nil {
		return
	}
	c.order.Lock()
	held := c.mem.peek(cp.Key)
	if c.retired(u) || held == nil && c.flights[cp.Key] == nil && !c.subs.follows(cp.Key) {
		c.order.Unlock()
		return
	}
	out := c.settle(u, cp.Key, held, r, nil, began)
	c.scheduleLocked(u, out)
	c.order.Unlock()
	c.stats.copied.Add(1)
	c.settled(u, cp.Key, held, out)
}

var errForeign = errors.New("a peer sent what is of another registry or kind")

// replyOf returns a copy as what the registry said when it was confirmed.
func (c *Cache) replyOf(u *upstream, cp registry.Copy) reply {
	now := c.now()
	r := reply{copied: true, rec: cp.Record, absent: cp.Record == nil, mode: cp.Mode, provisional: cp.Provisional,
		asked: now - cp.Age, received: now}
	switch {
	case cp.Record == nil:
	case cp.Record.Key != cp.Key || cp.Record.Kind != u.Kind:
		r.err = &registry.UpstreamError{Registry: u.Name, Err: errForeign, Harmless: true}
	default:
		r.hash = cp.Record.Hash()
		c.clock.Observe(cp.Record.Index)
	}
	return r
}

// askOwner asks the node that the key belongs to, unless the flight is direct.
func (c *Cache) askOwner(ctx context.Context, f *flight, h holding) (r reply, began uint64, ok bool) {
	a := registry.Ask{Key: f.key, Owner: c.ownedKey(f.up, f.key.Name), Source: f.up.print, Younger: -1}
	if f.direct {
		return r, 0, false
	}
	if h.known && h.invalidated == registry.ModeNone {
		a.Younger = h.age / 2
	}
	for range ownerTries {
		position := c.position()
		r, began, ok = c.askPeers(ctx, f.up, a)
		if !ok || !c.covered(f.key, &r, began) {
			return r, began, ok
		}
		if c.position() == position {
			break // the owner lacks an invalidation yet: the registry knows
		}
	}
	return r, 0, false
}

// ownerTries is how often the owner of a key is asked while invalidations come.
const ownerTries = 3

// covered reports whether a copy is not fresh by what was applied here.
func (c *Cache) covered(key registry.Key, r *reply, began uint64) bool {
	c.order.Lock()
	defer c.order.Unlock()
	return max(r.mode, c.gens.judge(key, tagsOf(r.rec), began)) > registry.ModeNone
}

// anyCopyWithin bounds the question whether any peer has something.
const anyCopyWithin = 300 * time.Millisecond

// askAny asks all peers for what they have.
func (c *Cache) askAny(ctx context.Context, f *flight) (r reply, began uint64, ok bool) {
	if c.opts.Cluster == nil {
		return r, 0, false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), anyCopyWithin)
	defer cancel()
	return c.askPeers(ctx, f.up, registry.Ask{Key: f.key, Source: f.up.print, Younger: -1, Any: true})
}

func (c *Cache) askPeers(ctx context.Context, u *upstream, a registry.Ask) (r reply, began uint64, ok bool) {
	cp, began, ok := c.opts.Cluster.Fetch(ctx, a)
	if !ok || cp.Key != a.Key {
		return r, 0, false
	}
	r = c.replyOf(u, cp)
	c.stats.copied.Add(1)
	return r, began, r.err == nil
}

package cache

import (
	"context"
	"errors"
	"strings"

	"github.com/edgecache/edgecache/registry"
)

// Receive applies what peers sent, in that order, and returns what logs it:
// log returns once all of it is durable here. It fills in list what the
// records came to; one without selectors takes a position alone.
func (c *Cache) Receive(list []registry.Received) (log func(ctx context.Context) error) {
	directories := make([]uint32, len(list))
	for i := range list {
		r := &list[i]
		if len(r.Inv.Selectors) == 0 {
			r.Applied = registry.Applied{Position: c.takePosition()}
			continue
		}
		r.Applied, directories[i] = c.applied(r.Inv, originPeer)
	}
	return func(ctx context.Context) error {
		err := c.journal.Records(ctx, list)
		for i := range list {
			if r := &list[i]; len(r.Inv.Selectors) > 0 {
				c.marked(r.Inv, r.Applied, directories[i], err)
			}
		}
		return err
	}
}

// Hint applies what a peer sent that comes again, to be logged.
func (c *Cache) Hint(inv *registry.Invalidation) { c.applied(inv, originHint) }

// RaiseAll covers everything that was fetched before, in place of records that
// are gone. What it came to is for the journal.
func (c *Cache) RaiseAll(m registry.Mode) registry.Applied {
	return c.Apply(&registry.Invalidation{Mode: m, Selectors: []registry.Selector{{All: true}}})
}

// takePosition takes a position that nothing is covered by.
func (c *Cache) takePosition() uint64 {
	c.order.Lock()
	defer c.order.Unlock()
	return c.gens.next()
}

// lookupUnsynced answers while the node may lack invalidations: nothing that
// was fetched before the lookup is fresh.
func (c *Cache) lookupUnsynced(ctx context.Context, q *registry.Query) (registry.Answer, error) {
	switch c.opts.Unsynced {
	case registry.UnsyncedRefuse:
		return registry.Answer{Details: registry.DetailUnsynced}, &registry.LookupError{Name: strings.Clone(q.Name), Err: registry.ErrUnsynced}
	case registry.UnsyncedRevalidate:
		if q.OnlyCached {
			break
		}
		now := *q
		now.MaxAge = 0
		a, err := c.lookup(ctx, &now)
		if err == nil || errors.Is(err, registry.ErrNotFound) {
			a.Details |= registry.DetailUnsynced
			return a, err
		}
		// The registry cannot say: what is held, as stale.
	}
	a, err := c.lookup(ctx, q)
	a.Details |= registry.DetailUnsynced
	a.Stale = a.Stale || err == nil
	if a.Stale {
		a.TTL = min(a.TTL, 0)
	}
	return a, err
}

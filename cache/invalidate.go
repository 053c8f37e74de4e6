package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// Invalidate implements [registry.Sink]: it applies inv here, gives it its id
// and returns once it is logged. What the caller looks up from then on is not
// older than inv.
func (c *Cache) Invalidate(ctx context.Context, inv *registry.Invalidation) error {
	if len(inv.Selectors) == 0 || inv.Mode == registry.ModeNone {
		return errors.New("invalidation: a mode and at least one selector expected")
	}
	for _, s := range inv.Selectors {
		if s.Key.Registry != "" && c.ups.Load().byName[s.Key.Registry] == nil {
			return fmt.Errorf("invalidation: %w: %q", registry.ErrNoRegistry, s.Key.Registry)
		}
	}
	began := c.now()
	inv.At = time.Now().UnixMilli()
	a, directory := c.applied(inv, originSelf)
	err := c.append(ctx, inv, a, directory)
	conf := registry.Confirmation{ID: inv.ID(), Members: 1, Confirmed: c.self, Fenced: c.self[:0:0], Pending: c.self[:0:0]}
	if err != nil {
		conf.Confirmed, conf.Pending = conf.Pending, conf.Confirmed
	}
	conf.ElapsedMS = milliseconds(c.now() - began)
	c.confirmations.put(conf, inv, c.now())
	if c.opts.Cluster != nil {
		c.order.Lock()
		c.history.name(a.Position, inv)
		c.order.Unlock()
		c.opts.Cluster.Publish(inv, err == nil)
		if err == nil {
			c.noteSample(inv, began)
		}
	}
	return err
}

// Apply takes a position for inv, marks what it covers and voids the flights
// it covers, all at once, without logging or sending it. It returns what the
// journal is to keep of that.
func (c *Cache) Apply(inv *registry.Invalidation) registry.Applied {
	a, _ := c.applied(inv, originNone)
	return a
}

// An origin says where an invalidation comes from.
type origin uint8

const (
	originNone origin = iota // it is neither logged nor sent
	originSelf               // it gets its id later
	originPeer
	originHint // a peer's, which comes again to be logged
)

// applied applies inv. If it is to be logged, the disk is known to lack its
// marks until append returns; directory is the one in use.
func (c *Cache) applied(inv *registry.Invalidation, from origin) (a registry.Applied, directory uint32) {
	c.order.Lock()
	us := c.ups.Load()
	a.Position = c.gens.next()
	if c.opts.Cluster != nil && from == originSelf {
		c.history.begin(a.Position)
	} else if from >= originPeer {
		c.history.note(a.Position, inv)
	}
	for i, s := range inv.Selectors {
		if i < len(inv.Versions) && inv.Mode == registry.ModeSoft && c.confirmVersion(us, s, inv.Versions[i], a.Position) {
			continue
		}
		c.apply(us, s, inv.Mode, &a)
		for _, u := range us.all {
			if s.Key.Registry == "" || s.Key.Registry == u.Name || contains(us.byName[s.Key.Registry], u) {
				u.list.void.Store(a.Position)
			}
		}
	}
	if c.disk != nil && (from == originSelf || from == originPeer) && len(a.Keys) > 0 {
		directory = c.disk.store.Directory()
		c.disk.marks.under = append(c.disk.marks.under, a.Position)
	}
	c.sweepIfFull()
	overfull := c.sweeping && c.gens.overfull()
	c.order.Unlock()
	c.stats.invalidations.Add(1)
	if overfull {
		c.relieve()
	}
	c.notifyOf(us, inv)
	return a, directory
}

// confirmVersion takes it for confirmed that a name has a version, if it is the
// one held; false if it is not.
func (c *Cache) confirmVersion(us *upstreams, s registry.Selector, seen registry.Revision, position uint64) bool {
	u := us.byName[s.Key.Registry]
	if !s.ByKey() || u == nil || u.merges() || seen == (registry.Revision{}) {
		return false
	}
	held := c.mem.peek(s.Key)
	if held == nil || held.rec == nil || held.rec.Revision != seen || c.flights[s.Key] != nil ||
		max(held.mode(), c.gens.covering(held.key, held.rec.Tags, held.began)) > registry.ModeNone {
		return false
	}
	c.gens.raiseKey(held.key, registry.ModeSoft, position)
	n := held.succeed()
	n.began = position
	c.replace(held, n)
	return true
}

// apply raises one selector at a.Position and notes in a what that came to.
func (c *Cache) apply(us *upstreams, s registry.Selector, m registry.Mode, a *registry.Applied) {
	if s.ByKey() {
		c.applyKey(us, s, m, a)
	} else {
		c.applyWide(us, s, m, a)
	}
}

// notifyOf makes those look again who follow what inv covers.
func (c *Cache) notifyOf(us *upstreams, inv *registry.Invalidation) {
	c.subs.notifyCovered(func(parts map[string]bool, name string) bool {
		for _, s := range inv.Selectors {
			// Tags are known per record only: whoever follows looks again.
			matches := s.Tag != "" || s.Covers(registry.Key{Registry: s.Key.Registry, Name: name}, nil)
			if matches && (parts == nil || us.within(s.Key.Registry, parts)) {
				return true
			}
		}
		return false
	})
	c.subs.notifyHeld(func(yield func(registry.Key) bool) {
		for _, s := range inv.Selectors {
			for e := range c.mem.covered(us, s) {
				if !yield(e.key) {
					return
				}
			}
		}
	})
}

// contains reports whether merge is a merge with the part u.
func contains(merge, u *upstream) bool {
	if merge == nil {
		return false
	}
	for _, p := range merge.parts {
		if p == u {
			return true
		}
	}
	return false
}

// applyKey marks one name in one registry, a merge's parts or all.
func (c *Cache) applyKey(us *upstreams, s registry.Selector, m registry.Mode, a *registry.Applied) {
	for _, u := range us.all {
		if u.merges() || s.Key.Registry != "" && s.Key.Registry != u.Name && !contains(us.byName[s.Key.Registry], u) {
			continue
		}
		key := registry.Key{Registry: u.Name, Name: strings.Clone(s.Key.Name)}
		c.gens.raiseKey(key, m, a.Position)
		c.voidLocked(key)
		if e := c.mem.peek(key); e != nil {
			e.raise(m)
		}
		if c.disk != nil {
			c.disk.raise(key, m)
		}
		a.Keys = append(a.Keys, key)
	}
}

// voidLocked takes the flight of a key off the table: who comes later starts
// anew.
func (c *Cache) voidLocked(key registry.Key) {
	if f := c.flights[key]; f != nil {
		c.voidFlight(key, f)
	}
}

func (c *Cache) voidFlight(key registry.Key, f *flight) {
	f.voided = true
	delete(c.flights, key)
	c.stats.voided.Add(1)
	if f.waiters == 0 {
		f.cancel()
	}
}

// applyWide raises a tag, prefix, registry or all: entries are judged by it
// when they are next looked at. Tags of what is being fetched are not known
// yet, so every flight that might be covered is voided.
func (c *Cache) applyWide(us *upstreams, s registry.Selector, m registry.Mode, a *registry.Applied) {
	merge := us.byName[s.Key.Registry]
	if merge != nil && merge.merges() {
		for _, part := range merge.parts {
			narrowed := s
			narrowed.Key.Registry = part.Name
			c.applyWide(us, narrowed, m, a)
		}
		return
	}
	a.Wide = append(a.Wide, s)
	c.gens.raiseWide(s, m, a.Position)
	for key, f := range c.flights {
		if s.Tag != "" && (s.Key.Registry == "" || s.Key.Registry == key.Registry) || s.Covers(key, nil) {
			c.voidFlight(key, f)
		}
	}
	for _, u := range us.all {
		if s.Key.Registry == "" || s.Key.Registry == u.Name {
			u.newest.Store(max(u.newest.Load(), a.Position))
		}
	}
}

// restore raises a generation that was logged before a restart.
func (c *Cache) restore(s registry.Selector, m registry.Mode, position uint64) {
	c.order.Lock()
	defer c.order.Unlock()
	c.gens.position = max(c.gens.position, position)
	c.apply(c.ups.Load(), s, m, &registry.Applied{Position: position})
}

// Upsert implements [registry.Sink].
func (c *Cache) Upsert(_ context.Context, rec *registry.Record) error {
	u := c.ups.Load().byName[rec.Key.Registry]
	if u == nil || u.merges() {
		return fmt.Errorf("upsert %s: %w", rec.Key, registry.ErrNoRegistry)
	}
	if err := registry.CheckName(rec.Key.Name); err != nil {
		return fmt.Errorf("upsert: %w", err)
	}
	c.offer(u, nil, rec.Key.Name, rec, c.now(), c.position())
	return nil
}

// Await returns who confirmed an invalidation of this node once a level is
// reached or, with ctx's error, when ctx ends.
func (c *Cache) Await(ctx context.Context, id string, level registry.Level) (registry.Confirmation, error) {
	kept, ok := c.confirmations.get(id, c.now())
	if !ok {
		return registry.Confirmation{}, fmt.Errorf("invalidation %s: %w", id, registry.ErrNotFound)
	}
	if c.opts.Cluster == nil || level == registry.LevelLocal {
		return kept.Confirmation, nil
	}
	conf, err := c.opts.Cluster.Await(ctx, kept.id(), level)
	conf.ID, conf.ElapsedMS = id, milliseconds(c.now()-kept.began)
	c.confirmations.update(conf)
	return conf, err
}

// Confirmation returns who confirmed an invalidation; false an hour later, or
// if there was none of that id.
func (c *Cache) Confirmation(id string) (registry.Confirmation, bool) {
	kept, ok := c.confirmations.get(id, c.now())
	if !ok || c.opts.Cluster == nil || kept.Members > 1 && len(kept.Pending) == 0 {
		return kept.Confirmation, ok
	}
	conf := c.opts.Cluster.Confirmation(kept.id())
	conf.ID, conf.ElapsedMS = id, kept.ElapsedMS
	return conf, true
}

const (
	confirmationsKept = time.Hour
	maxConfirmations  = 65536
)

// confirmations keep who confirmed what, for an hour.
type confirmations struct {
	mu    sync.Mutex // protects the fields below
	byID  map[string]keptConfirmation
	order []string // oldest first
}

type keptConfirmation struct {
	registry.Confirmation
	origin, epoch, seq uint64
	began, until       time.Duration
}

// id returns the invalidation's id, without the rest.
func (k *keptConfirmation) id() *registry.Invalidation {
	return &registry.Invalidation{Origin: k.origin, Epoch: k.epoch, Seq: k.seq}
}

func (cs *confirmations) put(conf registry.Confirmation, inv *registry.Invalidation, now time.Duration) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.byID == nil {
		cs.byID = map[string]keptConfirmation{}
	}
	for len(cs.order) > 0 && (len(cs.order) >= maxConfirmations || cs.byID[cs.order[0]].until < now) {
		delete(cs.byID, cs.order[0])
		cs.order = cs.order[1:]
	}
	began := now - time.Duration(conf.ElapsedMS*float64(time.Millisecond))
	cs.byID[conf.ID] = keptConfirmation{conf, inv.Origin, inv.Epoch, inv.Seq, began, now + confirmationsKept}
	cs.order = append(cs.order, conf.ID)
}

// update replaces what is said of one that is kept.
func (cs *confirmations) update(conf registry.Confirmation) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if kept, ok := cs.byID[conf.ID]; ok {
		kept.Confirmation = conf
		cs.byID[conf.ID] = kept
	}
}

func (cs *confirmations) get(id string, now time.Duration) (keptConfirmation, bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	kept, ok := cs.byID[id]
	if !ok || kept.until < now {
		return keptConfirmation{}, false
	}
	return kept, true
}

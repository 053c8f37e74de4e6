// Package cache is the engine: it answers lookups from memory, decides how
// fresh an answer is, fills and refreshes entries from their registries,
// protects the registries, and applies invalidations.
//
// # Order
//
// Everything that decides whether an answer may be served is ordered by one
// counter, the position, under one lock, the order lock: an invalidation takes
// the next position, marks what it covers and voids the flights it covers; a
// fetch reads the position before it is sent and is judged by it when it ends.
// No clock takes part in that. A hit takes no lock: it reads the entry's mark
// and compares one counter.
package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// A Cache is one node's cache. It implements [registry.Engine] and
// [registry.Sink]. It owns the sources of its registries and closes those that
// have a Close method.
type Cache struct {
	opts  Options
	clock *registry.Clock
	mem   *memory
	subs  *subscriptions
	times timekeeper
	stats counters
	self  []string // this node's name, for confirmations; nobody changes it

	ups     atomic.Pointer[upstreams]
	journal Journal

	reloading sync.Mutex // held by Reload, and by Close at its end

	// The order lock protects the fields below, flights, what mem holds and
	// changes of ups. Whoever holds it may take the locks of an upstream, its
	// guard, the subscriptions and the refresher, not the other way round.
	order    sync.Mutex
	gens     generations
	flights  map[registry.Key]*flight
	history  history
	changes  []change // the cluster is not told of yet
	sweeping bool     // a sweep of gens is under way
	closed   bool

	refresher     refresher
	loads         loads
	confirmations confirmations
	derived       *derivedTable
	sampler       sampler
	disk          *disk         // nil: no store
	told          chan struct{} // holds one value: there are changes

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	wg   sync.WaitGroup
}

// New returns a cache over the given registries. It starts nothing.
func New(o Options) (*Cache, error) {
	o = o.withDefaults()
	if err := errors.Join(o.Validate(), checkRegistries(o.Registries)); err != nil {
		return nil, err
	}
	mem, err := newMemory()
	if err != nil {
		return nil, fmt.Errorf("memory tier: %w", err)
	}
	c := &Cache{opts: o, clock: o.Clock, mem: mem, journal: o.Journal, flights: map[registry.Key]*flight{},
		self: []string{o.Node}, history: newHistory(), told: make(chan struct{}, 1)}
	c.times.init()
	if c.journal == nil {
		c.journal = newMemoryJournal()
	}
	if o.Store != nil && o.Journal != nil {
		c.disk = newDisk(c, o.Store)
	}
	c.gens = newGenerations(c.journal.Position())
	c.subs = newSubscriptions()
	c.ctx, c.stop = context.WithCancel(context.Background())
	if c.derived, err = newDerivedTable(mem.forget); err != nil {
		return nil, fmt.Errorf("memory tier: %w", err)
	}
	var all []*upstream
	for _, r := range o.Registries {
		all = append(all, c.newUpstream(r, o.Policy))
	}
	c.use(assemble(all), &o)
	c.refresher.init(c)
	return c, nil
}

// retired reports whether a reload replaced u. The order lock is held.
func (c *Cache) retired(u *upstream) bool { return c.ups.Load().byName[u.Name] != u }

// use makes a set of registries the current one and divides the memory among
// what they need.
func (c *Cache) use(us *upstreams, o *Options) {
	derives := len(us.order) > 1 || len(us.order) != len(us.all)
	c.mem.resize(o.Memory, o.NegativeShare, c.derived.enable(derives, o.Memory))
	c.ups.Store(us)
}

// Open takes up what the journal and the store kept and starts the first load,
// the watches and the background refresh.
func (c *Cache) Open() error {
	if err := c.journal.Generations(c.restore); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	c.wg.Go(func() { c.times.follow(c.ctx) })
	c.wg.Go(c.refresher.run)
	c.wg.Go(c.sweepWatches)
	if c.opts.Cluster != nil {
		c.wg.Go(c.tellChanges)
		c.wg.Go(c.followOwners)
		c.wg.Go(c.takeSamples)
	}
	if c.disk != nil {
		c.disk.begin()
		c.wg.Go(c.disk.walk)
	}
	c.start(c.ups.Load().all)
	c.loads.first(c)
	return nil
}

// start begins what follows registries without being asked: watches of
// everything, and name lists.
func (c *Cache) start(all []*upstream) {
	for _, u := range all {
		if u.merges() || !u.Watch {
			continue
		}
		if u.can.WatchAll && c.owns(u, allNames) {
			c.watchAll(u)
		}
		if u.can.WatchList {
			c.spawn(func() { c.followList(u) })
		}
	}
}

// Close ends all flights, watches and subscriptions, waits for them, writes
// what the store does not have yet and closes the sources. Lookups fail from
// then on, except for hits. The caller closes the store.
func (c *Cache) Close() error {
	c.order.Lock()
	again := c.closed
	c.closed = true
	if c.disk != nil {
		c.disk.open = false
	}
	c.order.Unlock()
	c.stop()
	c.wg.Wait()
	if c.disk != nil && !again {
		c.disk.close()
	}
	c.reloading.Lock()
	defer c.reloading.Unlock()
	c.subs.notifyAll()
	var errs []error
	for _, u := range c.ups.Load().all {
		errs = append(errs, closeSource(u.Source))
	}
	return errors.Join(errs...)
}

func closeSource(s registry.Source) error {
	if closer, ok := s.(interface{ Close() error }); ok {
		return closer.Close()
	}
	return nil
}

// now returns the cache time.
func (c *Cache) now() time.Duration { return c.times.now() }

// view returns what an entry is good for and how old it is.
func (c *Cache) view(u *upstream, e *entry, now time.Duration) (state, time.Duration) {
	if newest := u.newest.Load(); e.checked.Load() < newest {
		c.order.Lock()
		e.raise(c.gens.covering(e.key, tagsOf(e.rec), e.began))
		c.order.Unlock()
		e.checked.Store(newest)
	}
	if e.rec == nil && e.failure != nil {
		return stateExpired, 0
	}
	cond := condition{windows: e.windows, mode: e.mode(), absent: e.rec == nil,
		kept: e.empties > 0, behind: e.behind > 0, disk: e.disk, age: now - e.confirmed}
	if e.watch != nil {
		cond.age = now - e.base()
		cond.live = e.confirmedLive(now)
	}
	cond.age = max(cond.age, 0)
	return cond.state(), cond.age
}

// Lookup implements [registry.Engine].
func (c *Cache) Lookup(ctx context.Context, q *registry.Query) (registry.Answer, error) {
	if c.opts.Cluster != nil && !c.opts.Cluster.Synced() {
		return c.lookupUnsynced(ctx, q)
	}
	return c.lookup(ctx, q)
}

func (c *Cache) lookup(ctx context.Context, q *registry.Query) (registry.Answer, error) {
	now := c.now()
	us := c.ups.Load()
	until := now + q.Timeout
	if q.Timeout <= 0 {
		until = now + maxLookup
	}
	if q.Registry == "" {
		if len(us.order) == 1 && !us.order[0].merges() {
			return c.lookupIn(ctx, us.order[0], q, now, until)
		}
		return c.resolve(ctx, us.order, q, now, until)
	}
	u := us.byName[q.Registry]
	switch {
	case u == nil:
		return registry.Answer{}, &registry.LookupError{Name: strings.Clone(q.Name), Err: us.unknown(q.Registry)}
	case u.merges():
		return c.resolve(ctx, u.self[:], q, now, until)
	}
	return c.lookupIn(ctx, u, q, now, until)
}

// maxLookup bounds a lookup that has no timeout of its own.
const maxLookup = time.Minute

// lookupIn answers from one registry that is not a merge.
func (c *Cache) lookupIn(ctx context.Context, u *upstream, q *registry.Query, now, until time.Duration) (registry.Answer, error) {
	if !u.covers(q.Kind, q.Name) {
		c.stats.negative.Add(1)
		return registry.Answer{Hit: true, Kind: u.Kind}, &registry.LookupError{Name: q.Name, Err: registry.ErrNotFound}
	}
	var f found
	c.one(ctx, u, q, now, until, &f)
	a := f.answer(u)
	c.stats.count(&f)
	if f.class == classFound {
		return a, nil
	}
	a.Record = nil
	return a, f.failure(q.Name, u.Name)
}

// registryChanged follows a breaker: with it the answer of a name that several
// registries know may change.
func (c *Cache) registryChanged(u *upstream, up bool) {
	if up {
		c.opts.Logger.Info("registry up", "registry", u.Name)
	} else {
		c.opts.Logger.Warn("registry down", "registry", u.Name, "err", u.guard.status().lastErr)
	}
	if len(c.ups.Load().order) > 1 || len(u.Of) > 0 {
		c.subs.notifyAll()
	}
}

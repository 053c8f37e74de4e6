package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// perRegistry is how many keys of one registry a load fetches at a time.
const perRegistry = 16

// loads are the first load and refreshes: one at a time, the others queue.
type loads struct {
	mu      sync.Mutex       // protects the fields below, and those of each load
	current *load            // runs, or was the last that did; nil: none yet
	queued  map[string]*load // waiting or running, by what they load
	last    *load            // the refresh queued last; none waits for the first load, which may take long
	loaded  bool             // the first load is over
	started time.Duration
}

// A load fetches many keys and reports on each.
type load struct {
	what   string        // its selectors; "": the first load
	done   chan struct{} // closed at its end
	report registry.Report
}

// first loads what the configuration names for the start.
func (l *loads) first(c *Cache) {
	warms := false
	for _, u := range c.ups.Load().all {
		warms = warms || u.WarmAll || len(u.Warm) > 0 || u.WarmWatched && c.disk != nil
	}
	l.mu.Lock()
	l.started, l.loaded = c.now(), !warms
	l.mu.Unlock()
	if warms {
		l.run(c, "", c.warmTargets)
	}
}

// run queues a load, or joins the one of the same that waits or runs; nil
// after Close began.
func (l *loads) run(c *Cache, what string, targets func(ctx context.Context, yield func(target))) *load {
	l.mu.Lock()
	defer l.mu.Unlock()
	if same := l.queued[what]; same != nil {
		return same
	}
	n := &load{what: what, done: make(chan struct{})}
	n.report = registry.Report{ID: fmt.Sprintf("%x", rand.Uint64()), Started: time.Now().UTC(), Running: true,
		Services: []registry.ReportItem{}}
	before := l.last
	started := c.spawn(func() {
		if before != nil {
			<-before.done
		}
		l.mu.Lock()
		l.current = n
		n.report.Started = time.Now().UTC()
		l.mu.Unlock()
		c.load(c.ctx, targets, func(item registry.ReportItem) { l.add(n, item) })
		l.end(c, n)
	})
	if !started {
		return nil
	}
	if len(l.queued) == 0 {
		l.current = n
		l.queued = map[string]*load{}
	}
	l.queued[what] = n
	if what != "" {
		l.last = n
	}
	return n
}

func (l *loads) add(to *load, item registry.ReportItem) {
	l.mu.Lock()
	defer l.mu.Unlock()
	to.report.Services = append(to.report.Services, item)
}

func (l *loads) end(c *Cache, n *load) {
	l.mu.Lock()
	n.report.Running = false
	n.report.ElapsedMS = milliseconds(time.Since(n.report.Started))
	slices.SortFunc(n.report.Services, func(a, b registry.ReportItem) int {
		return strings.Compare(a.Registry+"\x00"+a.Name, b.Registry+"\x00"+b.Name)
	})
	failed := 0
	for _, s := range n.report.Services {
		if s.Result == "failed" {
			failed++
		}
	}
	l.loaded = l.loaded || n.what == ""
	delete(l.queued, n.what)
	services := len(n.report.Services)
	l.mu.Unlock()
	c.opts.Logger.Info("load ended", "services", services, "failed", failed)
	close(n.done)
}

// reportOf returns a copy of a load's report.
func (l *loads) reportOf(n *load) registry.Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := n.report
	r.Services = slices.Clone(r.Services)
	if r.Running {
		r.ElapsedMS = milliseconds(time.Since(r.Started))
	}
	return r
}

// A target is one key to load.
type target struct {
	u    *upstream
	name string
}

// load fetches what targets yields, in parallel, within each registry's bound,
// and reports each.
func (c *Cache) load(ctx context.Context, targets func(ctx context.Context, yield func(target)), report func(registry.ReportItem)) {
	lanes := map[*upstream]*lane{}
	seen := map[registry.Key]bool{}
	targets(ctx, func(t target) {
		key := registry.Key{Registry: t.u.Name, Name: t.name}
		if seen[key] || ctx.Err() != nil {
			return
		}
		seen[key] = true
		l := lanes[t.u]
		if l == nil {
			l = &lane{}
			lanes[t.u] = l
		}
		l.add(t.name, func(name string) {
			if ctx.Err() == nil {
				report(c.refreshNow(ctx, t.u, name))
			}
		})
	})
	for _, l := range lanes {
		l.wg.Wait()
	}
}

// A lane works off the names of one registry, a few at a time, so that no
// registry holds up another and none is flooded.
type lane struct {
	wg sync.WaitGroup

	mu      sync.Mutex // protects the fields below
	names   []string   // waiting
	workers int
}

func (l *lane) add(name string, do func(name string)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.names = append(l.names, name)
	if l.workers < perRegistry {
		l.workers++
		l.wg.Go(func() { l.work(do) })
	}
}

func (l *lane) work(do func(name string)) {
	for {
		l.mu.Lock()
		if len(l.names) == 0 {
			l.workers--
			l.mu.Unlock()
			return
		}
		name := l.names[0]
		l.names = l.names[1:]
		l.mu.Unlock()
		do(name)
	}
}

// warmTargets yields what is to be loaded at the start, after what the disk has
// of it is in memory. A list that cannot be
// had is asked for again until it can, so that a node may start before its
// registry does.
func (c *Cache) warmTargets(ctx context.Context, yield func(target)) {
	for _, u := range c.ups.Load().all {
		for _, name := range u.Warm {
			yield(target{u, name})
		}
	}
	if c.disk != nil && c.disk.waitLoaded() {
		for _, k := range c.disk.inUse {
			if u := c.ups.Load().byName[k.Registry]; u != nil && !u.merges() {
				yield(target{u, k.Name})
			}
		}
	}
	for _, u := range c.ups.Load().all {
		if !u.WarmAll || !u.can.List {
			continue
		}
		for fails := 1; u.list.snap.Load() == nil && ctx.Err() == nil; fails++ {
			c.loadList(ctx, u, c.now()+u.fillBudget())
			if u.list.snap.Load() == nil && !pause(ctx, backoff(u.policy.Recheck, fails)) {
				return
			}
		}
		if s := u.list.snap.Load(); s != nil {
			for _, name := range s.names {
				yield(target{u, name})
			}
		}
	}
}

// Refresh fetches now what the selectors cover of what is listed or cached,
// and returns the report: whole, or still running if ctx ends first; it goes
// on then. A call joins a load of the same selectors and waits for others.
func (c *Cache) Refresh(ctx context.Context, selectors []registry.Selector) (registry.Report, error) {
	n := c.loads.run(c, fmt.Sprintf("%+v", selectors), func(ctx context.Context, yield func(target)) {
		c.refreshTargets(ctx, selectors, yield)
	})
	if n == nil {
		return registry.Report{}, errClosed
	}
	select {
	case <-n.done:
	case <-ctx.Done():
	}
	return c.loads.reportOf(n), nil
}

// spawn starts a goroutine that Close waits for; false after Close began.
func (c *Cache) spawn(f func()) bool {
	c.order.Lock()
	defer c.order.Unlock()
	if c.closed {
		return false
	}
	c.wg.Go(f)
	return true
}

func (c *Cache) refreshTargets(ctx context.Context, selectors []registry.Selector, yield func(target)) {
	us := c.ups.Load()
	wide := false
	for _, s := range selectors {
		if !s.ByKey() {
			wide = true
			continue
		}
		for _, u := range us.all {
			if !u.merges() && u.covers("", s.Key.Name) && (s.Key.Registry == "" || s.Key.Registry == u.Name || contains(us.byName[s.Key.Registry], u)) {
				yield(target{u, s.Key.Name})
			}
		}
	}
	if !wide {
		return
	}
	covered := func(u *upstream, name string, tags []string) bool {
		for _, s := range selectors {
			key := registry.Key{Registry: u.Name, Name: name}
			if m := us.byName[s.Key.Registry]; contains(m, u) {
				key.Registry = m.Name
			}
			if s.Covers(key, tags) {
				return true
			}
		}
		return false
	}
	for e := range c.mem.all() {
		if u := us.byName[e.key.Registry]; u != nil && covered(u, e.key.Name, tagsOf(e.rec)) {
			yield(target{u, e.key.Name})
		}
	}
	for _, u := range us.all {
		if u.merges() || !u.can.List {
			continue
		}
		c.loadList(ctx, u, c.now()+u.Timeout)
		if s := u.list.snap.Load(); s != nil {
			for _, name := range s.names {
				if covered(u, name, nil) {
					yield(target{u, name})
				}
			}
		}
	}
}

// Report returns a copy of the report of the load that runs, else of the last;
// false before the first.
func (c *Cache) Report() (registry.Report, bool) {
	l := &c.loads
	l.mu.Lock()
	n := l.current
	l.mu.Unlock()
	if n == nil {
		return registry.Report{Services: []registry.ReportItem{}}, false
	}
	return l.reportOf(n), true
}

// Ready reports whether the first load is over or has had its time, and what
// is degraded.
func (c *Cache) Ready() (ready bool, degraded []string) {
	now := c.now()
	l := &c.loads
	l.mu.Lock()
	ready = l.loaded || c.opts.ReadyAfter > 0 && now-l.started >= c.opts.ReadyAfter
	l.mu.Unlock()
	for _, u := range c.ups.Load().all {
		if s := u.guard.status(); s.down() {
			reason := "registry " + u.Name + " down"
			if s.lastOK >= 0 {
				reason += " " + (now - s.lastOK).Round(time.Second).String()
			}
			degraded = append(degraded, reason)
		}
	}
	return ready, degraded
}

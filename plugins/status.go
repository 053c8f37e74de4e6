package plugins

import (
	"maps"

	"github.com/edgecache/edgecache/registry"
)

// Status returns what is known of the filter.
func (f *Filter) Status() registry.PluginStatus {
	f.mu.Lock()
	s := registry.PluginStatus{Name: f.options.Name, Kind: kindFilter, Generation: f.generations, State: "ok", Error: f.failed}
	f.mu.Unlock()
	if s.Error != "" {
		s.State = "failed"
	}
	s.Breaker = "closed"
	f.stats.report(&s)
	if g := f.current.Load(); g != nil {
		s.Breaker = g.breaker.state()
		g.module.report(&s)
		s.Instances = int64(g.pool.count())
	}
	return s
}

// Status returns what is known of the adapter.
func (a *Adapter) Status() registry.PluginStatus {
	a.mu.Lock()
	s := registry.PluginStatus{Name: a.options.Name, Kind: kindAdapter, Generation: a.generations, State: "ok", Error: a.failed}
	a.mu.Unlock()
	if s.Error != "" {
		s.State = "failed"
	}
	s.Breaker = "closed" // the registry has one of its own
	a.stats.report(&s)
	g := a.current.Load()
	g.module.report(&s)
	s.Instances, s.Requests, s.Denied = g.live(), a.stats.requests.Load(), a.stats.denied.Load()
	if g.kept != nil {
		s.Kept = g.kept.bytes()
	}
	return s
}

// report tells what was counted.
func (c *stats) report(s *registry.PluginStatus) {
	s.Calls, s.Memoized, s.Skipped = c.called(), c.memoized.sum(), c.broken.Load()
	s.Recycled, s.LogDropped = c.recycled.Load(), c.logDropped.Load()
	if n := c.timed.Load(); n > 0 {
		s.LatencyUS = float64(c.took.Load()) / float64(n) / 1000
	}
	c.mu.Lock()
	s.Failures = maps.Clone(c.failures)
	c.mu.Unlock()
	if s.Failures == nil {
		s.Failures = map[string]uint64{}
	}
}

// report tells which module it is.
func (m *Module) report(s *registry.PluginStatus) {
	s.Plugin, s.SHA256, s.ABI = m.Manifest.Name, m.SHA256, m.Manifest.ABI
	if m.Manifest.Version != "" {
		s.Plugin += " " + m.Manifest.Version
	}
	s.Memory = uint64(m.Manifest.Limits.MemoryPages) << 16
}

package plugins

import (
	"maps"

	"github.com/edgecache/edgecache/registry"
)

// Status returns what is known of the filter.
func (f *Filter) Status() registry.PluginStatus {
	f.mu.Lock()
	s := registry.PluginStatus{Name: f.options.Name, Kind: "filter", Generation: f.generations, State: "ok", Error: f.failed}
	f.mu.Unlock()
	if s.Error != "" {
		s.State = "failed"
	}
	s.Breaker, s.Calls, s.Memoized, s.Skipped = f.breaker.state(), f.stats.calls.sum(), f.stats.memoized.sum(), f.stats.broken.Load()
	s.Recycled, s.LogDropped = f.stats.recycled.Load(), f.stats.logDropped.Load()
	if n := f.stats.timed.Load(); n > 0 {
		s.LatencyUS = float64(f.stats.took.Load()) / float64(n) / 1000
	}
	f.stats.mu.Lock()
	s.Failures = maps.Clone(f.stats.failures)
	f.stats.mu.Unlock()
	if s.Failures == nil {
		s.Failures = map[string]uint64{}
	}
	if g := f.current.Load(); g != nil {
		m := &g.module.Manifest
		s.Plugin, s.SHA256, s.ABI = m.Name, g.module.SHA256, m.ABI
		if m.Version != "" {
			s.Plugin += " " + m.Version
		}
		s.Instances, s.Memory = g.pool.live.Load(), uint64(m.Limits.MemoryPages)<<16
	}
	return s
}

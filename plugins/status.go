package plugins

import "maps"

// A Status is what is known of a filter.
type Status struct {
	Name       string            `json:"name"`
	Kind       string            `json:"kind"`
	Plugin     string            `json:"plugin"` // name and version of its manifest
	SHA256     string            `json:"sha256"`
	ABI        string            `json:"abi"`
	Generation int               `json:"generation"`
	State      string            `json:"state"` // ok, or failed: a change was refused, and the old generation runs
	Failed     string            `json:"error,omitempty"`
	Breaker    string            `json:"breaker"`
	Calls      uint64            `json:"calls"`
	Memoized   uint64            `json:"memoized"` // answered by a verdict that was kept
	Skipped    uint64            `json:"skipped"`  // while the breaker was open
	Failures   map[string]uint64 `json:"failures"` // by kind
	Recycled   uint64            `json:"recycled"` // instances ended because their memory grew
	LogDropped uint64            `json:"log_dropped"`
	Instances  int64             `json:"instances"`
	Memory     uint64            `json:"memory"` // bytes an instance may have
}

// Status returns what is known of the filter.
func (f *Filter) Status() Status {
	f.mu.Lock()
	s := Status{Name: f.options.Name, Kind: "filter", Generation: f.generations, State: "ok", Failed: f.failed}
	f.mu.Unlock()
	if s.Failed != "" {
		s.State = "failed"
	}
	s.Breaker, s.Calls, s.Memoized, s.Skipped = f.breaker.state(), f.stats.calls.sum(), f.stats.memoized.sum(), f.stats.broken.Load()
	s.Recycled, s.LogDropped = f.stats.recycled.Load(), f.stats.logDropped.Load()
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

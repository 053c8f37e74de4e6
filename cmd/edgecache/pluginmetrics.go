package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/edgecache/edgecache/registry"
)

func pluginFamilies() []family {
	return []family{
		ofPlugin("edgecache_plugins_calls_total", counter, "Calls of a plugin's guests.", func(p *registry.PluginStatus) float64 { return float64(p.Calls) }),
		ofPlugin("edgecache_plugins_memoized_total", counter, "Requests answered by a verdict that was kept.", func(p *registry.PluginStatus) float64 { return float64(p.Memoized) }),
		ofPlugin("edgecache_plugins_skipped_total", counter, "Requests while the plugin's breaker was open.", func(p *registry.PluginStatus) float64 { return float64(p.Skipped) }),
		{"edgecache_plugins_failures_total", counter, "Calls that failed, by kind.", []string{"plugin", "kind"}, func(s *snapshot, e emit) {
			for _, p := range s.plugins {
				for kind, n := range p.Failures {
					e(float64(n), p.Name, kind)
				}
			}
		}},
		ofPlugin("edgecache_plugins_breaker_open", gauge, "1 while the breaker is open or half-open.", func(p *registry.PluginStatus) float64 { return truth(p.Breaker != "closed") }),
		ofPlugin("edgecache_plugins_generation", gauge, "Number of the generation that runs.", func(p *registry.PluginStatus) float64 { return float64(p.Generation) }),
		ofPlugin("edgecache_plugins_refused", gauge, "1 while the last change was refused.", func(p *registry.PluginStatus) float64 { return truth(p.State != "ok") }),
		ofPlugin("edgecache_plugins_instances", gauge, "Instances of the guest.", func(p *registry.PluginStatus) float64 { return float64(p.Instances) }),
		ofPlugin("edgecache_plugins_call_seconds", gauge, "Time of a guest's call, the mean of those sampled.", func(p *registry.PluginStatus) float64 { return p.LatencyUS / 1e6 }),
		ofPlugin("edgecache_plugins_recycled_total", counter, "Instances ended because their memory grew.", func(p *registry.PluginStatus) float64 { return float64(p.Recycled) }),
		ofPlugin("edgecache_plugins_requests_total", counter, "HTTP requests of an adapter.", func(p *registry.PluginStatus) float64 { return float64(p.Requests) }),
		ofPlugin("edgecache_plugins_denied_total", counter, "Requests of an adapter that were not made, for nothing allows them.", func(p *registry.PluginStatus) float64 { return float64(p.Denied) }),
		ofPlugin("edgecache_plugins_kept_bytes", gauge, "What an adapter keeps on this node.", func(p *registry.PluginStatus) float64 { return float64(p.Kept) }),
		ofPlugin("edgecache_plugins_log_dropped_total", counter, "Lines of the guest beyond its rate.", func(p *registry.PluginStatus) float64 { return float64(p.LogDropped) }),
	}
}

// ofPlugin is a family of one value per plugin.
func ofPlugin(name string, kind prometheus.ValueType, help string, value func(*registry.PluginStatus) float64) family {
	return family{name, kind, help, []string{"plugin"}, func(s *snapshot, e emit) {
		for i := range s.plugins {
			e(value(&s.plugins[i]), s.plugins[i].Name)
		}
	}}
}

package main

import (
	"io"
	"math"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/gossip"
	httpd "github.com/edgecache/edgecache/http"
	"github.com/edgecache/edgecache/registry"
)

// A family is one metric: its name, and how to read it from a snapshot.
type family struct {
	name   string
	kind   prometheus.ValueType
	help   string
	labels []string
	read   func(s *snapshot, emit emit)
}

type emit func(value float64, labels ...string)

// A snapshot is what all packages said at one scrape.
type snapshot struct {
	node       *node
	cache      cache.Stats
	memory     registry.MemoryStatus
	store      *storeSnapshot // nil: no disk
	members    []registry.MemberStatus
	mesh       gossip.MeshStats
	registries []registry.RegistryStatus
	plugins    []registry.PluginStatus
	http       httpd.Stats
	ready      bool
}

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

// The histograms.
const (
	requestSeconds = "edgecache_http_request_seconds"
	delaySeconds   = "edgecache_gossip_delay_seconds"
)

// families returns the one list of metric names, but for the histograms and
// those of the Go runtime and the process.
func families() []family {
	return slices.Concat(cacheFamilies(), persistFamilies(), storeFamilies(), gossipFamilies(), registryFamilies(), pluginFamilies(), httpFamilies(), nodeFamilies())
}

func cacheFamilies() []family {
	return []family{
		{"edgecache_cache_lookups_total", counter, "Lookups by outcome.", []string{"outcome"}, func(s *snapshot, e emit) {
			l := s.cache.Lookups
			e(float64(l.Hits), "hit")
			e(float64(l.Stale), "stale")
			e(float64(l.Misses), "miss")
			e(float64(l.Negative), "negative")
			e(float64(l.Errors), "error")
		}},
		{"edgecache_cache_fills_total", counter, "Fetches that ended, by result.", []string{"result"}, func(s *snapshot, e emit) {
			e(max(float64(s.cache.Fills)-float64(s.cache.Unchanged), 0), "answered") // not read at one instant
			e(float64(s.cache.Unchanged), "unchanged")
			e(float64(s.cache.FillErrors), "failed")
		}},
		one("edgecache_cache_refreshes_total", counter, "Fetches begun in the background.", func(s *snapshot) float64 { return float64(s.cache.Refreshes) }),
		one("edgecache_cache_invalidations_total", counter, "Invalidations applied.", func(s *snapshot) float64 { return float64(s.cache.Invalidations) }),
		one("edgecache_cache_copies_total", counter, "Copies of entries that peers gave.", func(s *snapshot) float64 { return float64(s.cache.Copied) }),
		{"edgecache_cache_samples_total", counter, "Answers of peers that were looked at after an invalidation.", []string{"result"}, func(s *snapshot, e emit) {
			e(float64(s.cache.Verified), "verified")
			e(float64(s.cache.Violated), "violated")
		}},
		one("edgecache_cache_voided_total", counter, "Flights that an invalidation overtook.", func(s *snapshot) float64 { return float64(s.cache.Voided) }),
		one("edgecache_cache_watch_events_total", counter, "Events of upstream watches.", func(s *snapshot) float64 { return float64(s.cache.WatchEvents) }),
		one("edgecache_cache_flights", gauge, "Flights under way.", func(s *snapshot) float64 { return float64(s.cache.Flights) }),
		one("edgecache_cache_watches", gauge, "Upstream watches that run.", func(s *snapshot) float64 { return float64(s.cache.Watches) }),
		one("edgecache_cache_subscriptions", gauge, "Subscriptions of blocking lookups and watches.", func(s *snapshot) float64 { return float64(s.cache.Subscriptions) }),
		one("edgecache_cache_position", gauge, "Position of the newest invalidation.", func(s *snapshot) float64 { return float64(s.cache.Position) }),
		one("edgecache_cache_entries", gauge, "Entries in memory.", func(s *snapshot) float64 { return float64(s.memory.Entries) }),
		one("edgecache_cache_memory_bytes", gauge, "Bytes of the memory budget in use.", func(s *snapshot) float64 { return float64(s.memory.Bytes) }),
		one("edgecache_cache_memory_limit_bytes", gauge, "The memory budget.", func(s *snapshot) float64 { return float64(s.memory.Limit) }),
	}
}

func registryFamilies() []family {
	return []family{
		each("edgecache_registry_up", gauge, "1 while the registry is up.", func(r *registry.RegistryStatus) (float64, bool) { return truth(r.State == "up"), true }),
		each("edgecache_registry_breaker_open", gauge, "1 while the breaker is open or half-open.", func(r *registry.RegistryStatus) (float64, bool) {
			return truth(r.Breaker == "open" || r.Breaker == "half-open"), true
		}),
		each("edgecache_registry_calls_total", counter, "Calls to the registry.", func(r *registry.RegistryStatus) (float64, bool) { return float64(r.Calls), true }),
		each("edgecache_registry_failures_total", counter, "Calls that failed.", func(r *registry.RegistryStatus) (float64, bool) { return float64(r.Failures), true }),
		each("edgecache_registry_entries", gauge, "Entries of the registry in memory.", func(r *registry.RegistryStatus) (float64, bool) { return float64(r.Services), true }),
		each("edgecache_registry_watches", gauge, "Live watches on the registry.", func(r *registry.RegistryStatus) (float64, bool) { return float64(r.Watch.Live), true }),
		each("edgecache_registry_last_ok_timestamp_seconds", gauge, "When the registry last answered.", func(r *registry.RegistryStatus) (float64, bool) {
			if r.LastOK == nil {
				return 0, false
			}
			return float64(r.LastOK.UnixMilli()) / 1000, true
		}),
	}
}

func httpFamilies() []family {
	return []family{
		{"edgecache_http_requests_total", counter, "Requests by route and class of status.", []string{"route", "status"}, func(s *snapshot, e emit) {
			for _, r := range s.http.Requests {
				e(float64(r.Count), r.Route, strconv.Itoa(r.Status)+"xx")
			}
		}},
		one("edgecache_http_malformed_total", counter, "Requests that could not be read; each ended its connection.", func(s *snapshot) float64 { return float64(s.http.Malformed) }),
		one("edgecache_http_limited_total", counter, "Requests answered 429.", func(s *snapshot) float64 { return float64(s.http.Limited) }),
		one("edgecache_http_refused_total", counter, "Connections refused for their number.", func(s *snapshot) float64 { return float64(s.http.Refused) }),
		one("edgecache_http_panics_total", counter, "Handlers that panicked.", func(s *snapshot) float64 { return float64(s.http.Panics) }),
		one("edgecache_http_connections", gauge, "Open connections, both ports.", func(s *snapshot) float64 { return float64(s.http.Connections) }),
		one("edgecache_http_waiters", gauge, "Blocking lookups and watches.", func(s *snapshot) float64 { return float64(s.http.Waiters) }),
		one("edgecache_http_watches", gauge, "Watches of clients.", func(s *snapshot) float64 { return float64(s.http.Watches) }),
	}
}

func nodeFamilies() []family {
	return []family{
		{"edgecache_node_info", gauge, "Always 1.", []string{"node", "version"}, func(s *snapshot, e emit) { e(1, s.node.options.Name, version()) }},
		one("edgecache_node_ready", gauge, "1 once the node is ready.", func(s *snapshot) float64 { return truth(s.ready) }),
		one("edgecache_node_uptime_seconds", gauge, "Time since the start.", func(s *snapshot) float64 { return time.Since(s.node.started).Seconds() }),
		{"edgecache_node_reloads_total", counter, "Reloads of the configuration by result.", []string{"result"}, func(s *snapshot, e emit) {
			e(float64(s.node.reloads.done.Load()), "done")
			e(float64(s.node.reloads.refused.Load()), "refused")
		}},
	}
}

// reloads counts reloads by result.
type reloads struct{ done, refused atomic.Uint64 }

// one is a family of one value.
func one(name string, kind prometheus.ValueType, help string, value func(*snapshot) float64) family {
	return family{name, kind, help, nil, func(s *snapshot, e emit) { e(value(s)) }}
}

// each is a family of one value per registry.
func each(name string, kind prometheus.ValueType, help string, value func(*registry.RegistryStatus) (float64, bool)) family {
	return family{name, kind, help, []string{"registry"}, func(s *snapshot, e emit) {
		for i := range s.registries {
			if v, ok := value(&s.registries[i]); ok {
				e(v, s.registries[i].Name)
			}
		}
	}}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// A metrics is a Prometheus collector over the packages' Stats.
type metrics struct {
	node     *node
	families []family
	descs    []*prometheus.Desc
	latency  *prometheus.Desc
	delay    *prometheus.Desc
	gatherer *prometheus.Registry
}

func newMetrics(n *node) *metrics {
	m := &metrics{node: n, families: families(), gatherer: prometheus.NewRegistry()}
	for _, f := range m.families {
		m.descs = append(m.descs, prometheus.NewDesc(f.name, f.help, f.labels, nil))
	}
	m.latency = prometheus.NewDesc(requestSeconds, "Time of handlers, waiting included, of one request in 64.", nil, nil)
	m.delay = prometheus.NewDesc(delaySeconds, "Time until a member had logged a record of this node and said so.", nil, nil)
	m.gatherer.MustRegister(m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range m.descs {
		out <- d
	}
	out <- m.latency
	out <- m.delay
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	s := &snapshot{
		node: m.node, cache: m.node.cache.Stats(), memory: m.node.cache.Memory(),
		members: m.node.members(), mesh: m.node.mesh(), registries: m.node.cache.Registries(), plugins: m.node.plugins.Status(), http: m.node.server.Stats(),
	}
	s.ready, _ = m.node.cache.Ready()
	if disk := m.node.disk; disk != nil {
		s.store = &storeSnapshot{disk.Status(), disk.Stats()}
	}
	for i, f := range m.families {
		f.read(s, func(value float64, labels ...string) {
			out <- prometheus.MustNewConstMetric(m.descs[i], f.kind, value, labels...)
		})
	}
	out <- histogram(m.latency, s.http.Latency)
	delays := gossip.Delays{}
	if m.node.gossip != nil {
		delays = m.node.gossip.Delays()
	}
	out <- prometheus.MustNewConstHistogram(m.delay, delays.Count, delays.Sum, delays.Buckets)
}

// histogram turns buckets that double from 1 µs on into cumulative ones.
func histogram(desc *prometheus.Desc, l httpd.Latency) prometheus.Metric {
	buckets, total := map[float64]uint64{}, uint64(0)
	for i, n := range l.Buckets {
		total += n
		if i < len(l.Buckets)-1 {
			buckets[math.Ldexp(1e-6, i)] = total
		}
	}
	return prometheus.MustNewConstHistogram(desc, total, l.Sum.Seconds(), buckets)
}

// write writes all metrics in Prometheus' text format.
func (m *metrics) write(w io.Writer) error {
	gathered, err := m.gatherer.Gather()
	if err != nil {
		return err
	}
	for _, f := range gathered {
		if _, err := expfmt.MetricFamilyToText(w, f); err != nil {
			return err
		}
	}
	return nil
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A figure is one number that a run finds.
type figure struct {
	name    string
	what    string // what is compared
	goal    string // "≥ 0.90", "≤ 50 ms"; "": none
	reached func(value float64) bool
	measure func(context.Context, *bench) (result, error)
}

// A result is a figure's value, the spread of its rounds and what they were
// made of.
type result struct {
	value    float64
	quartile [2]float64 // of the rounds; equal to value where there is one only
	sides    []side
	note     string
}

// A side is one of the two things compared, over all rounds.
type side struct {
	name    string
	samples []sample
}

// errMissing says that a figure needs something that is not installed.
var errMissing = errors.New("not installed")

func missing(what, how string) error { return fmt.Errorf("%s is %w: %s", what, errMissing, how) }

// An outcome is what became of one figure.
type outcome struct {
	figure
	result
	err  error
	took time.Duration
}

func (o *outcome) failed() bool { return o.err != nil && !errors.Is(o.err, errMissing) }

// line returns the outcome as compare prints it.
func (o *outcome) line() string {
	switch {
	case o.failed():
		return fmt.Sprintf("FAIL %s %s", o.name, oneLine(o.err))
	case o.err != nil:
		return fmt.Sprintf("SKIP %s %s", o.name, oneLine(o.err))
	}
	return fmt.Sprintf("RATIO %s %s", o.name, number(o.value))
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// number writes three significant digits, and all before the point.
func number(v float64) string {
	switch {
	case v >= 100 || v == float64(int64(v)):
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func atLeast(goal float64) func(float64) bool { return func(v float64) bool { return v >= goal } }
func atMost(goal float64) func(float64) bool  { return func(v float64) bool { return v <= goal } }

// figures returns all figures in the order in which they are measured.
func figures() []figure {
	return []figure{
		{"hit/fasthttp", "view=record hit of 1 KB against a bare fasthttp handler that writes the same answer", "≥ 0.90", atLeast(0.90), hitFasthttp},
		{"hit/nginx", "view=document hit of 1 KB against nginx's proxy_cache hit", "≥ 1.15", atLeast(1.15), hitNginx},
		{"hit/varnish", "view=document hit of 1 KB against Varnish's hit", "≥ 2.0", atLeast(2), hitVarnish},
		{"hit/redis", "view=document hit of 1 KB against Redis GET of the same bytes", "≥ 1.0", atLeast(1), hitRedis},
		{"hit/selected", "?tag= that keeps five of six instances against no selection", "≥ 0.8", atLeast(0.8), hitSelected},
		{"hit/resolved", "a name resolved through the second of two registries against the only one", "≥ 0.95", atLeast(0.95), hitResolved},
		{"filter-c/hit", "a zone filter in C that keeps and reorders 20 instances against no filter", "≥ 0.90", atLeast(0.90), filterHit("c")},
		{"filter-rust/hit", "the same in Rust", "≥ 0.90", atLeast(0.90), filterHit("rust")},
		{"filter-as/hit", "the same in AssemblyScript", "≥ 0.90", atLeast(0.90), filterHit("as")},
		{"filter-go/hit", "the same in Go", "≥ 0.85", atLeast(0.85), filterHit("go")},
		{"adapter-go/over", "microseconds that a lookup through an adapter in Go costs over its one HTTP request", "≤ 150 µs", atMost(150), adapterOver("go")},
		{"adapter-rust/over", "the same in Rust", "≤ 50 µs", atMost(50), adapterOver("rust")},
		{"adapter-as/over", "the same in AssemblyScript", "≤ 50 µs", atMost(50), adapterOver("as")},
		{"adapter-c/over", "the same in C", "≤ 50 µs", atMost(50), adapterOver("c")},
		{"filter-go/start", "milliseconds from exec to the first answer through a filter in Go that was compiled before", "≤ 60 ms", atMost(60), filterStart},
		{"hostile/hit", "hits through a filter while another service's filter is asked 500 times a second that loops until its fuel is gone, against hits alone", "", nil, hostileHit},
		{"fuel/plain", "time of a guest's call bounded by fuel over one without a bound, of the worst of three guests", "≤ 1.3", atMost(1.3), fuelPlain},
		{"fuel/context", "time of the same over one bounded by wazero's context option", "≤ 0.2", atMost(0.2), fuelContext},
		{"outage/hit", "hits with the registry down against up", "≥ 0.95", atLeast(0.95), outageHit},
		{"outage/p99", "99th percentile of those hits, down over up", "≤ 1.2", atMost(1.2), outageP99},
		{"wake", "until the last of 10 000 waiters was answered after the end of the fill, in the cache", "≤ 50 ms", atMost(50), wake},
		{"wake/http", "the same over 10 000 connections, until the last answer was read", "", nil, wakeHTTP},
		{"coalesce", "calls of the registry, which answers after 1 s, for 10 000 requests over 150 connections on 3 nodes", "= 1", func(v float64) bool { return v == 1 }, coalesce},
		{"consul-change", "99th percentile from a write to a real Consul to the event of a watch on the node", "≤ 50 ms", atMost(50), consulChange},
		{"restart", "seconds from exec to the first 200, a million entries of 1 KB on disk after kill -9, every registry down", "≤ 2 s", atMost(2), restart},
		{"restart/memory", "resident memory of that node once all names were looked up over that of the one that was killed", "≤ 1.2", atMost(1.2), restartMemory},
		{"disk-fill/hit", "hits while 10 000 new entries a second come and are written to disk against hits alone", "≥ 0.8", atLeast(0.8), diskFillHit},
		{"disk-fill/disk", "the same against hits while the same entries come to a node without a disk", "≥ 0.8", atLeast(0.8), diskFillDisk},
		{"slow-disk/hit", "99th percentile of hits where each operation of the disk takes 100 ms over that with a quick one", "≤ 1.2", atMost(1.2), slowDiskHit},
		{"invalidations", "durable invalidations a second, 64 callers with one name each", "≥ 50 000", atLeast(50_000), invalidationsRate},
		{"invalidations/p99", "99th percentile of their milliseconds", "≤ 20 ms", atMost(20), invalidationsP99},
		{"tag-effect", "milliseconds from the fsync of a tag's invalidation until none of 100 000 entries is fresh and the caller knows", "≤ 1 ms", atMost(1), tagEffect},
		{"invalidate/memberlist", "99th percentile until the last of 16 nodes has an invalidation, of stock memberlist over ours, which is logged", "≥ 10", atLeast(10), invalidateMemberlist},
		{"invalidate/p50", "median of our milliseconds until all 16 have logged it and the caller knows", "≤ 5 ms", atMost(5), invalidateP50},
		{"invalidate/p99", "99th percentile of those", "≤ 50 ms", atMost(50), invalidateP99},
		{"wait-all/p99", "99th percentile of the milliseconds of wait=all over HTTP with 16 processes", "≤ 100 ms", atMost(100), waitAll},
		{"quorum/rate", "invalidations a second that a majority of three nodes has logged, 512 callers", "≥ 30 000", atLeast(30_000), quorumRate},
		{"heal/p99", "worst of the milliseconds from the end of a node's isolation until all three have logged the same", "≤ 1000 ms", atMost(1000), heal},
		{"missed/synced", "seconds from the start of a node that missed 900 000 invalidations until it is synced and lacks none", "≤ 10 s", atMost(10), missed},
		{"missed-more/synced", "the same with 1 500 000, more than journals keep", "≤ 10 s", atMost(10), missedMore},
		{"bytes-per-entry", "live heap of a million services of one instance each, without key, document and answer", "≤ 1000", atMost(1000), bytesPerEntry},
	}
}

// A contender is one side of a comparison by load.
type contender struct {
	name string
	load func(context.Context) (sample, error)
}

// versus runs two contenders in turn and returns our rate over theirs. The
// ratio is taken within each round, so that a change of the machine's speed
// between rounds does not count; who begins alternates.
func (b *bench) versus(ctx context.Context, ours, theirs contender) (result, error) {
	r := result{sides: []side{{name: ours.name}, {name: theirs.name}}}
	pair := [2]contender{ours, theirs}
	for _, c := range pair { // warm up
		if _, err := c.load(ctx); err != nil {
			return r, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	var ratios []float64
	for round := range b.rounds {
		var rates [2]float64
		for i := range pair {
			at := (i + round) % 2
			s, err := pair[at].load(ctx)
			if err != nil {
				return r, fmt.Errorf("%s: %w", pair[at].name, err)
			}
			rates[at] = s.rate
			r.sides[at].samples = append(r.sides[at].samples, s)
			b.progress("  %d/%d %-22s %8.0f/s  p99 %-8s server core %3.0f%%  load core %3.0f%%",
				round+1, b.rounds, pair[at].name, s.rate, s.p99, 100*s.server, 100*s.load)
		}
		ratios = append(ratios, rates[0]/rates[1])
	}
	r.summarise(ratios)
	return r, nil
}

// summarise sets the value and its quartiles from what the rounds gave.
func (r *result) summarise(values []float64) {
	q := quantiles(values, 0.25, 0.5, 0.75)
	r.value, r.quartile = q[1], [2]float64{q[0], q[2]}
}

// overP99 makes the value our 99th percentile over theirs instead of the rates'.
func (r *result) overP99() {
	p99 := func(s sample) float64 { return float64(s.p99) }
	ours, theirs := all(r.sides[0].samples, p99), all(r.sides[1].samples, p99)
	var ratios []float64
	for i := range ours {
		ratios = append(ratios, ours[i]/theirs[i])
	}
	r.summarise(ratios)
}

// all returns one property of a side's samples.
func all[T cmp.Ordered](samples []sample, get func(sample) T) []T {
	values := make([]T, len(samples))
	for i, s := range samples {
		values[i] = get(s)
	}
	return values
}

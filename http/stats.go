package http

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// A class groups routes for counting.
type class uint8

const (
	classOther class = iota // no such route
	classLookup
	classList
	classBatch
	classWatch
	classHealth
	classAdmin
	classes
)

// classNames are the values of the label `route`, by class.
var classNames = [classes]string{"other", "lookup", "list", "batch", "watch", "health", "admin"}

// latencyBuckets is how many buckets the latency histogram has: bucket i
// counts calls that took less than 2^i microseconds, the last one all others.
const latencyBuckets = 24

// sampled: every 64th call of a worker is timed.
const sampled = 64

// A shard is one set of counters. Each pooled call has one, so that cores
// rarely write to the same line.
type shard struct {
	requests [classes][6]atomic.Uint64 // by status / 100
	latency  [latencyBuckets]atomic.Uint64
	micros   atomic.Uint64 // sum of the timed calls
	_        [64]byte
}

func (s *shard) count(c class, status int) {
	s.requests[c][min(status/100, 5)].Add(1)
}

func (s *shard) time(d time.Duration) {
	us := uint64(max(d.Microseconds(), 0))
	s.latency[min(bits.Len64(us), latencyBuckets-1)].Add(1)
	s.micros.Add(us)
}

// counters are what is rare enough to have one place.
type counters struct {
	malformed, limited, panics, refused atomic.Uint64
	waiters, watches                    atomic.Int64
	connections                         atomic.Int64
}

// Stats are totals since the server was made, and what is going on now.
type Stats struct {
	Requests    []RequestCount
	Latency     Latency
	Malformed   uint64 // requests that could not be read or had a forbidden shape; each ended its connection
	Limited     uint64 // requests answered 429
	Refused     uint64 // connections refused for their number
	Panics      uint64 // handlers that panicked, answered 500
	Connections int64  // open now, both ports
	Waiters     int64  // blocking lookups and watches now
	Watches     int64  // watches now
}

// A RequestCount counts the answers of a class of routes: lookup, list, batch,
// watch, health, admin or other. Status is 2 for 2xx and so on.
type RequestCount struct {
	Route  string
	Status int
	Count  uint64
}

// A Latency is a histogram of the time handlers took, waiting included. One
// call in 64 is timed: multiply by it for totals. Buckets[i] counts calls
// below 2^i microseconds, the last one all others; they are not cumulative.
type Latency struct {
	Buckets [latencyBuckets]uint64
	Sum     time.Duration
}

// Stats returns a copy of the counters.
func (s *Server) Stats() Stats {
	out := Stats{
		Malformed: s.counters.malformed.Load(), Limited: s.counters.limited.Load(),
		Refused: s.counters.refused.Load(), Panics: s.counters.panics.Load(),
		Connections: s.counters.connections.Load(),
		Waiters:     s.counters.waiters.Load(), Watches: s.counters.watches.Load(),
	}
	for c := range classes {
		for status := range 6 {
			var n uint64
			for i := range s.shards {
				n += s.shards[i].requests[c][status].Load()
			}
			if n > 0 {
				out.Requests = append(out.Requests, RequestCount{classNames[c], status, n})
			}
		}
	}
	var micros uint64
	for i := range s.shards {
		for b := range out.Latency.Buckets {
			out.Latency.Buckets[b] += s.shards[i].latency[b].Load()
		}
		micros += s.shards[i].micros.Load()
	}
	out.Latency.Sum = time.Duration(micros) * time.Microsecond
	return out
}

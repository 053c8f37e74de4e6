package gossip

import (
	"sync"
	"time"
)

// delayBounds are the upper bounds of the buckets of Delays, in ms.
var delayBounds = [...]float64{0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000}

// Delays is a histogram of how long members took to log a record of this node
// and to say so. Count and Sum, in seconds, are of all; Buckets are cumulative,
// by their upper bounds in seconds.
type Delays struct {
	Count   uint64
	Sum     float64
	Buckets map[float64]uint64
}

type delays struct {
	mu     sync.Mutex // protects the fields below
	counts [len(delayBounds)]uint64
	all    uint64
	sum    time.Duration
}

func (d *delays) note(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all++
	d.sum += by
	for i, bound := range delayBounds {
		if by.Seconds()*1000 <= bound {
			d.counts[i]++
		}
	}
}

// Delays returns the histogram.
func (n *Node) Delays() Delays {
	d := &n.delays
	d.mu.Lock()
	defer d.mu.Unlock()
	out := Delays{Count: d.all, Sum: d.sum.Seconds(), Buckets: map[float64]uint64{}}
	for i, bound := range delayBounds {
		out.Buckets[bound/1000] = d.counts[i]
	}
	return out
}

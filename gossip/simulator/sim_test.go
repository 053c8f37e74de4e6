package simulator

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgecache/edgecache/gossip/protocol"
)

var (
	lasting = flag.Duration("for", 0, "go on for so long, beyond -seeds")
	seeds   = flag.Int("seeds", 15, "how many seeds to run at least")
	seed    = flag.Uint64("seed", 1, "the first of them; 0: a new one")
	faults  = flag.Uint("faults", uint(All), "kinds of faults, as a sum of bits in the order of the table")
	nodes   = flag.Int("nodes", 0, "nodes at the start; 0: one to seven, by the seed")
	show    = flag.Bool("show", false, "print what happens")
)

// A total adds up results.
type total struct {
	mu                  sync.Mutex // protects the fields below
	runs, events, reads int
	hit, with, acked    map[string]int // faults; events of runs with a kind of fault; invalidations
	violations          []string
}

func (t *total) add(o Options, r Result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.runs++
	t.events += r.Events
	t.reads += r.Reads
	for k, n := range r.Faults {
		t.hit[k] += n
		t.with[k] += r.Events
	}
	for k, n := range r.Acked {
		t.acked[k] += n
	}
	if len(r.Violations) > 0 {
		t.violations = append(t.violations, fmt.Sprintf("%s\nrepeat with: go test ./gossip/simulator -count=1 -run=TestSeeds -seeds=1 -seed=%d -nodes=%d -faults=%d -show",
			r.Violations[0], o.Seed, o.Nodes, o.Faults))
	}
}

func (t *total) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d seeds, %d events, %d reads checked, %d violations; acknowledged:", t.runs, t.events, t.reads, len(t.violations))
	for _, k := range slices.Sorted(maps.Keys(t.acked)) {
		fmt.Fprintf(&b, " %s %d", k, t.acked[k])
	}
	fmt.Fprintf(&b, "\n%20s %10s %16s\n", "fault", "times", "events with it")
	for _, k := range slices.Sorted(maps.Keys(t.hit)) {
		fmt.Fprintf(&b, "%20s %10d %16d\n", k, t.hit[k], t.with[k])
	}
	return b.String()
}

// TestSeeds runs one simulation after the other.
func TestSeeds(t *testing.T) {
	sum := &total{hit: map[string]int{}, with: map[string]int{}, acked: map[string]int{}}
	if *seed == 0 {
		*seed = rand.Uint64() >> 1
	}
	end := time.Now().Add(*lasting)
	next := make(chan uint64)
	var running sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		running.Go(func() {
			for s := range next {
				o := Options{Seed: s, Nodes: *nodes, Length: 30 * protocol.Second, Faults: Faults(*faults)}
				if s%40 == 0 {
					o.Length = 120 * protocol.Second
				}
				if o.Nodes == 0 {
					o.Nodes = 1 + int(s%7)
				}
				if *show {
					o.Trace = func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
				}
				sum.add(o, Run(o))
			}
		})
	}
	for i := 0; i < *seeds || time.Now().Before(end); i++ {
		next <- *seed + uint64(i)
	}
	close(next)
	running.Wait()
	for _, v := range sum.violations {
		t.Error(v)
	}
	t.Logf("from seed %d: %s", *seed, sum)
}

// A seed repeats a run exactly, or it is of no use.
func TestASeedRepeatsItsRun(t *testing.T) {
	o := Options{Seed: 7, Nodes: 3, Length: 30 * protocol.Second, Faults: All}
	a, b := Run(o), Run(o)
	if fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("%v\nand then\n%v", a, b)
	}
}

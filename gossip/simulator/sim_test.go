package simulator

import (
	"flag"
	"fmt"
	"testing"

	"github.com/edgecache/edgecache/gossip/protocol"
)

var (
	seeds  = flag.Int("seeds", 200, "how many seeds to run")
	seed   = flag.Uint64("seed", 1, "the first of them")
	faults = flag.Uint("faults", uint(All), "kinds of faults, as a sum of bits")
	nodes  = flag.Int("nodes", 3, "nodes at the start")
	trace  = flag.Bool("trace", false, "print what happens")
)

func TestSeeds(t *testing.T) {
	events, reads := 0, 0
	hit, acked := map[string]int{}, map[string]int{}
	for i := range uint64(*seeds) {
		o := Options{Seed: *seed + i, Nodes: *nodes, Length: 60 * protocol.Second, Faults: Faults(*faults)}
		if *trace {
			o.Trace = func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
		}
		r := Run(o)
		events += r.Events
		reads += r.Reads
		for k, n := range r.Faults {
			hit[k] += n
		}
		for k, n := range r.Acked {
			acked[k] += n
		}
		if len(r.Violations) > 0 {
			t.Errorf("seed %d: %s", o.Seed, r.Violations[0])
		}
		if *trace {
			t.Logf("%+v", r)
		}
	}
	t.Logf("%d events, %d reads checked, acknowledged %v, faults %v", events, reads, acked, hit)
}

package simulator

import (
	"testing"

	"github.com/edgecache/edgecache/gossip/protocol"
)

// TestDeliberateBreaksAreCaught breaks the protocol on purpose. A simulator
// that does not notice is of no use.
func TestDeliberateBreaksAreCaught(t *testing.T) {
	for _, row := range []struct {
		name   string
		broken Break
		faults Faults
	}{
		{"the fsync is skipped", BreakSkipFsync, Kills}, // among all faults it takes many seeds until only a kill tells
		{"a hole is dropped", BreakDropHole, All},
		{"an invalidation is applied after the insert", BreakApplyAfterInsert, All},
		{"an epoch is used again", BreakReuseEpoch, All},
		{"a generation is ignored", BreakIgnoreGeneration, All},
		{"a peer's record is not checked", BreakCopyUnchecked, All},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= 200; seed++ {
				r := Run(Options{Seed: seed, Nodes: 3, Length: 60 * protocol.Second, Faults: row.faults, Break: row.broken})
				if len(r.Violations) > 0 {
					t.Logf("seed %d: %s", seed, r.Violations[0])
					return
				}
			}
			t.Error("not caught by 200 seeds")
		})
	}
}

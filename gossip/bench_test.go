package gossip_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/edgecache/edgecache/registry"
)

// BenchmarkQuorum has callers invalidate one name each on one of three
// nodes in this process, and wait for a majority.
func BenchmarkQuorum(b *testing.B) {
	all := cluster(b, "edge-1", "edge-2", "edge-3")
	var next atomic.Int64
	b.SetParallelism(32) // on two processors 64 callers
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			name := fmt.Sprintf("service-%d", next.Add(1)%1000)
			inv := &registry.Invalidation{Mode: registry.ModeVerify, Selectors: []registry.Selector{{Key: registry.Key{Name: name}}}}
			if err := all[0].cache.Invalidate(b.Context(), inv); err != nil {
				b.Error(err)
				return
			}
			if _, err := all[0].cache.Await(b.Context(), inv.ID(), registry.LevelQuorum); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "invalidations/s")
}

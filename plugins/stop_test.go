package plugins_test

import (
	"log/slog"
	"math"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/edgecache/edgecache/plugins"
)

// BenchmarkGarbageCollectionBesideAHostileGuest reports how long a collection
// waited for guests that run until their fuel is gone, the worst of all.
func BenchmarkGarbageCollectionBesideAHostileGuest(b *testing.B) {
	for _, name := range []string{"loop", "walk", "recurse", "bulk"} {
		b.Run(name, func(b *testing.B) {
			m, err := plugins.Load("testdata/hostile/"+name+".wasm", "testdata/hostile/hostile.yaml", "")
			if err != nil {
				b.Fatal(err)
			}
			rec := sealed(3)
			var stop atomic.Bool
			var wg sync.WaitGroup
			for range runtime.GOMAXPROCS(0) {
				t, err := plugins.NewTrial(m, nil, false, slog.New(slog.DiscardHandler))
				if err != nil {
					b.Fatal(err)
				}
				wg.Go(func() {
					defer t.Close()
					for !stop.Load() {
						if _, err := t.Call(rec, &request{}); err == nil {
							b.Error("it ended well")
							return
						}
					}
				})
			}
			before := stops()
			for range b.N {
				runtime.GC()
			}
			after := stops()
			stop.Store(true)
			wg.Wait()
			b.ReportMetric(worst(before, after)*1e3, "ms-worst-stop")
		})
	}
}

const stopMetric = "/sched/pauses/stopping/gc:seconds"

func stops() *metrics.Float64Histogram {
	s := []metrics.Sample{{Name: stopMetric}}
	metrics.Read(s)
	return s[0].Value.Float64Histogram()
}

// worst returns the upper bound of the highest bucket that has grown, in seconds.
func worst(before, after *metrics.Float64Histogram) (s float64) {
	for i := range after.Counts {
		if after.Counts[i] > before.Counts[i] {
			s = after.Buckets[i+1]
		}
	}
	if math.IsInf(s, 1) {
		s = after.Buckets[len(after.Buckets)-2]
	}
	return s
}

package store

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgecache/edgecache/registry"
)

func openAt(tb testing.TB, dir string) *Store {
	tb.Helper()
	o := Defaults()
	o.Dir = dir
	s, err := Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// BenchmarkAppend64 has 64 callers wait for the disk, each for its own
// invalidation of one name.
func BenchmarkAppend64(b *testing.B) {
	const callers = 64
	s := openAt(b, b.TempDir())
	var next atomic.Int64
	took := make([][]time.Duration, callers)
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for i := range callers {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				key := registry.Key{Registry: "consul", Name: fmt.Sprintf("service-%d", n%100_000)}
				inv := &registry.Invalidation{Mode: registry.ModeVerify, Selectors: []registry.Selector{{Key: key}}, At: 1}
				began := time.Now()
				if err := s.Append(b.Context(), inv, registry.Applied{Position: uint64(n), Keys: []registry.Key{key}}); err != nil {
					b.Error(err)
					return
				}
				took[i] = append(took[i], time.Since(began))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Concat(took...)
	slices.Sort(all)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
	st := s.Stats()
	b.ReportMetric(float64(st.Changes)/float64(st.Commits), "changes/commit")
}

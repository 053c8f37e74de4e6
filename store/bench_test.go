package store

import (
	"flag"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgecache/edgecache/registry"
)

var entries = flag.Int("entries", 100_000, "entries, and invalidations, of the directory that BenchmarkOpen opens")

func diskOptions(tb testing.TB) Options {
	o := Defaults()
	o.Dir = tb.TempDir()
	return o
}

// BenchmarkAppend64 has 64 callers wait for the disk, each for its own
// invalidation of one name.
func BenchmarkAppend64(b *testing.B) {
	benchmarkAppend64(b, mustOpen(b, diskOptions(b)))
}

// BenchmarkAppend64BesideWrites does so while entries are written as fast as
// the store takes them.
func BenchmarkAppend64BesideWrites(b *testing.B) {
	s := mustOpen(b, diskOptions(b))
	var wg sync.WaitGroup
	var stop atomic.Bool
	written := 0
	wg.Go(func() {
		for ; !stop.Load(); written += 512 {
			if err := s.Write(1, batchOf(written, 512), nil, nil); err != nil {
				b.Error(err)
				return
			}
		}
	})
	benchmarkAppend64(b, s)
	stop.Store(true)
	wg.Wait()
	b.ReportMetric(float64(written)/b.Elapsed().Seconds(), "entries/s")
}

// batchOf returns n entries of about 1 KiB, from a number on.
func batchOf(from, n int) (put []*registry.Stored) {
	for i := range n {
		put = append(put, sized(from+i, 900))
	}
	return put
}

func sized(n, document int) *registry.Stored {
	e := stored(fmt.Sprintf("team-%d/service-%d", n%100, n), fmt.Sprint(n), uint64(n), uint64(n))
	rec := &registry.Record{Key: e.Key, Kind: e.Record.Kind, Instances: e.Record.Instances, Wishes: registry.NoWishes, Document: make([]byte, document)}
	for i := range rec.Document {
		rec.Document[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[(n*31+i*i)%36]
	}
	rec.Seal(uint64(n))
	e.Record = rec
	return e
}

func benchmarkAppend64(b *testing.B, s *Store) {
	const callers = 64
	var next atomic.Int64
	took := make([][]time.Duration, callers)
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for i := range callers {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				inv, keys := byName(registry.ModeVerify, fmt.Sprintf("service-%d", n%100_000))
				began := time.Now()
				if err := s.Append(b.Context(), inv, registry.Applied{Position: uint64(n), Keys: keys}); err != nil {
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

// BenchmarkOpen opens a directory as a process leaves it that was killed.
func BenchmarkOpen(b *testing.B) {
	o := diskOptions(b)
	s := mustOpen(b, o)
	for n := 0; n < *entries; n += 512 {
		if err := s.Write(1, batchOf(n, 512), nil, nil); err != nil {
			b.Fatal(err)
		}
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(*entries); n = next.Add(1) {
				appendName(b, s, registry.ModeSoft, uint64(n), fmt.Sprint(n))
			}
		})
	}
	wg.Wait()
	mustClose(b, s)
	for b.Loop() {
		s, err := Open(o)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if st := s.Status(); st.Entries < uint64(*entries) || st.Journal != uint64(*entries) {
			b.Fatalf("status %+v", st)
		}
		mustClose(b, s)
		b.StartTimer()
	}
}

func BenchmarkGet(b *testing.B) {
	s := mustOpen(b, diskOptions(b))
	const n = 20_000
	for i := 0; i < n; i += 500 {
		if err := s.Write(1, batchOf(i, 500), nil, nil); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.dir.Load().db.Flush(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i = (i*7 + 1) % n
		if e := mustGet(b, s, fmt.Sprintf("team-%d/service-%d", i%100, i)); e == nil {
			b.Fatal(i)
		}
	}
}

func BenchmarkScan(b *testing.B) {
	s := mustOpen(b, diskOptions(b))
	const n = 20_000
	for i := 0; i < n; i += 500 {
		if err := s.Write(1, batchOf(i, 500), nil, nil); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		seen := 0
		if err := s.Scan("consul", "", func(*registry.Stored) bool { seen++; return true }); err != nil || seen != n {
			b.Fatal(seen, err)
		}
	}
	b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "entries/s")
}

package store

import (
	"flag"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/edgecache/edgecache/registry"
)

var day = flag.Duration("day", 0, "of peers' invalidations, at 1000 a second of simulated time, that TestADayOfInvalidations logs; 0: a short one in memory")

// TestADayOfInvalidations logs what three peers send, second by second. For the
// first half all members have it 10 s later, and it is let go; then one of them
// is silent, and the cap has to do it.
func TestADayOfInvalidations(t *testing.T) {
	const rate, origins, names = 1000, 3, 10_000
	seconds := int(day.Seconds())
	o := Defaults()
	o.Dir = filepath.Join(t.TempDir(), "data")
	if seconds == 0 {
		seconds, o.FS = 60, vfs.NewMem()
	}
	o.Records = min(defaultRecords, seconds*rate/4)
	var clock atomic.Int64 // Unix ms
	clock.Store(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli())
	s := mustOpenAt(t, o, func() time.Time { return time.UnixMilli(clock.Load()) })
	limit := uint64(s.opts.Records)
	var last [origins]uint64
	var most, bytes uint64
	position := uint64(0)
	for second := range seconds {
		now := clock.Add(1000)
		list := make([]registry.Received, rate)
		for i := range list {
			origin := i % origins
			last[origin]++
			mode := registry.ModeVerify
			if last[origin]%1000 == 0 {
				mode = registry.ModeHard
			}
			position++
			inv, keys := byName(mode, fmt.Sprintf("service-%05d", position%names))
			inv.Origin, inv.Epoch, inv.Seq, inv.At = uint64(origin+1), 7, last[origin], now
			list[i] = registry.Received{Inv: inv, Raw: registry.AppendInvalidation(nil, inv), Applied: registry.Applied{Position: position, Keys: keys}}
		}
		if err := s.Records(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		if second < seconds/2 && second%10 == 9 {
			for origin := range origins {
				if err := s.Truncate(uint64(origin+1), 7, last[origin]+1); err != nil {
					t.Fatal(err)
				}
			}
		}
		status := s.Status()
		if second < seconds/2 && status.Journal > 10*rate || status.Journal > limit {
			t.Fatalf("second %d: %d records are kept", second, status.Journal)
		}
		most, bytes = max(most, status.Journal), max(bytes, status.Bytes)
	}
	t.Logf("%d records in %d s of simulated time: at most %d kept, in at most %s", position, seconds, most, registry.Size(bytes))
	if most <= limit/2 {
		t.Errorf("at most %d records were kept: the cap of %d was not put to the test", most, limit)
	}
	checkDay(t, s, last[:])
	mustClose(t, s)
	checkDay(t, mustOpenAt(t, o, func() time.Time { return time.UnixMilli(clock.Load()) }), last[:])
}

// checkDay checks that the journal has the newest records of each origin, and
// knows of the hard ones before them.
func checkDay(t *testing.T, s *Store, last []uint64) {
	t.Helper()
	seen := 0
	err := s.Epochs(func(e registry.EpochState) bool {
		if e.Epoch != 7 {
			return true
		}
		seen++
		if e.Last != last[e.Origin-1] || e.Count != e.Last-e.Start+1 || e.Count == 0 {
			t.Errorf("%+v, want all records from its start to %d", e, last[e.Origin-1])
		}
		if hard := (e.Start - 1) / 1000 * 1000; e.Hard != hard {
			t.Errorf("%+v, want %d as the newest hard one that is gone", e, hard)
		}
		next := e.Start
		err := s.Range(e.Origin, e.Epoch, e.Start, func(seq uint64, _ []byte) bool {
			if seq != next {
				t.Errorf("record %d follows %d", seq, next-1)
				return false
			}
			next++
			return true
		})
		if err != nil || next != e.Last+1 {
			t.Errorf("read up to %d, want %d: %v", next-1, e.Last, err)
		}
		return true
	})
	if err != nil || seen != len(last) {
		t.Errorf("%d origins, %v; want %d", seen, err, len(last))
	}
}

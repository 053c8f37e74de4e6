package registry_test

import (
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/edgecache/edgecache/registry"
)

var day = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func TestClockRisesWhateverTheWallClockDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := day
		clock := registry.NewClock(func() time.Time { return now }, 0)
		last := uint64(0)
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(-4e12, 4e12).Draw(t, "jump")))
			index := clock.Next(rapid.Uint64().Draw(t, "hash"))
			if index <= last || index > clock.Bound() || index >= 1<<53 {
				t.Fatalf("index %d after %d, bound %d", index, last, clock.Bound())
			}
			last = index
			if rapid.Bool().Draw(t, "restart") {
				clock = registry.NewClock(func() time.Time { return now }, clock.Bound())
			}
		}
	})
}

func TestIndexIsTimeAndHash(t *testing.T) {
	clock := registry.NewClock(func() time.Time { return day }, 0)
	ms := uint64(day.UnixMilli() - time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli())
	if got, want := clock.Next(0xfffff123), ms<<12|0x123; got != want {
		t.Errorf("Next = %d, want %d", got, want)
	}
	if got, want := clock.Next(0), (ms+1)<<12; got != want {
		t.Errorf("Next within the same ms = %d, want %d", got, want)
	}
}

func TestClockFollowsOtherNodesButNotFarAhead(t *testing.T) {
	for _, now := range []time.Time{day, time.Unix(0, 0)} {
		clock := registry.NewClock(func() time.Time { return now }, 0)
		first := clock.Next(0)
		clock.Observe(first + 3_600_000<<12)
		second := clock.Next(0)
		if second <= first+3_600_000<<12 {
			t.Errorf("at %s: %d does not follow an index an hour ahead", now, second)
		}
		clock.Observe(1<<53 - 1)
		clock.Observe(0)
		if third := clock.Next(0); third <= second || third > second+10<<12 {
			t.Errorf("at %s: %d follows %d and an absurd index", now, third, second)
		}
	}
}

func TestClockServesManyGoroutines(t *testing.T) {
	clock := registry.NewClock(nil, 0)
	got := make([]uint64, 8)
	var callers sync.WaitGroup
	for i := range got {
		callers.Go(func() { got[i] = clock.Next(0) })
	}
	callers.Wait()
	seen := map[uint64]bool{}
	for _, index := range got {
		if seen[index] {
			t.Errorf("index %d was given twice", index)
		}
		seen[index] = true
	}
}

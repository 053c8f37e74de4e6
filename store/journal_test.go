package store

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/edgecache/edgecache/registry"
)

func TestAppendGivesContiguousIDs(t *testing.T) {
	s := mustOpen(t, memOptions(vfs.NewMem()))
	for want := uint64(1); want <= 3; want++ {
		inv := appendName(t, s, registry.ModeSoft, want, "web")
		if inv.Origin != s.Node() || inv.Epoch != s.Epoch() || inv.Seq != want {
			t.Errorf("got %s, want sequence %d of node %x, epoch %x", inv.ID(), want, s.Node(), s.Epoch())
		}
	}
}

// TestAcknowledgedInvalidationsSurviveACrash appends from many goroutines and
// takes copies of the disk as crashes would leave it, at any time.
func TestAcknowledgedInvalidationsSurviveACrash(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := mustOpen(t, memOptions(mem))
	var mu sync.Mutex
	acknowledged := map[uint64]string{} // by sequence, the name
	var position atomic.Uint64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 200 {
				name := fmt.Sprintf("%d-%d", i, j)
				inv, keys := byName(registry.ModeHard, name)
				wide := []registry.Selector{{Tag: name}}
				if err := s.Append(t.Context(), inv, registry.Applied{Position: position.Add(1), Keys: keys, Wide: wide}); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				acknowledged[inv.Seq] = name
				mu.Unlock()
			}
		})
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for crash := range 12 {
		poll(t, "more is acknowledged", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(acknowledged) >= crash*100
		})
		mu.Lock()
		before := maps.Clone(acknowledged)
		mu.Unlock()
		checkSurvivors(t, mustOpen(t, memOptions(afterCrash(mem, rng))), s, before)
	}
	wg.Wait()
}

// checkSurvivors checks a store, opened from what a crash of origin's process left.
func checkSurvivors(t *testing.T, s, origin *Store, acknowledged map[uint64]string) {
	t.Helper()
	if s.Node() != origin.Node() || s.Epoch() == origin.Epoch() {
		t.Errorf("node %x after %x, epoch %x after %x; want the same node, and another epoch", s.Node(), origin.Node(), s.Epoch(), origin.Epoch())
	}
	next := uint64(1)
	generations := generationsOf(t, s)
	var mark positions
	err := s.Range(origin.Node(), origin.Epoch(), 1, func(seq uint64, raw []byte) bool {
		inv, err := registry.ParseInvalidation(raw)
		if err != nil || seq != next || inv.Seq != seq {
			t.Errorf("record %d, want %d without a hole: %+v, %v", seq, next, inv, err)
			return false
		}
		name := inv.Selectors[0].Key.Name
		if want, ok := acknowledged[seq]; ok && want != name {
			t.Errorf("record %d is of %q, want %q", seq, name, want)
		}
		// What a record raised is there if the record is.
		if err := getMark(s.dir.Load().db, testKey(name), &mark); err != nil || mark[registry.ModeHard] == 0 {
			t.Errorf("mark of %s: %v, %v", name, mark, err)
		}
		if p := generations[fmt.Sprintf("%+v %s", registry.Selector{Tag: name}, registry.ModeHard)]; p == 0 || p >= s.Position() {
			t.Errorf("generation of %s is %d, with a position of %d", name, p, s.Position())
		}
		delete(acknowledged, seq)
		next++
		return true
	})
	if err != nil {
		t.Error(err)
	}
	if len(acknowledged) > 0 {
		t.Errorf("%d acknowledged invalidations are lost: %v", len(acknowledged), slices.Sorted(maps.Keys(acknowledged)))
	}
	if got := s.Status().Journal; got != next-1 {
		t.Errorf("%d records are counted, %d are there", got, next-1)
	}
	for e := range epochsOf(t, s) {
		if e.Start != 1 || e.Last != next-1 || e.Count != next-1 {
			t.Errorf("epoch %+v, want 1 to %d", e, next-1)
		}
	}
}

// epochsOf returns the states of the epochs of which there are records.
func epochsOf(tb testing.TB, s *Store) map[EpochState]bool {
	tb.Helper()
	got := map[EpochState]bool{}
	if err := s.Epochs(func(e EpochState) bool { got[e] = true; return true }); err != nil {
		tb.Fatal(err)
	}
	return got
}

func TestGenerationsAreTheNewestOfEachMode(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := mustOpen(t, memOptions(mem))
	consul := registry.Key{Registry: "consul"}
	appendWide(t, s, registry.ModeHard, 9, testWide()...)
	appendWide(t, s, registry.ModeHard, 7, testWide()...) // reaches the disk later
	appendWide(t, s, registry.ModeSoft, 12, registry.Selector{Tag: "payments"})
	appendWide(t, s, registry.ModeVerify, 13, registry.Selector{Key: consul, All: true})
	appendName(t, s, registry.ModeHard, 14, "web") // not a wide one
	want := map[string]uint64{}
	for _, wide := range testWide() {
		want[fmt.Sprintf("%+v hard", wide)] = 9
	}
	want[fmt.Sprintf("%+v soft", registry.Selector{Tag: "payments"})] = 12
	want[fmt.Sprintf("%+v verify", registry.Selector{Key: consul})] = 13
	for name, s := range map[string]*Store{"at once": s, "after a crash": mustOpen(t, memOptions(afterCrash(mem, nil)))} {
		if got := generationsOf(t, s); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestForgetLeavesWhatWasRaisedSince(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := mustOpen(t, memOptions(mem))
	a, b, c := registry.Selector{Tag: "a"}, registry.Selector{Prefix: "b"}, registry.Selector{Tag: "c"}
	appendWide(t, s, registry.ModeSoft, 5, a, b, c)
	appendWide(t, s, registry.ModeHard, 6, b)
	if err := s.Forget([]registry.Selector{a, b}, 5); err != nil {
		t.Fatal(err)
	}
	want := map[string]uint64{
		fmt.Sprintf("%+v soft", b): 5, fmt.Sprintf("%+v hard", b): 6, fmt.Sprintf("%+v soft", c): 5,
	}
	if got := generationsOf(t, s); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	// Raised again in the round in which it is forgotten, and after.
	gathered(t, s, 2, func(i int) error {
		if i == 0 {
			return s.Forget([]registry.Selector{c}, 5)
		}
		poll(t, "it is forgotten", func() bool { return generationsOf(t, s)[fmt.Sprintf("%+v soft", c)] == 0 })
		return s.Append(t.Context(), &registry.Invalidation{Mode: registry.ModeVerify, Selectors: []registry.Selector{c}},
			registry.Applied{Position: 8, Wide: []registry.Selector{c}})
	})
	delete(want, fmt.Sprintf("%+v soft", c))
	want[fmt.Sprintf("%+v verify", c)] = 8
	for name, s := range map[string]*Store{"at once": s, "after a crash": mustOpen(t, memOptions(afterCrash(mem, nil)))} {
		if got := generationsOf(t, s); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestRecordsOfPeersKeepTheirIDs(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := mustOpen(t, memOptions(mem))
	record := func(seq uint64, name string) []byte {
		inv, keys := byName(registry.ModeHard, name)
		inv.Origin, inv.Epoch, inv.Seq = 77, 5, seq
		raw := append(registry.AppendInvalidation(nil, inv), "from the future"...)
		given := slices.Clone(raw)
		if err := s.Record(t.Context(), inv, given, registry.Applied{Position: 10 + seq, Keys: keys}); err != nil {
			t.Fatal(err)
		}
		clear(given) // the caller's again
		return raw
	}
	want := map[uint64]string{}
	for _, seq := range []uint64{2, 4, 3, 4} { // with a hole, late, twice
		want[seq] = string(record(seq, fmt.Sprint(seq)))
	}
	mustWrite(t, s, []*registry.Stored{stored("3", "a", 1, 12), stored("4", "a", 1, 14)}, nil)
	for name, s := range map[string]*Store{"at once": s, "opened again": mustOpen(t, memOptions(afterCrash(mem, nil)))} {
		got := map[uint64]string{}
		last := uint64(0)
		if err := s.Range(77, 5, 0, func(seq uint64, raw []byte) bool {
			got[seq] = string(raw)
			if seq <= last {
				t.Errorf("%s: record %d after %d", name, seq, last)
			}
			last = seq
			return true
		}); err != nil || !maps.Equal(got, want) {
			t.Errorf("%s: got %v, %v; want the bytes as received: %v", name, got, err, want)
		}
		if got := epochsOf(t, s); !got[EpochState{Origin: 77, Epoch: 5, Start: 1, Last: 4, Count: 3, Newest: 4}] {
			t.Errorf("%s: epochs %+v", name, got)
		}
	}
	if e := mustGet(t, s, "3"); e.Mode != registry.ModeHard {
		t.Errorf("fetched before the peer's invalidation: %+v", e)
	}
	if e := mustGet(t, s, "4"); e.Mode != registry.ModeNone {
		t.Errorf("fetched after the peer's invalidation: %+v", e)
	}
}

func TestAClosedStoreRefusesAll(t *testing.T) {
	s := mustOpen(t, memOptions(vfs.NewMem()))
	mustClose(t, s)
	inv, keys := byName(registry.ModeHard, "web")
	if err := s.Append(t.Context(), inv, registry.Applied{Position: 1, Keys: keys}); !errors.Is(err, registry.ErrNotDurable) || !errors.Is(err, errClosed) {
		t.Errorf("Append: %v", err)
	}
	if err := s.Mark(keys, registry.ModeHard, 1); !errors.Is(err, errClosed) {
		t.Errorf("Mark: %v", err)
	}
	if _, err := s.Get(testKey("web")); !errors.Is(err, errClosed) {
		t.Errorf("Get: %v", err)
	}
	if err := s.Scan("consul", "", nil); !errors.Is(err, errClosed) {
		t.Errorf("Scan: %v", err)
	}
	if err := s.Write(1, []*registry.Stored{stored("web", "a", 1, 1)}, nil, nil); !errors.Is(err, errClosed) {
		t.Errorf("Write: %v", err)
	}
	if err := s.Range(1, 1, 1, nil); !errors.Is(err, errClosed) {
		t.Errorf("Range: %v", err)
	}
	mustClose(t, s) // twice is harmless
}

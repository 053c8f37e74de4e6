package store

import (
	"fmt"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/edgecache/edgecache/registry"
)

// countKeys returns how many keys there are of a family.
func countKeys(tb testing.TB, s *Store, family byte) (n int) {
	tb.Helper()
	it, err := s.dir.Load().db.NewIter(&pebble.IterOptions{LowerBound: []byte{family}, UpperBound: []byte{family + 1}})
	if err != nil {
		tb.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	if err := it.Close(); err != nil {
		tb.Fatal(err)
	}
	return n
}

// TestTheJournalIsCapped appends a day's invalidations, a thousandth of them.
// Each seventh is hard.
func TestTheJournalIsCapped(t *testing.T) {
	const records, total, callers = 1000, 86_400, 16
	mem := vfs.NewMem()
	o := memOptions(mem)
	o.Records = records
	s := mustOpen(t, o)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for n := i; n < total; n += callers {
				inv, _ := byName(registry.ModeSoft, "web")
				if err := s.Append(t.Context(), inv, registry.Applied{Position: uint64(n + 1)}); err != nil {
					t.Error(err)
					return
				}
				if got := s.Status().Journal; got > records {
					t.Errorf("%d records after %d", got, n)
					return
				}
			}
		})
	}
	wg.Wait()
	check := func(how string, s *Store, own EpochState) {
		t.Helper()
		if n := countKeys(t, s, familyJournal); n > records || n < records*3/4 || uint64(n) != s.Status().Journal || uint64(n) != own.Count {
			t.Errorf("%s: %d records, counted as %d and %+v; want about %d and no more", how, n, s.Status().Journal, own, records)
		}
		if own.Last != total || own.Start != total-own.Count+1 {
			t.Errorf("%s: %+v, want the newest of %d", how, own, total)
		}
		var first uint64
		if err := s.Range(own.Origin, own.Epoch, 0, func(seq uint64, _ []byte) bool { first = seq; return false }); err != nil || first != own.Start {
			t.Errorf("%s: the first record is %d, %v; want %d", how, first, err, own.Start)
		}
	}
	own := only(t, s)
	check("at once", s, own)
	db := s.dir.Load().db
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := db.Compact(t.Context(), []byte{familyJournal}, []byte{familyJournal + 1}, false); err != nil {
		t.Fatal(err)
	}
	bytes, err := db.EstimateDiskUsage([]byte{familyJournal}, []byte{familyJournal + 1})
	if err != nil || bytes > 100*records {
		t.Errorf("%d records take %d bytes, %v: what was truncated is still there", records, bytes, err)
	}
	mustClose(t, s)
	again := mustOpen(t, o)
	check("opened again", again, own)
}

// only returns the state of the one epoch there is.
func only(t *testing.T, s *Store) (own EpochState) {
	t.Helper()
	all := epochsOf(t, s)
	if len(all) != 1 {
		t.Fatalf("epochs %+v, want one", all)
	}
	for e := range all {
		own = e
	}
	return own
}

func TestTheLastHardOneBelowTheStartIsKnown(t *testing.T) {
	mem := vfs.NewMem()
	o := memOptions(mem)
	o.Records = 50
	s := mustOpen(t, o)
	for seq := uint64(1); seq <= 500; seq++ {
		m := registry.ModeSoft
		if seq%7 == 0 && seq < 400 {
			m = registry.ModeHard
		}
		appendName(t, s, m, seq, "web")
		e := only(t, s)
		if want := min((e.Start-1)/7*7, 399/7*7); e.Hard != want || e.Last != seq || e.Count > 50 {
			t.Fatalf("after %d: %+v, want %d as the last hard one below the start", seq, e, want)
		}
	}
	own := only(t, s)
	mustClose(t, s)
	if again := only(t, mustOpen(t, o)); again != own {
		t.Errorf("opened again: %+v, want %+v", again, own)
	}
}

// TestTheCapTakesTheOldestOfAllEpochs has records of three epochs, one after
// the other and then in turns.
func TestTheCapTakesTheOldestOfAllEpochs(t *testing.T) {
	o := memOptions(vfs.NewMem())
	o.Records = 30
	s := mustOpen(t, o)
	position := uint64(0)
	record := func(origin, seq uint64) {
		t.Helper()
		position++
		inv, keys := byName(registry.ModeSoft, "web")
		inv.Origin, inv.Epoch, inv.Seq = origin, 9, seq
		if err := s.Record(t.Context(), inv, registry.AppendInvalidation(nil, inv), registry.Applied{Position: position, Keys: keys}); err != nil {
			t.Fatal(err)
		}
	}
	of := func(origin uint64) (of EpochState) {
		for e := range epochsOf(t, s) {
			if e.Origin == origin {
				of = e
			}
		}
		return of
	}
	for seq := uint64(1); seq <= 20; seq++ {
		record(3, seq)
	}
	for seq := uint64(1); seq <= 20; seq++ {
		record(2, seq)
	}
	if two, three := of(2), of(3); two.Count != 20 || three.Start < 11 || three.Count < 5 {
		t.Errorf("after two epochs: %+v and %+v, want only old ones gone", two, three)
	}
	for seq := uint64(1); seq <= 15; seq++ {
		record(1, seq)
		record(3, 20+seq)
	}
	one, two, three := of(1), of(2), of(3)
	if n := one.Count + two.Count + three.Count; n > 30 || n < 24 || uint64(countKeys(t, s, familyJournal)) != n {
		t.Errorf("%d records, %d keys, want 30 at most", n, countKeys(t, s, familyJournal))
	}
	if one.Count != 15 || three.Start < 21 || two.Start < 17 {
		t.Errorf("in turns: %+v, %+v and %+v, want only old ones gone", one, two, three)
	}
	// What was truncated does not come back.
	record(2, 7)
	if got := of(2); got.Count > two.Count || got.Start < two.Start {
		t.Errorf("after a record below the start: %+v, it was %+v", got, two)
	}
}

func TestTruncateRemovesWhatIsBelow(t *testing.T) {
	mem := vfs.NewMem()
	o := memOptions(mem)
	s := mustOpen(t, o)
	const total = 2*truncateStep + 100
	gathered := make(chan error, total)
	var position uint64
	for seq := uint64(1); seq <= total; seq++ {
		m := registry.ModeSoft
		if seq%1000 == 0 {
			m = registry.ModeHard
		}
		position++
		inv, _ := byName(m, "web")
		inv.Origin, inv.Epoch, inv.Seq = 77, 5, seq
		raw := registry.AppendInvalidation(nil, inv)
		at := position
		go func() { gathered <- s.Record(t.Context(), inv, raw, registry.Applied{Position: at}) }()
	}
	for range total {
		if err := <-gathered; err != nil {
			t.Fatal(err)
		}
	}
	const newest = total / 1000 * 1000
	for _, c := range []struct {
		below uint64
		want  EpochState
	}{
		{1, EpochState{Start: 1, Last: total, Count: total, Newest: newest}},
		{1001, EpochState{Start: 1001, Last: total, Count: total - 1000, Hard: 1000, Newest: newest}},
		{500, EpochState{Start: 1001, Last: total, Count: total - 1000, Hard: 1000, Newest: newest}},
		{total, EpochState{Start: total, Last: total, Count: 1, Hard: newest, Newest: newest}},
		{total + 50, EpochState{Start: total + 50, Last: total + 49, Hard: total + 49, Newest: total + 49}}, // what never came may have been
	} {
		if err := s.Truncate(77, 5, c.below); err != nil {
			t.Fatal(err)
		}
		c.want.Origin, c.want.Epoch = 77, 5
		if got := only(t, s); got != c.want {
			t.Errorf("below %d: %+v, want %+v", c.below, got, c.want)
		}
		if n := countKeys(t, s, familyJournal); uint64(n) != c.want.Count || s.Status().Journal != c.want.Count {
			t.Errorf("below %d: %d records, counted as %d, want %d", c.below, n, s.Status().Journal, c.want.Count)
		}
	}
	before := only(t, s)
	mustClose(t, s)
	if got := only(t, mustOpen(t, o)); got != before {
		t.Errorf("opened again: %+v, want %+v", got, before)
	}
}

// TestACountThatIsWrongEndsWithItsRecords has a directory that says to hold
// more records than it does, as after some were lost.
func TestACountThatIsWrongEndsWithItsRecords(t *testing.T) {
	o := memOptions(vfs.NewMem())
	o.Records = 100
	s := mustOpen(t, o)
	appendName(t, s, registry.ModeSoft, 1, "web")
	lost := epochID{77, 5}
	if err := s.do(func(r *round) error {
		*r.d.journal.epoch(lost) = epochState{EpochState{Origin: 77, Epoch: 5, Start: 1, Last: 80, Count: 80}, 0}
		r.d.journal.records += 80
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for position := uint64(2); position < 100; position++ {
		appendName(t, s, registry.ModeSoft, position, "web")
	}
	if got := s.Status().Journal; got != 99 || countKeys(t, s, familyJournal) != 99 {
		t.Errorf("%d records counted, %d are there, want 99", got, countKeys(t, s, familyJournal))
	}
}

func TestTruncateLeavesRoomForWhatIsToCome(t *testing.T) {
	s := mustOpen(t, memOptions(vfs.NewMem()))
	for i := range 3 {
		appendName(t, s, registry.ModeHard, uint64(i+1), "web")
	}
	if err := s.Truncate(s.Node(), s.Epoch(), 1000); err != nil {
		t.Fatal(err)
	}
	inv := appendName(t, s, registry.ModeSoft, 4, "web")
	want := EpochState{Origin: s.Node(), Epoch: s.Epoch(), Start: 4, Last: 4, Count: 1, Hard: 3, Newest: 3}
	if got := only(t, s); got != want || inv.Seq != 4 {
		t.Errorf("%+v, sequence %d; want %+v", got, inv.Seq, want)
	}
	// An epoch of which nothing is here yet may begin anywhere.
	if err := s.Truncate(77, 5, 1000); err != nil {
		t.Fatal(err)
	}
	if got := epochsOf(t, s); !got[EpochState{Origin: 77, Epoch: 5, Start: 1000, Last: 999, Hard: 999, Newest: 999}] {
		t.Errorf("epochs %+v", got)
	}
}

func TestARecordThatNeverCameMayHaveBeenHard(t *testing.T) {
	s := mustOpen(t, memOptions(vfs.NewMem()))
	for _, seq := range []uint64{1, 2, 5, 6} {
		inv := &registry.Invalidation{Origin: 77, Epoch: 5, Seq: seq, Mode: registry.ModeSoft, Selectors: []registry.Selector{{All: true}}}
		if err := s.Record(t.Context(), inv, registry.AppendInvalidation(nil, inv), registry.Applied{Position: seq}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ below, hard uint64 }{{3, 0}, {6, 5}} {
		if err := s.Truncate(77, 5, c.below); err != nil {
			t.Fatal(err)
		}
		if got := only(t, s); got.Start != c.below || got.Hard != c.hard || got.Newest != c.hard {
			t.Errorf("below %d: %+v, want hard %d", c.below, got, c.hard)
		}
	}
}

func TestRangeEndsWhenYieldSaysSo(t *testing.T) {
	s := mustOpen(t, memOptions(vfs.NewMem()))
	for i := range 2*rangePage + 3 {
		appendName(t, s, registry.ModeSoft, uint64(i+1), fmt.Sprint(i))
	}
	for _, most := range []int{1, rangePage, rangePage + 1, 3 * rangePage} {
		n := 0
		if err := s.Range(s.Node(), s.Epoch(), 1, func(uint64, []byte) bool { n++; return n < most }); err != nil || n != min(most, 2*rangePage+3) {
			t.Errorf("%d records, %v; want %d", n, err, most)
		}
	}
}

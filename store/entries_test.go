package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/edgecache/edgecache/registry"
)

func TestAnEntryComesBackAsItWasWritten(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := mustOpen(t, memOptions(mem))
	want := stored("web", "web-1", 7, 3)
	want.Empties, want.Mode = 2, registry.ModeSoft
	absent := &registry.Stored{Entry: registry.Entry{Key: testKey("gone"), Began: 4, Verified: 5}, Expires: 6}
	mustWrite(t, s, []*registry.Stored{want, absent}, nil)
	if e := mustGet(t, s, "never"); e != nil {
		t.Errorf("a key that was never written: %+v", e)
	}
	// A later sync makes what was written before it durable.
	appendName(t, s, registry.ModeSoft, 1, "other")
	again := mustOpen(t, memOptions(afterCrash(mem, nil)))
	for name, s := range map[string]*Store{"at once": s, "after a crash": again} {
		for _, want := range []*registry.Stored{want, absent} {
			got := mustGet(t, s, want.Name)
			if got == nil || string(appendStored(nil, got)) != string(appendStored(nil, want)) {
				t.Errorf("%s: got %+v, want %+v", name, got, want)
			}
		}
	}
}

func TestWhatIsConfirmedIsOfItsRecordOnly(t *testing.T) {
	s := mustOpen(t, memOptions(vfs.NewMem()))
	old, changed := stored("web", "web-1", 7, 3), stored("web", "web-2", 8, 5)
	c := confirmed(old, 4)
	c.Empties, c.Mode = 1, registry.ModeVerify
	check := func(what string, want registry.Confirmed) {
		t.Helper()
		e := mustGet(t, s, "web")
		got := registry.Confirmed{
			Key: e.Key, Index: indexOf(&e.Entry), Began: e.Began, Verified: e.Verified, Empties: e.Empties, Mode: e.Mode,
			Used: e.Used, Expires: e.Expires,
		}
		if got != want {
			t.Errorf("%s: got %+v, want %+v", what, got, want)
		}
	}
	mustWrite(t, s, []*registry.Stored{old}, nil)
	mustWrite(t, s, nil, []registry.Confirmed{c})
	check("confirmed", c)
	mustWrite(t, s, []*registry.Stored{changed}, nil)
	as := confirmed(changed, 5)
	as.Used, as.Expires = changed.Used, changed.Expires
	check("changed after it was confirmed", as)
	mustWrite(t, s, nil, []registry.Confirmed{c})
	check("confirmed as what it was before", as)
	mustWrite(t, s, []*registry.Stored{changed}, []registry.Confirmed{confirmed(changed, 9)})
	check("confirmed with the write", confirmed(changed, 9))

	both := stored("new", "a", 1, 1)
	mustWrite(t, s, []*registry.Stored{both}, []registry.Confirmed{confirmed(both, 9)})
	if e := mustGet(t, s, "new"); e.Began != 9 {
		t.Errorf("confirmed with its first write: %+v", e)
	}
	mustWrite(t, s, nil, []registry.Confirmed{confirmed(stored("never", "x", 1, 1), 2)})
	if e := mustGet(t, s, "never"); e != nil {
		t.Errorf("what is not there is made by its confirmation: %+v", e)
	}
	mustWrite(t, s, nil, nil, testKey("web"))
	if e := mustGet(t, s, "web"); e != nil {
		t.Errorf("deleted, but there: %+v", e)
	}
}

// TestTheModeIsRightInEveryOrder tries all orders in which writes of an entry,
// its confirmation, a newer entry and marks can reach the disk.
func TestTheModeIsRightInEveryOrder(t *testing.T) {
	mem := vfs.NewMem()
	s := mustOpen(t, memOptions(mem))
	type state struct {
		index, began uint64
		mode         registry.Mode
	}
	marks := []struct {
		m        registry.Mode
		position uint64
	}{{registry.ModeVerify, 2}, {registry.ModeHard, 4}, {registry.ModeSoft, 6}}
	const first, confirmation, second = 0, 1, 2 // and 3, 4, 5: marks
	want := map[string]state{}
	for order := range permutations([]int{first, confirmation, second, 3, 4, 5}) {
		name := fmt.Sprint(order)
		before, after := stored(name, "a", 7, 1), stored(name, "b", 8, 5)
		after.Mode = registry.ModeSoft // as the cache knew when it wrote it
		var st state
		var put bool
		for _, step := range order {
			switch step {
			case first:
				mustWrite(t, s, []*registry.Stored{before}, nil)
				st, put = state{7, 1, registry.ModeNone}, true
			case second:
				mustWrite(t, s, []*registry.Stored{after}, nil)
				st, put = state{8, 5, registry.ModeSoft}, true
			case confirmation:
				mustWrite(t, s, nil, []registry.Confirmed{confirmed(before, 3)})
				if put && st.index == 7 {
					st.began = 3
				}
			default:
				if step == 4 { // one of them comes from the journal
					appendName(t, s, marks[1].m, marks[1].position, name)
				} else if err := s.Mark([]registry.Key{testKey(name)}, marks[step-3].m, marks[step-3].position); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, mark := range marks {
			if mark.position > st.began {
				st.mode = max(st.mode, mark.m)
			}
		}
		want[name] = st
	}
	if len(want) != 720 {
		t.Fatalf("%d orders were tried, want 720", len(want))
	}
	check := func(how string, e *registry.Stored) {
		if got := (state{indexOf(&e.Entry), e.Began, e.Mode}); got != want[e.Name] {
			t.Errorf("%s, order %s: got %+v, want %+v", how, e.Name, got, want[e.Name])
		}
	}
	checkAll := func(how string, s *Store) {
		scanned := 0
		if err := s.Scan("consul", "", func(e *registry.Stored) bool { check(how+", scanned", e); scanned++; return true }); err != nil {
			t.Fatal(err)
		}
		if scanned != len(want) {
			t.Errorf("%s: %d entries scanned, want %d", how, scanned, len(want))
		}
		for name := range want {
			check(how, mustGet(t, s, name))
		}
	}
	checkAll("in memory", s)
	if err := s.dir.Load().db.Flush(); err != nil {
		t.Fatal(err)
	}
	checkAll("flushed", s)
	mustClose(t, s)
	checkAll("opened again", mustOpen(t, memOptions(mem)))
}

// permutations yields all orders of list.
func permutations(list []int) func(func([]int) bool) {
	return func(yield func([]int) bool) {
		var from func(i int) bool
		from = func(i int) bool {
			if i == len(list) {
				return yield(slices.Clone(list))
			}
			for j := i; j < len(list); j++ {
				list[i], list[j] = list[j], list[i]
				if !from(i + 1) {
					return false
				}
				list[i], list[j] = list[j], list[i]
			}
			return true
		}
		from(0)
	}
}

func TestAWriteForAnotherDirectoryIsRefused(t *testing.T) {
	s := mustOpen(t, memOptions(vfs.NewMem()))
	for _, number := range []uint32{2, 77} {
		err := s.Write(number, []*registry.Stored{stored("web", "a", 1, 1)}, nil, nil)
		if !errors.Is(err, errDirectory) || !strings.Contains(err.Error(), fmt.Sprintf("1, not %d", number)) {
			t.Errorf("Write(%d): %v", number, err)
		}
	}
	if e := mustGet(t, s, "web"); e != nil {
		t.Errorf("refused, but there: %+v", e)
	}
	if err := s.Write(1, []*registry.Stored{{Entry: registry.Entry{Key: registry.Key{Name: "x"}}}}, nil, nil); err == nil {
		t.Error("a key without a registry is taken")
	}
}

func TestAFullStoreConfirmsAndDeletes(t *testing.T) {
	mem := vfs.NewMem()
	s := mustOpen(t, memOptions(mem))
	a, b := stored("a", "a", 1, 1), stored("b", "b", 2, 1)
	mustWrite(t, s, []*registry.Stored{a, b}, nil)
	setFree(mem, 1)
	poll(t, "the store is full", func() bool { return s.Status().State == stateFull })
	err := s.Write(1, []*registry.Stored{stored("c", "c", 3, 1)}, []registry.Confirmed{confirmed(a, 9)}, []registry.Key{b.Key})
	if !errors.Is(err, errFull) || !strings.Contains(err.Error(), "free") {
		t.Errorf("Write on a full disk: %v; want an error that says why", err)
	}
	if e := mustGet(t, s, "a"); e != nil && e.Began != 9 {
		t.Errorf("not confirmed: %+v", e)
	}
	if mustGet(t, s, "b") != nil || mustGet(t, s, "c") != nil {
		t.Error("not deleted, or written in spite of all")
	}
	if st := s.Status(); st.State != stateFull || !strings.Contains(st.Error, "min_free") || s.Stats().Refused != 1 {
		t.Errorf("status %+v, %d refused", st, s.Stats().Refused)
	}
	if got := s.Degraded(); len(got) != 1 || !strings.HasPrefix(got[0], "store full: ") {
		t.Errorf("degraded: %q", got)
	}
	appendName(t, s, registry.ModeHard, 10, "a") // the journal goes on
}

func TestEntriesAreCounted(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := mustOpen(t, memOptions(mem))
	there := map[string]bool{}
	count := func() uint64 { return uint64(len(there)) }
	for i := range 200 {
		var put []*registry.Stored
		var del []registry.Key
		for j := range 5 {
			name := fmt.Sprint((i*7 + j*j*3) % 41)
			if (i+j)%3 > 0 {
				put = append(put, stored(name, "a", uint64(i), uint64(i)))
			}
		}
		for j := range 3 {
			del = append(del, testKey(fmt.Sprint((i*5+j*11)%41)))
		}
		for _, e := range put {
			there[e.Name] = true
		}
		for _, k := range del {
			delete(there, k.Name)
		}
		mustWrite(t, s, put, nil, del...)
		if got := s.Status().Entries; got != count() {
			t.Fatalf("after write %d: %d entries counted, %d are there", i, got, count())
		}
	}
	appendName(t, s, registry.ModeSoft, 1, "other")
	again := mustOpen(t, memOptions(afterCrash(mem, nil)))
	if got := again.Status().Entries; got != count() {
		t.Errorf("after a crash %d entries are counted, %d are there", got, count())
	}
	names := map[string]bool{}
	if err := again.Scan("consul", "", func(e *registry.Stored) bool { names[e.Name] = true; return true }); err != nil || !maps.Equal(names, there) {
		t.Errorf("after a crash there are %v, %v; want %v", names, err, there)
	}
}

func TestConcurrentWritesAreCountedOnce(t *testing.T) {
	s := mustOpen(t, memOptions(vfs.NewMem()))
	gathered(t, s, 8, func(i int) error {
		return s.Write(1, []*registry.Stored{stored("same", "a", 1, 1), stored(fmt.Sprint(i), "a", 1, 1)}, nil, nil)
	})
	if got := s.Status().Entries; got != 9 {
		t.Errorf("%d entries counted, want 9", got)
	}
	gathered(t, s, 8, func(int) error { return s.Write(1, nil, nil, []registry.Key{testKey("same")}) })
	if got := s.Status().Entries; got != 8 {
		t.Errorf("%d entries counted, want 8", got)
	}
}

func TestWhatCannotBeReadIsAnErrorAndCounted(t *testing.T) {
	s := mustOpen(t, memOptions(vfs.NewMem()))
	mustWrite(t, s, []*registry.Stored{stored("a", "a", 1, 1), stored("b", "b", 2, 1), stored("c", "c", 3, 1)}, nil)
	err := s.do(func(r *round) error {
		r.set(appendKey(nil, familyEntry, testKey("b")), []byte{storedPacked + 1, 0, 0})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if e, err := s.Get(testKey("b")); e != nil || !errors.Is(err, errUnreadable) {
		t.Errorf("Get: %+v, %v", e, err)
	}
	if got := s.Stats().Unreadable; got != 1 {
		t.Errorf("%d counted, want 1", got)
	}
	var names []string
	if err := s.Scan("consul", "", func(e *registry.Stored) bool { names = append(names, e.Name); return true }); err != nil || !slices.Equal(names, []string{"a", "c"}) {
		t.Errorf("Scan: %v, %v; want a and c", names, err)
	}
	if st := s.Status(); st.State != stateOK {
		t.Errorf("one value that cannot be read makes the store %+v", st)
	}
	// What is written next is there again.
	mustWrite(t, s, []*registry.Stored{stored("b", "b", 2, 1)}, nil)
	if mustGet(t, s, "b") == nil {
		t.Error("written over what could not be read, but not there")
	}
}

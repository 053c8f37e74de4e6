package store

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/edgecache/edgecache/registry"
)

// expiring returns an entry that expires in d.
func expiring(name string, d time.Duration, size int) *registry.Stored {
	e := testEntry(name, 1, size)
	e.Expires = time.Now().Add(d).UnixMilli()
	return e
}

// keys returns how many keys a family has.
func keys(t *testing.T, s *Store, family byte) (n int) {
	t.Helper()
	it, err := s.dir.Load().db.NewIter(&pebble.IterOptions{LowerBound: []byte{family}, UpperBound: []byte{family + 1}})
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestEntriesGoOnceTheyExpired(t *testing.T) {
	s := openOn(t, vfs.NewMem(), testDir)
	expired, kept, later := expiring("expired", -time.Second, 10), expiring("kept", time.Hour, 10), expiring("later", -time.Second, 10)
	if err := tryPut(t, s, expired, kept, later); err != nil {
		t.Fatal(err)
	}
	confirm := []registry.Confirmed{confirmed(expired, 2), confirmed(later, 2)}
	confirm[0].Expires = expired.Expires + 1
	confirm[1].Expires = time.Now().Add(time.Hour).UnixMilli()
	if err := s.Write(s.Directory(), nil, confirm, nil); err != nil {
		t.Fatal(err)
	}
	// More than one step has work to do.
	var more []*registry.Stored
	for i := range 5 * sweepStep {
		more = append(more, expiring(fmt.Sprintf("more-%04d", i), -time.Minute, 10))
	}
	for part := range slices.Chunk(more, 100) {
		if err := tryPut(t, s, part...); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.expire(s.dir.Load()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"expired": false, "kept": true, "later": true, "more-0000": false, "more-1279": false} {
		if e, err := getName(t, s, name); (e != nil) != want || err != nil {
			t.Errorf("%s: %v, %v; want it kept: %t", name, e, err, want)
		}
	}
	if e, s2, x := keys(t, s, familyEntry), keys(t, s, familyConfirmed), keys(t, s, familyExpiry); e != 2 || s2 != 1 || x != 2 {
		t.Errorf("%d entries, %d confirmations, %d in the expiry index; want 2, 1, 2", e, s2, x)
	}
	if st := s.Status(); st.Entries != 2 {
		t.Errorf("status says %d entries, want 2", st.Entries)
	}
}

func TestAnEntryWrittenAgainIsNotSweptForItsOldTime(t *testing.T) {
	s := openOn(t, vfs.NewMem(), testDir)
	if err := errors.Join(tryPut(t, s, expiring("a", -time.Second, 10)), tryPut(t, s, expiring("a", time.Hour, 10)), s.expire(s.dir.Load())); err != nil {
		t.Fatal(err)
	}
	if e, err := getName(t, s, "a"); e == nil || err != nil {
		t.Errorf("Get: %v, %v; want the entry", e, err)
	}
	if n := keys(t, s, familyExpiry); n != 1 {
		t.Errorf("%d keys in the expiry index, want 1", n)
	}
}

func TestAMarkOutlivesItsEntryForOnePass(t *testing.T) {
	s := openOn(t, vfs.NewMem(), testDir)
	d := s.dir.Load()
	needed, covered, gone := expiring("needed", time.Hour, 10), expiring("older", time.Hour, 10), expiring("gone", -time.Second, 10)
	covered.Began = 20
	if err := tryPut(t, s, needed, covered, gone); err != nil {
		t.Fatal(err)
	}
	marked := []registry.Key{needed.Key, covered.Key, gone.Key, {Registry: "consul", Name: "never"}}
	if err := errors.Join(s.Mark(marked, registry.ModeHard, 10), s.expire(d)); err != nil {
		t.Fatal(err)
	}
	if n := keys(t, s, familyMark); n != 4 {
		t.Fatalf("%d marks after the entries were swept, want 4: a write under way may need them", n)
	}
	seen, err := s.sweepMarks(d, nil)
	if err != nil || len(seen) != 3 || keys(t, s, familyMark) != 4 {
		t.Fatalf("first pass: %v, %v, %d marks; want 3 seen, and all 4 kept", seen, err, keys(t, s, familyMark))
	}
	// One is put again between the passes.
	if err := s.Mark(marked[3:], registry.ModeVerify, 30); err != nil {
		t.Fatal(err)
	}
	if seen, err = s.sweepMarks(d, seen); err != nil || len(seen) != 1 || keys(t, s, familyMark) != 2 {
		t.Errorf("second pass: %v, %v, %d marks; want the new one seen, and it and the needed one kept", seen, err, keys(t, s, familyMark))
	}
	if e, err := getName(t, s, "needed"); e == nil || e.Mode != registry.ModeHard || err != nil {
		t.Errorf("the entry that is covered: %v, %v; want it hard", e, err)
	}
	if _, err = s.sweepMarks(d, seen); err != nil || keys(t, s, familyMark) != 1 {
		t.Errorf("third pass: %v, %d marks; want only the needed one", err, keys(t, s, familyMark))
	}
}

func TestEvictionTakesWhatExpiresFirstAndNoInvalidation(t *testing.T) {
	o := Defaults()
	o.Dir, o.MaxBytes = t.TempDir(), 16*mib
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d := s.dir.Load()
	for i := range damagedTags {
		if err := invalidate(t, s, tagOf(i), 10+uint64(i)); err != nil {
			t.Fatal(err)
		}
	}
	const count = 160 // of 128 KiB: 20 MiB
	written := map[string]int64{}
	for i := range count {
		// Its place in the order of keys says nothing of when it expires.
		e := expiring(fmt.Sprintf("entry-%03d", i*7%count), time.Hour+time.Duration(i)*time.Minute, 128<<10)
		switch err := tryPut(t, s, e); {
		case err == nil:
			written[e.Name] = e.Expires
		case !errors.Is(err, errFull):
			t.Fatal(err)
		}
	}
	eventually(t, "nothing more has to go", func() error {
		s.room.check(d.number)
		if n := s.room.excess(); n > 0 {
			return fmt.Errorf("%d bytes too many", n)
		}
		return nil
	})
	var gone int64 // the time of the last that went
	kept := int64(math.MaxInt64)
	for name, expires := range written {
		e, err := getName(t, s, name)
		if err != nil {
			t.Fatal(err)
		}
		if e == nil {
			gone = max(gone, expires)
		} else {
			kept = min(kept, expires)
		}
	}
	if gone == 0 || kept == math.MaxInt64 || gone > kept {
		t.Errorf("the last that went expires at %d, the first that is left at %d; want some of each, in order", gone, kept)
	}
	mustRaise(t, s, allTags(0))
	if st := s.Status(); st.Journal != damagedTags {
		t.Errorf("%d records in the journal, want %d", st.Journal, damagedTags)
	}
}

func TestTheStoreSweepsByItself(t *testing.T) {
	disk := vfs.NewMem()
	setFree(disk, 500)
	s := openOn(t, disk, testDir)
	for i := range 100 {
		if err := tryPut(t, s, expiring(fmt.Sprint(i), time.Hour, 10)); err != nil {
			t.Fatal(err)
		}
	}
	setFree(disk, 1)
	eventually(t, "entries go", func() error {
		if n := s.Status().Entries; n > 0 {
			return fmt.Errorf("%d entries", n)
		}
		return nil
	})
}

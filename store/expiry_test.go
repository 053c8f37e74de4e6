package store

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/edgecache/edgecache/registry"
)

// sweepUntil sweeps what expires up to a time, however long a step takes.
func sweepUntil(t *testing.T, s *Store, until int64) {
	t.Helper()
	for n := 1; n > 0; {
		var err error
		if n, _, err = s.sweepEntries(s.dir.Load(), until, math.MaxUint64, time.Hour, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// expiringAt returns an entry that expires at a time in Unix ms.
func expiringAt(name string, at int64) *registry.Stored {
	e := testEntry(name, 1, 10)
	e.Expires = at
	return e
}

func TestListsOfWhatExpiresAreShortAndComplete(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		left := map[registry.Key]int64{}
		var all []expiry
		for i := range rapid.IntRange(0, 300).Draw(t, "entries") {
			e := expiry{rapid.Int64Range(0, 5*listTime).Draw(t, "at"), testKey(fmt.Sprint(i)), rapid.IntRange(0, listBytes).Draw(t, "bytes")}
			all = append(all, e, e)
			left[e.key] = e.at
		}
		bytes := map[registry.Key]int{}
		for _, e := range all {
			bytes[e.key] = e.bytes
		}
		seen := map[string]bool{}
		setExpiries(all, func(key, value []byte) {
			at, keys, err := parseExpiry(key, value)
			if err != nil || seen[string(key)] || len(keys) > listKeys {
				t.Fatalf("%q: %d keys, %v; want at most %d, and a key of its own", key, len(keys), err, listKeys)
			}
			seen[string(key)] = true
			total := 0
			for _, k := range keys {
				expires, ok := left[k]
				if !ok || expires > at || expires < at-listTime || total >= listBytes {
					t.Fatalf("%s, which expires at %d, is in a list of %d after %d bytes", k, expires, at, total)
				}
				total += bytes[k]
				delete(left, k)
			}
		})
		if len(left) > 0 {
			t.Fatalf("in no list: %v", left)
		}
	})
}

func TestAListIsLookedAtWhenTheLastOfItExpires(t *testing.T) {
	s := openOn(t, vfs.NewMem(), testDir)
	var list []*registry.Stored
	for i := range 100 {
		list = append(list, expiringAt(fmt.Sprint(i), 10_000+int64(i%2)*900))
	}
	if err := tryPut(t, s, list...); err != nil {
		t.Fatal(err)
	}
	if n := keys(t, s, familyExpiry); n != 2 {
		t.Errorf("%d lists of 100 entries, want 2", n)
	}
	sweepUntil(t, s, 9_999)
	if n := keys(t, s, familyEntry); n != 100 {
		t.Errorf("%d entries before any expired, want all", n)
	}
	sweepUntil(t, s, 10_900)
	if e, x := keys(t, s, familyEntry), keys(t, s, familyExpiry); e != 0 || x != 0 || s.Status().Entries != 0 {
		t.Errorf("%d entries, %d lists, and status says %d; want none", e, x, s.Status().Entries)
	}
}

// However often an entry is written and confirmed, it is in the index about once.
func TestTheExpiryIndexDoesNotGrowWithWrites(t *testing.T) {
	s := openOn(t, vfs.NewMem(), testDir)
	for i := range int64(20) {
		e := expiringAt("web", 10_000+i*5_000)
		c := confirmed(e, 2)
		c.Expires = e.Expires + 60_000
		if err := errors.Join(tryPut(t, s, e), s.Write(s.Directory(), nil, []registry.Confirmed{c}, nil)); err != nil {
			t.Fatal(err)
		}
		sweepUntil(t, s, 9_000+i*5_000)
	}
	sweepUntil(t, s, 150_000) // confirmed until 165 s
	if e, x := keys(t, s, familyEntry), keys(t, s, familyExpiry); e != 1 || x != 1 {
		t.Errorf("%d entries in %d lists, want one in one", e, x)
	}
	sweepUntil(t, s, 170_000)
	if e, x := keys(t, s, familyEntry), keys(t, s, familyExpiry); e != 0 || x != 0 {
		t.Errorf("%d entries in %d lists after it expired, want none", e, x)
	}
}

func TestTheExpiryIndexOfOlderProgramsIsSwept(t *testing.T) {
	s := openOn(t, vfs.NewMem(), testDir)
	d := s.dir.Load()
	var confirm []registry.Confirmed
	for i := range int64(10) {
		e := expiringAt(fmt.Sprint(i), 10_000+i)
		if err := tryPut(t, s, e); err != nil {
			t.Fatal(err)
		}
		if i < 3 {
			confirm = append(confirm, confirmed(e, 2))
			confirm[i].Expires = 20_000
		}
	}
	if err := errors.Join(s.Write(s.Directory(), nil, confirm, nil),
		d.db.DeleteRange([]byte{familyExpiry}, []byte{familyExpiry + 1}, pebble.NoSync)); err != nil {
		t.Fatal(err)
	}
	for i := range int64(10) {
		if err := d.db.Set(appendExpiryKey(nil, 10_000+i, testKey(fmt.Sprint(i))), nil, pebble.NoSync); err != nil {
			t.Fatal(err)
		}
	}
	sweepUntil(t, s, 15_000)
	if e, x := keys(t, s, familyEntry), keys(t, s, familyExpiry); e != 3 || x != 1 {
		t.Errorf("%d entries in %d lists; want the 3 that were confirmed, in one", e, x)
	}
	sweepUntil(t, s, 25_000)
	if e, x := keys(t, s, familyEntry), keys(t, s, familyExpiry); e != 0 || x != 0 {
		t.Errorf("%d entries in %d lists after they expired, want none", e, x)
	}
}

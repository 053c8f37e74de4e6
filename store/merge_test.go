package store

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/edgecache/edgecache/registry"
)

func TestOnlyWhatRisesIsMerged(t *testing.T) {
	p := positions{registry.ModeSoft: 1}
	for _, key := range testKeys() {
		var value []byte
		may := false
		switch key[0] {
		case familyMark, familyGeneration:
			value, may = p.append(nil), true
		case familyNumber:
			value, may = appendNumber(nil, 1), true
		}
		if _, err := merger.Merge(key, value); (err == nil) != may {
			t.Errorf("merging %q: %v", key, err)
		}
	}
	if _, err := merger.Merge(appendNumberKey(nil, numberWall), []byte{9, 9}); err == nil {
		t.Error("a number that cannot be read is merged")
	}
	if _, err := merger.Merge(nil, nil); err == nil {
		t.Error("an empty key is merged")
	}
}

// TestMergedIsTheGreatestInAnyOrder merges in each way that Pebble may.
func TestMergedIsTheGreatestInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := appendKey(nil, familyMark, testKey("web"))
		var want positions
		list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) positions {
			return at(registry.Mode(rapid.IntRange(1, 3).Draw(t, "mode")), rapid.Uint64().Draw(t, "position"))
		}), 1, 10).Draw(t, "positions")
		split := rapid.IntRange(0, len(list)-1).Draw(t, "split")
		merge := func(list []positions, newer bool) []byte {
			m, err := merger.Merge(key, list[0].append(nil))
			if err != nil {
				t.Fatal(err)
			}
			for i := range list[1:] {
				add := m.MergeOlder
				if newer {
					add = m.MergeNewer
				}
				if err := add(list[i+1].append(nil)); err != nil {
					t.Fatal(err)
				}
			}
			value, _, err := m.Finish(true)
			if err != nil {
				t.Fatal(err)
			}
			return value
		}
		for i := range list {
			want.raise(&list[i])
		}
		parts := [][]byte{merge(list[split:], true)}
		if split > 0 {
			parts = append(parts, merge(list[:split], false))
		}
		var whole []positions
		for _, part := range parts {
			p, err := parsePositions(part)
			if err != nil {
				t.Fatal(err)
			}
			whole = append(whole, p)
		}
		if got, err := parsePositions(merge(whole, false)); err != nil || got != want {
			t.Errorf("got %v, %v; want %v", got, err, want)
		}
	})
}

func TestMarksAreMergedInTables(t *testing.T) {
	s := mustOpen(t, memOptions(vfs.NewMem()))
	for _, position := range []uint64{5, 9, 3} {
		if err := s.Mark([]registry.Key{testKey("web")}, registry.ModeVerify, position); err != nil {
			t.Fatal(err)
		}
		if err := s.dir.Load().db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.dir.Load().db.Compact(t.Context(), []byte{familyMark}, []byte{familyMark + 1}, false); err != nil {
		t.Fatal(err)
	}
	var mark positions
	if err := getMark(s.dir.Load().db, testKey("web"), &mark); err != nil || mark != (positions{registry.ModeVerify: 9}) {
		t.Errorf("got %v, %v", mark, err)
	}
}

package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/edgecache/edgecache/registry"
)

const damagedTags = 200

// closedStore leaves a directory on a real disk with wide invalidations and
// some entries, in tables or still in the WAL, and returns its node.
func closedStore(t *testing.T, dir string, tables bool, entries int) (node uint64) {
	t.Helper()
	s := openOn(t, vfs.Default, dir)
	for i := range damagedTags {
		err := invalidate(t, s, tagOf(i), 10+uint64(i))
		if i < entries {
			err = errors.Join(err, tryPut(t, s, testEntry(fmt.Sprintf("entry-%03d", i), 1000, 4<<10)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if tables {
		db := s.dir.Load().db
		if err := errors.Join(db.Flush(), db.Compact(t.Context(), []byte{0}, []byte{0xff}, false)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return s.Node()
}

func tagOf(i int) string { return fmt.Sprintf("tag-%03d", i) }

// allTags are the positions of closedStore's tags, and of everything if it is raised.
func allTags(all uint64) map[string]uint64 {
	want := map[string]uint64{"all": all}
	for i := range damagedTags {
		want[tagOf(i)] = 10 + uint64(i)
	}
	return want
}

// files returns the paths of the files in directory 1 of that name.
func files(t *testing.T, dir, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(directoryPath(dir, 1), pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	slices.Sort(paths)
	return paths
}

// rewrite changes a file as if the disk had.
func rewrite(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// flip turns bits in the middle of some bytes.
func flip(from, to float64) func([]byte) []byte {
	return func(b []byte) []byte {
		for i := int(from * float64(len(b))); i < int(to*float64(len(b))); i++ {
			b[i] ^= 0x55
		}
		return b
	}
}

func TestADamagedDirectoryIsReplaced(t *testing.T) {
	for _, c := range []struct {
		name     string
		tables   bool
		damage   func(t *testing.T, dir string)
		complete bool // all invalidations can still be read
	}{
		{"the MANIFEST is corrupt", true, func(t *testing.T, dir string) {
			for _, path := range files(t, dir, "MANIFEST-*") {
				rewrite(t, path, flip(0, 1))
			}
		}, true},
		{"the MANIFEST is gone", true, func(t *testing.T, dir string) {
			for _, path := range files(t, dir, "MANIFEST-*") {
				remove(t, path)
			}
		}, true},
		{"nothing says which MANIFEST counts", true, func(t *testing.T, dir string) { remove(t, files(t, dir, "marker.manifest.*")...) }, true},
		{"nothing says which MANIFEST counts, all is in the WAL", false, func(t *testing.T, dir string) { remove(t, files(t, dir, "marker.manifest.*")...) }, true},
		{"nothing says which format it has", true, func(t *testing.T, dir string) { remove(t, files(t, dir, "marker.format-version.*")...) }, true},
		{"a newer engine wrote it", true, func(t *testing.T, dir string) {
			marker := files(t, dir, "marker.format-version.*")[0]
			if err := os.Rename(marker, marker[:len(marker)-3]+"999"); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"a newer program wrote it", true, func(t *testing.T, dir string) {
			s := openOn(t, vfs.Default, dir)
			if err := errors.Join(s.do(func(r *round) error { r.setNumber(numberFormat, formatVersion+1); r.sync = true; return nil }), s.Close()); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"the tables are gone", true, func(t *testing.T, dir string) { remove(t, files(t, dir, "*.sst")...) }, false},
		{"all is gone but the tables", true, func(t *testing.T, dir string) {
			for _, path := range files(t, dir, "*") {
				if !strings.HasSuffix(path, ".sst") {
					remove(t, path)
				}
			}
		}, true},
		{"a table is cut short", true, func(t *testing.T, dir string) {
			rewrite(t, files(t, dir, "*.sst")[0], func(b []byte) []byte { return b[:len(b)/2] })
		}, false},
		{"the tables are corrupt", true, func(t *testing.T, dir string) {
			for _, path := range files(t, dir, "*.sst") {
				rewrite(t, path, flip(0, 1))
			}
		}, false},
		{"the WAL is corrupt in the middle", false, func(t *testing.T, dir string) { rewrite(t, files(t, dir, "*.log")[0], flip(0.4, 0.41)) }, false},
		{"the newest WAL is corrupt in the middle", false, func(t *testing.T, dir string) {
			logs := files(t, dir, "*.log")
			rewrite(t, logs[len(logs)-1], flip(0.4, 0.41))
		}, false},
		{"the WAL is corrupt at its beginning", false, func(t *testing.T, dir string) { rewrite(t, files(t, dir, "*.log")[0], flip(0, 0.001)) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			node := closedStore(t, dir, c.tables, damagedTags)
			c.damage(t, dir)
			s := openOn(t, vfs.Default, dir)
			if err := state(s, stateOK, "")(); err != nil || s.Directory() != 2 {
				t.Errorf("directory %d, %v; want 2, ok", s.Directory(), err)
			}
			tags := raisedTags(t, s)
			switch {
			case c.complete:
				mustRaise(t, s, allTags(0))
				if s.Node() != node || s.Position() <= 1000 {
					t.Errorf("node %x, position %d; want %x, above 1000", s.Node(), s.Position(), node)
				}
			case tags["all"] == 0 || tags["all"] < slices.Max(slices.Collect(mapValues(tags))):
				t.Errorf("not all can be read, but not everything is raised: %v", tags)
			}
			if note := readFile(t, vfs.Default, notePath(dir, 1)); note == "" {
				t.Error("the note says nothing")
			}
			if err := errors.Join(invalidate(t, s, "after", s.Position()+1), tryPut(t, s, testEntry("after", s.Position()+2, 10)), s.Close()); err != nil {
				t.Errorf("writing to the fresh directory: %v", err)
			}
			again := openOn(t, vfs.Default, dir)
			if e, err := getName(t, again, "after"); e == nil || err != nil || again.Directory() != 2 {
				t.Errorf("after a restart: %v, %v, directory %d; want the entry, and 2", e, err, again.Directory())
			}
			tags["after"] = s.Position() + 1
			mustRaise(t, again, tags)
		})
	}
}

func mapValues(m map[string]uint64) func(func(uint64) bool) {
	return func(yield func(uint64) bool) {
		for _, v := range m {
			if !yield(v) {
				return
			}
		}
	}
}

func remove(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestACorruptTableOfEntriesIsFoundAndReplaced(t *testing.T) {
	dir := t.TempDir()
	closedStore(t, dir, true, damagedTags)
	// Entries come before invalidations in the order of keys.
	rewrite(t, files(t, dir, "*.sst")[0], flip(0.1, 0.5))
	s := openOn(t, vfs.Default, dir)
	failed := 0
	for i := range damagedTags {
		e, err := getName(t, s, fmt.Sprintf("entry-%03d", i))
		if err != nil {
			failed++
		} else if s.Directory() == 1 && e == nil {
			t.Errorf("entry %d of the directory that is in use is not there, without an error", i)
		}
	}
	if failed == 0 {
		t.Fatal("nothing was corrupt")
	}
	eventually(t, "it is in a fresh directory", state(s, stateOK, ""))
	if s.Directory() != 2 {
		t.Errorf("directory %d, want 2", s.Directory())
	}
	mustRaise(t, s, allTags(0))
	if note := readFile(t, vfs.Default, notePath(dir, 1)); !strings.Contains(note, "corrupt") {
		t.Errorf("note: %q, want why", note)
	}
}

// Entries are read from a directory whose tables were cut short while it was in
// use.
func TestATableThatIsCutShortIsFoundAndReplaced(t *testing.T) {
	dir := t.TempDir()
	closedStore(t, dir, true, 100)
	s := openOn(t, vfs.Default, dir)
	for _, path := range files(t, dir, "*.sst") {
		if err := os.Truncate(path, 100); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Scan("consul", "", func(*registry.Stored) bool { return true }); err == nil {
		t.Error("all was read")
	}
	eventually(t, "it is in a fresh directory", state(s, stateOK, ""))
	if s.Directory() != 2 {
		t.Errorf("directory %d, want 2", s.Directory())
	}
}

func TestACorruptBlockOfInvalidationsShowsAtOnce(t *testing.T) {
	dir := t.TempDir()
	closedStore(t, dir, true, 0)
	for _, path := range files(t, dir, "*.sst") {
		rewrite(t, path, flip(0.1, 0.2))
	}
	s := openOn(t, vfs.Default, dir)
	tags := raisedTags(t, s)
	if s.Directory() != 2 || tags["all"] == 0 || tags["all"] < slices.Max(slices.Collect(mapValues(tags))) {
		t.Errorf("directory %d, want 2, and everything raised above what can be read: %v", s.Directory(), tags)
	}
}

func TestATornWALIsNoDamage(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			disk := vfs.NewCrashableMem()
			s := openOn(t, disk, testDir)
			for i := range damagedTags {
				if err := invalidate(t, s, tagOf(i), 10+uint64(i)); err != nil {
					t.Fatal(err)
				}
			}
			// These are not synced: any part of them may be on the disk.
			for i := range 50 {
				if err := tryPut(t, s, testEntry(fmt.Sprintf("entry-%03d", i), 1000, 2<<10)); err != nil {
					t.Fatal(err)
				}
			}
			crashed := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			again := openOn(t, crashed, testDir)
			if again.Directory() != 1 {
				t.Errorf("directory %d, want 1", again.Directory())
			}
			mustRaise(t, again, allTags(0))
		})
	}
}

func TestADirectoryWhoseBeginningWasCutShortIsNotBelieved(t *testing.T) {
	dir := t.TempDir()
	node := closedStore(t, dir, false, damagedTags)
	if err := setAside(vfs.Default, dir, 1, errors.New("it broke")); err != nil {
		t.Fatal(err)
	}
	// Directory 2 was being filled when the process was killed, twice.
	for n := uint32(2); n <= 3; n++ {
		db, err := openPebble(vfs.Default, directoryPath(dir, n), merger, Options{}.withDefaults(), hooks{died: func(error) {}})
		if err != nil {
			t.Fatal(err)
		}
		tag := registry.Selector{Tag: tagOf(0), Key: registry.Key{Registry: "consul"}}
		p := at(registry.ModeHard, 10)
		if err := errors.Join(db.Merge(appendGenerationKey(nil, tag), p.append(nil), pebble.Sync), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	s := openOn(t, vfs.Default, dir)
	if s.Directory() != 4 || s.Node() != node {
		t.Errorf("directory %d, node %x; want 4, %x", s.Directory(), s.Node(), node)
	}
	mustRaise(t, s, allTags(0))
}

func TestTheJournalOfABrokenDirectoryGoesOn(t *testing.T) {
	dir := t.TempDir()
	closedStore(t, dir, true, damagedTags)
	before := journalOf(t, openOn(t, vfs.Default, dir))
	remove(t, files(t, dir, "marker.manifest.*")...)
	s := openOn(t, vfs.Default, dir)
	if after := journalOf(t, s); s.Directory() != 2 || !slices.Equal(after[:min(len(after), len(before))], before) {
		t.Errorf("directory %d has %d records, want 2 and the %d of directory 1:\n%q\n%q", s.Directory(), len(after), len(before), after, before)
	}
	if st := s.Status(); st.Journal != uint64(damagedTags) {
		t.Errorf("status says %d records, want %d", st.Journal, damagedTags)
	}
}

// journalOf closes a store after it read its journal.
func journalOf(t *testing.T, s *Store) (list []string) {
	t.Helper()
	var epochs []EpochState
	if err := s.Epochs(func(e EpochState) bool { epochs = append(epochs, e); return true }); err != nil {
		t.Fatal(err)
	}
	for _, e := range epochs {
		if err := s.Range(e.Origin, e.Epoch, 0, func(seq uint64, raw []byte) bool {
			list = append(list, fmt.Sprintf("%x/%x/%d %x", e.Origin, e.Epoch, seq, raw))
			return true
		}); err != nil {
			t.Fatal(err)
		}
	}
	if len(list) == 0 {
		t.Fatal("the journal is empty")
	}
	if s.Directory() == 1 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

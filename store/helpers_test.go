package store

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/edgecache/edgecache/registry"
)

func memOptions(fs vfs.FS) Options {
	o := Defaults()
	o.Dir, o.FS = "/data", fs
	return o
}

// mustOpen opens a store that the test closes, at its end if not before.
func mustOpen(tb testing.TB, o Options) *Store { return mustOpenAt(tb, o, time.Now) }

func mustOpenAt(tb testing.TB, o Options, wall func() time.Time) *Store {
	tb.Helper()
	s, err := open(o, wall)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { mustClose(tb, s) })
	return s
}

func mustClose(tb testing.TB, s *Store) {
	tb.Helper()
	if err := s.Close(); err != nil {
		tb.Error(err)
	}
}

// afterCrash returns what is on a disk after a crash: all that was synced, and
// of the rest, by chance, any part or nothing.
func afterCrash(mem *vfs.MemFS, rng *rand.Rand) *vfs.MemFS {
	if rng == nil {
		return mem.CrashClone(vfs.CrashCloneCfg{})
	}
	return mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
}

func poll(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("not within 20 s: %s", what)
		}
	}
}

func testKey(name string) registry.Key { return registry.Key{Registry: "consul", Name: name} }

// stored returns an entry whose record has one instance of that id.
func stored(name, instance string, index, began uint64) *registry.Stored {
	rec := &registry.Record{
		Key: testKey(name), Kind: registry.KindService, Wishes: registry.NoWishes, Tags: []string{"payments"},
		Instances: []registry.Instance{{ID: instance, Endpoints: []registry.Endpoint{{Address: "10.0.0.1", Port: 80}}}},
		Document:  []byte(`{"id":"` + instance + `"}`),
	}
	rec.Seal(index)
	return &registry.Stored{
		Entry: registry.Entry{Key: rec.Key, Record: rec, Began: began, Verified: 1_000 + int64(began)},
		Used:  2_000, Expires: 4_000_000_000_000,
	}
}

func confirmed(e *registry.Stored, began uint64) registry.Confirmed {
	return registry.Confirmed{
		Key: e.Key, Index: indexOf(&e.Entry), Began: began, Verified: 1_000 + int64(began), Used: 3_000, Expires: e.Expires + 1,
	}
}

func byName(m registry.Mode, names ...string) (*registry.Invalidation, []registry.Key) {
	inv := &registry.Invalidation{Mode: m, At: 1}
	var keys []registry.Key
	for _, name := range names {
		keys = append(keys, testKey(name))
		inv.Selectors = append(inv.Selectors, registry.Selector{Key: testKey(name)})
	}
	return inv, keys
}

// appendName appends an invalidation of one name.
func appendName(tb testing.TB, s *Store, m registry.Mode, position uint64, name string) *registry.Invalidation {
	tb.Helper()
	inv, keys := byName(m, name)
	if err := s.Append(tb.Context(), inv, registry.Applied{Position: position, Keys: keys}); err != nil {
		tb.Fatal(err)
	}
	return inv
}

func appendWide(tb testing.TB, s *Store, m registry.Mode, position uint64, wide ...registry.Selector) {
	tb.Helper()
	inv := &registry.Invalidation{Mode: m, Selectors: wide, At: 1}
	if err := s.Append(tb.Context(), inv, registry.Applied{Position: position, Wide: wide}); err != nil {
		tb.Fatal(err)
	}
}

// generationsOf returns the generations as text, to be compared.
func generationsOf(tb testing.TB, s *Store) map[string]uint64 {
	tb.Helper()
	got := map[string]uint64{}
	err := s.Generations(func(sel registry.Selector, m registry.Mode, position uint64) {
		got[fmt.Sprintf("%+v %s", sel, m)] = position
	})
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

func mustGet(tb testing.TB, s *Store, name string) *registry.Stored {
	tb.Helper()
	e, err := s.Get(testKey(name))
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func mustWrite(tb testing.TB, s *Store, put []*registry.Stored, confirm []registry.Confirmed, del ...registry.Key) {
	tb.Helper()
	if err := s.Write(s.Directory(), put, confirm, del); err != nil {
		tb.Fatal(err)
	}
}

// A gatedFS holds up each sync of a WAL while its gate is shut.
type gatedFS struct {
	vfs.FS
	mu   sync.Mutex
	gate chan struct{} // nil: open
	held int           // syncs that wait
}

func (g *gatedFS) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gate = make(chan struct{})
}

func (g *gatedFS) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gate != nil {
		close(g.gate)
		g.gate = nil
	}
}

func (g *gatedFS) waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held
}

func (g *gatedFS) pass() {
	g.mu.Lock()
	gate := g.gate
	g.held++
	g.mu.Unlock()
	if gate != nil {
		<-gate
	}
	g.mu.Lock()
	g.held--
	g.mu.Unlock()
}

func (g *gatedFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := g.FS.Create(name, c)
	return g.file(name, f, err)
}

func (g *gatedFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := g.FS.ReuseForWrite(from, to, c)
	return g.file(to, f, err)
}

func (g *gatedFS) file(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil || !strings.HasSuffix(name, ".log") {
		return f, err
	}
	return &gatedFile{f, g}, nil
}

type gatedFile struct {
	vfs.File
	g *gatedFS
}

func (f *gatedFile) Sync() error {
	f.g.pass()
	return f.File.Sync()
}

func (f *gatedFile) SyncData() error {
	f.g.pass()
	return f.File.SyncData()
}

func (f *gatedFile) SyncTo(length int64) (bool, error) {
	f.g.pass()
	return f.File.SyncTo(length)
}

package store

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/edgecache/edgecache/registry"
)

// TestWhatCannotBeReadRaisesEverything loses tables that hold generations.
func TestWhatCannotBeReadRaisesEverything(t *testing.T) {
	mem := vfs.NewMem()
	s := mustOpen(t, memOptions(mem))
	appendWide(t, s, registry.ModeHard, 3*positionBlock, registry.Selector{Tag: "payments"})
	if err := s.dir.Load().db.Flush(); err != nil {
		t.Fatal(err)
	}
	appendWide(t, s, registry.ModeSoft, 3*positionBlock+1, registry.Selector{Prefix: "team/"})
	mustClose(t, s)
	cut := 0
	names, err := mem.List(directoryPath("/data", 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".sst") {
			cut++
			if err := writeFile(mem, mem.PathJoin(directoryPath("/data", 1), name), "lost"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if cut == 0 {
		t.Fatal("there are no tables")
	}
	again := mustOpen(t, memOptions(mem))
	check := func(how string, s *Store) {
		t.Helper()
		got := generationsOf(t, s)
		if p := got[fmt.Sprintf("%+v verify", registry.Selector{All: true})]; p <= 3*positionBlock+1 || p > s.Position() {
			t.Errorf("%s: everything is raised at %d, with a position of %d; want it above all that was", how, p, s.Position())
		}
		if p := got[fmt.Sprintf("%+v soft", registry.Selector{Prefix: "team/"})]; p != 3*positionBlock+1 {
			t.Errorf("%s: what the WAL holds is raised at %d, want %d", how, p, 3*positionBlock+1)
		}
	}
	check("replaced", again)
	if again.Directory() != 2 || again.Status().State != stateOK {
		t.Errorf("directory %d, %+v", again.Directory(), again.Status())
	}
	mustClose(t, again)
	check("opened again", mustOpen(t, memOptions(mem)))
}

// TestAFreshDirectoryHasWhatWasRaisedWithoutOne appends and sets while there
// is no directory.
func TestAFreshDirectoryHasWhatWasRaisedWithoutOne(t *testing.T) {
	mem := vfs.NewCrashableMem()
	o := memOptions(mem)
	o.Reopen = -1 // begun by hand below
	s := mustOpen(t, o)
	appendWide(t, s, registry.ModeSoft, 5, registry.Selector{Tag: "before"})
	mustWrite(t, s, []*registry.Stored{stored("web", "a", 1, 1)}, nil)
	dead := s.dir.Load()
	s.die(dead, fmt.Errorf("a test says so"))
	t.Cleanup(func() {
		<-dead.done
		closePebble(dead.db) // so that no goroutine is left; what it says of a dead DB is of no interest
	})
	wide := registry.Selector{Tag: "while dead"}
	inv := &registry.Invalidation{Mode: registry.ModeHard, Selectors: []registry.Selector{wide}}
	if err := s.Append(t.Context(), inv, registry.Applied{Position: 6, Wide: []registry.Selector{wide}}); err == nil || inv.Seq != 2 || inv.Epoch != dead.epoch {
		t.Errorf("Append without a directory: %v, id %s", err, inv.ID())
	}
	if err := s.SetIdentity("consul", "http://a"); err == nil {
		t.Error("SetIdentity without a directory does not say so")
	}
	if err := s.begin(2, newContents()); err != nil {
		t.Fatal(err)
	}
	if s.Directory() != 2 || s.Epoch() == dead.epoch {
		t.Errorf("directory %d, epoch %x after %x", s.Directory(), s.Epoch(), dead.epoch)
	}
	if err := s.Write(1, []*registry.Stored{stored("web", "a", 1, 1)}, nil, nil); err == nil || mustGet(t, s, "web") != nil {
		t.Errorf("a write for the dead directory: %v", err)
	}
	if inv := appendName(t, s, registry.ModeSoft, 7, "web"); inv.Seq != 1 || inv.Epoch != s.Epoch() {
		t.Errorf("the first of the new epoch is %s", inv.ID())
	}
	want := map[string]uint64{
		fmt.Sprintf("%+v soft", registry.Selector{Tag: "before"}): 5, fmt.Sprintf("%+v hard", wide): 6,
	}
	again := mustOpen(t, memOptions(afterCrash(mem, nil)))
	if got := generationsOf(t, again); !maps.Equal(got, want) || again.Directory() != 2 || again.Node() != s.Node() {
		t.Errorf("after a crash: generations %v, want %v; directory %d, node %x, want %x", got, want, again.Directory(), again.Node(), s.Node())
	}
	if id, err := again.Identity("consul"); id != "http://a" || err != nil {
		t.Errorf("after a crash: identity %q, %v", id, err)
	}
	if again.Position() <= 7 {
		t.Errorf("position %d after 7 was used", again.Position())
	}
}

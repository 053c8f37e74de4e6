package store

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/edgecache/edgecache/registry"
)

func TestScanGoesThroughOneRegistryInOrder(t *testing.T) {
	s := mustOpen(t, memOptions(vfs.NewMem()))
	var want []string
	for i := range 3*scanPage + 5 {
		e := stored(fmt.Sprintf("%05d", i), "a", uint64(i), uint64(i))
		want = append(want, e.Name)
		other := stored(e.Name, "a", 1, 1)
		other.Registry = "consul2"
		other.Record.Key = other.Key
		mustWrite(t, s, []*registry.Stored{e, other}, nil)
	}
	scan := func(reg, after string, most int) (names []string) {
		t.Helper()
		if err := s.Scan(reg, after, func(e *registry.Stored) bool {
			if e.Registry != reg {
				t.Errorf("%s in a scan of %s", e.Key, reg)
			}
			names = append(names, e.Name)
			return len(names) < most
		}); err != nil {
			t.Fatal(err)
		}
		return names
	}
	if got := scan("consul", "", 1<<20); !reflect.DeepEqual(got, want) {
		t.Errorf("%d names, want %d in order", len(got), len(want))
	}
	if got := scan("consul", want[300], 1<<20); !reflect.DeepEqual(got, want[301:]) {
		t.Errorf("above %s: %d names from %s, want %d", want[300], len(got), got[0], len(want)-301)
	}
	if got := scan("consul", "", 7); !reflect.DeepEqual(got, want[:7]) {
		t.Errorf("ended by yield: %v", got)
	}
	if got := scan("other", "", 7); len(got) != 0 {
		t.Errorf("a registry with nothing: %v", got)
	}
}

func TestIdentitiesAreKept(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := mustOpen(t, memOptions(mem))
	if id, err := s.Identity("consul"); id != "" || err != nil {
		t.Errorf("never set: %q, %v", id, err)
	}
	for _, id := range []string{"http://a", "http://b"} {
		if err := s.SetIdentity("consul", id); err != nil {
			t.Fatal(err)
		}
	}
	again := mustOpen(t, memOptions(afterCrash(mem, nil)))
	if id, err := again.Identity("consul"); id != "http://b" || err != nil {
		t.Errorf("after a crash: %q, %v; want what was set last", id, err)
	}
}

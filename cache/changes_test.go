package cache

import (
	"fmt"
	"testing"

	"github.com/edgecache/edgecache/registry"
)

func TestChangesThatNobodyTakesAreGathered(t *testing.T) {
	c := &Cache{opts: Options{Cluster: struct{ Cluster }{}}, history: newHistory(), told: make(chan struct{}, 1)}
	c.history.begin(5) // an invalidation on its way to the disk
	for i := range mostChanges + 1 {
		c.tell(registry.Key{Registry: fmt.Sprint("r", i%2), Name: fmt.Sprint("s", i)}, uint64(10+i), registry.Revision{})
	}
	if len(c.changes) != 3 || c.changes[0].key != (registry.Key{Registry: "r0"}) || c.changes[1].key != (registry.Key{Registry: "r1"}) {
		t.Fatalf("%d changes wait, want one of each registry and the last: %+v", len(c.changes), c.changes[:min(len(c.changes), 3)])
	}
	if c.changes[0].position != 10 || c.changes[1].position != 10 {
		t.Errorf("gathered as of %d and %d, want the first position", c.changes[0].position, c.changes[1].position)
	}
	want := []uint64{5, 10, uint64(10 + mostChanges)}
	if got := c.history.unnamed; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%d positions have no id, %v; want %v", len(got), got[:min(len(got), 5)], want)
	}
}

func TestWhatAWatchTellsOfThoughNothingChangedHere(t *testing.T) {
	cluster, disk := struct{ Cluster }{}, &disk{}
	plain, found := new(entry), new(entry)
	for _, row := range []struct {
		name   string
		c      *Cache
		synced int64
		told   int
		held   *entry
		want   bool
	}{
		{"alone, without a disk", &Cache{}, 1, 0, nil, false},
		{"alone, what may be on disk", &Cache{disk: disk}, 1, 0, nil, true},
		{"alone, what the list has", &Cache{disk: disk}, 0, 0, nil, false},
		{"alone, what a fetch found", &Cache{disk: disk}, 1, 0, found, false},
		{"what is not held", &Cache{opts: Options{Cluster: cluster}}, 1, 0, nil, true},
		{"what a watch found", &Cache{opts: Options{Cluster: cluster}}, 1, 0, plain, false},
		{"what a fetch found", &Cache{opts: Options{Cluster: cluster}}, 1, 0, found, true},
		{"the list", &Cache{opts: Options{Cluster: cluster}}, 0, mostListed - 1, plain, true},
		{"a long list", &Cache{opts: Options{Cluster: cluster}}, 0, mostListed, plain, false},
		{"a long list, what is not held", &Cache{opts: Options{Cluster: cluster}}, 0, mostListed, nil, false},
		{"a long list, what a fetch found", &Cache{opts: Options{Cluster: cluster}}, 0, mostListed, found, true},
	} {
		found.flags.Store(refreshBegun | untold)
		w := &watch{told: row.told}
		w.synced.Store(row.synced)
		if got := row.c.tellsOf(w, row.held); got != row.want {
			t.Errorf("%s: %t, want %t", row.name, got, row.want)
		}
	}
	if found.flags.Load() != refreshBegun {
		t.Errorf("flags %b: it is told once", found.flags.Load())
	}
}

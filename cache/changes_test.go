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

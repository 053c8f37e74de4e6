package main

import (
	"slices"
	"testing"

	edgecache "github.com/edgecache/edgecache/pdk/go"
)

func TestInstancesOfTheClientsZoneAreFirst(t *testing.T) {
	r := edgecache.Request{
		Attributes: []any{"eu-1b"},
		Instances:  []edgecache.Sample{{ID: "w1", Zone: "eu-1a"}, {ID: "w2", Zone: "eu-1b"}, {ID: "w3"}, {ID: "w4", Zone: "eu-1b"}},
	}
	for config, want := range map[string][]int{"false": {1, 3, 0, 2}, "true": {1, 3}} {
		if err := edgecache.Start(map[string]string{"/strict": config}); err != nil {
			t.Fatal(err)
		}
		if d := r.Decide(); !slices.Equal(d.Kept, want) {
			t.Errorf("strict %s: kept %v, want %v", config, d.Kept, want)
		}
		if n := testing.AllocsPerRun(100, func() { decide(edgecache.Made()) }); n != 0 {
			t.Errorf("strict %s: %v allocations in a call, want none", config, n)
		}
	}
}

func TestNothingIsDroppedWithoutAZone(t *testing.T) {
	r := edgecache.Request{Attributes: []any{nil}, Instances: []edgecache.Sample{{ID: "w1"}, {ID: "w2"}}}
	if err := edgecache.Start(map[string]string{"/strict": "true"}); err != nil {
		t.Fatal(err)
	}
	if d := r.Decide(); !slices.Equal(d.Kept, []int{0, 1}) {
		t.Errorf("kept %v, want both", d.Kept)
	}
}

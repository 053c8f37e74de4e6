package registry_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/edgecache/edgecache/registry"
)

// plain is a record like most: n instances of one endpoint, with metadata.
func plain(n, pairs int) *registry.Record {
	r := &registry.Record{
		Key: registry.Key{Registry: clone("consul"), Name: fmt.Sprintf("service-%d", n)}, Kind: registry.KindService,
		Revision: registry.Revision{Order: 123456}, Wishes: registry.NoWishes,
		Instances: make([]registry.Instance, n),
	}
	for i := range r.Instances {
		r.Instances[i] = registry.Instance{
			ID: fmt.Sprintf("service-%d", i), Health: registry.HealthPassing, Weight: 100,
			Node: fmt.Sprintf("host-%d", i), Region: clone("eu-west"), Zone: clone("eu-west-1a"), Version: clone("1.4.2"),
			Tags:      []string{clone("v1"), clone("primary")},
			Endpoints: []registry.Endpoint{{Address: fmt.Sprintf("10.0.0.%d", i%256), Port: 8080}},
		}
		metadata := map[string]string{}
		for p := range pairs {
			metadata[fmt.Sprintf("key-%d", p)] = fmt.Sprintf("value-%d", p)
		}
		r.Instances[i].Metadata = registry.MetadataOf(metadata)
	}
	return r
}

func clone(s string) string { return string([]byte(s)) }

func TestSizeIsCloseToWhatARecordTakes(t *testing.T) {
	for _, test := range []struct {
		name string
		make func() *registry.Record
	}{
		{"no instances", func() *registry.Record { return plain(0, 0) }},
		{"one instance", func() *registry.Record { return plain(1, 0) }},
		{"three with metadata", func() *registry.Record { return plain(3, 3) }},
		{"hundred", func() *registry.Record { return plain(100, 0) }},
		{"hundred with much metadata", func() *registry.Record { return plain(100, 20) }},
		{"every field", full},
		{"document", func() *registry.Record {
			r := plain(3, 3)
			r.Document, r.MediaType = make([]byte, 4096), "application/json"
			return r
		}},
	} {
		const records = 300
		kept := make([]*registry.Record, records)
		before := heap()
		for i := range kept {
			kept[i] = sealed(test.make(), 890211220766725)
			kept[i].Fragments()
		}
		real := float64(heap()-before) / records
		size := kept[0].Size()
		t.Logf("%s: %d of %.0f", test.name, size, real)
		if share := float64(size) / real; share < 0.9 || share > 1.1 {
			t.Errorf("%s: Size %d is %.2f of the %.0f bytes it takes", test.name, size, share, real)
		}
		runtime.KeepAlive(kept)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestSizeDoesNotChangeByAHit(t *testing.T) {
	rec := sealed(full(), 7)
	before := rec.Size()
	rec.Fragments()
	if after := rec.Size(); after != before {
		t.Errorf("Size %d before and %d after the JSON was built", before, after)
	}
	if allocs := testing.AllocsPerRun(10, func() { rec.Size() }); allocs != 0 {
		t.Errorf("Size allocates %v times", allocs)
	}
}

func TestFragmentsAreAsLongAsForeseen(t *testing.T) {
	rich := full()
	rich.Metadata = registry.MetadataOf(map[string]string{"plain": "text"}) // what is escaped is not foreseen
	for name, rec := range map[string]*registry.Record{"none": plain(0, 0), "one": plain(1, 1), "many": plain(100, 9), "every field": rich} {
		rec.Seal(7)
		allocs := testing.AllocsPerRun(10, func() { rec.WithIndex(890211220766725).Fragments() })
		if allocs > 4 { // the copy, the fragments, their text, and ends to work with
			t.Errorf("%s: %v allocations, want 4 at most", name, allocs)
		}
	}
}

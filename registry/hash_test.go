package registry_test

import (
	"testing"

	"github.com/edgecache/edgecache/registry"
)

// The constants below are what every node computes: a change of them makes
// each cached answer look changed after an upgrade.
func TestHashesAndTagsAreEqualOnAllNodes(t *testing.T) {
	rec := sealed(full(), 7)
	for name, got := range map[string]uint64{
		"hash":  rec.Hash(),
		"all":   (&registry.Selection{All: true}).Tag(rec),
		"picks": (&registry.Selection{Picks: []int32{2, 0}}).Tag(rec),
		"none":  (&registry.Selection{}).Tag(rec),
		"port":  (&registry.Selection{Picks: []int32{0}, Port: "grpc"}).Tag(rec),
	} {
		want := map[string]uint64{
			"hash": 0xd06fba92bbb3ab4a, "all": 0xd06fba92bbb3ab4a, "picks": 0x1a5fd0ff6897375e,
			"none": 0x1aab025f61d0e490, "port": 0x2bc27a187b91c08,
		}[name]
		if got != want {
			t.Errorf("%s: %#x, want %#x", name, got, want)
		}
	}
	if got, want := rec.Fragments().ETag(), `W/"d06fba92bbb3ab4a"`; got != want {
		t.Errorf("ETag %s, want %s", got, want)
	}
}

func TestTagsOfDifferentSelectionsDiffer(t *testing.T) {
	rec := sealed(full(), 7)
	seen := map[uint64]int{}
	for i, sel := range []registry.Selection{
		{All: true}, {}, {Picks: []int32{0}}, {Picks: []int32{1}}, {Picks: []int32{0, 1}}, {Picks: []int32{1, 0}},
		{Picks: []int32{0}, Port: "grpc"}, {Picks: []int32{0}, Port: "http"}, {All: true, Port: "grpc"}, {Port: "grpc"},
	} {
		tag := sel.Tag(rec)
		if other, same := seen[tag]; same {
			t.Errorf("selections %d and %d have one tag", other, i)
		}
		seen[tag] = i
	}
}

func TestContentHashCoversWhatClientsSee(t *testing.T) {
	want := full().ContentHash()
	in := func(r *registry.Record) *registry.Instance { return &r.Instances[1] }
	for name, change := range map[string]func(*registry.Record){
		"registry":      func(r *registry.Record) { r.Key.Registry = "b" },
		"name":          func(r *registry.Record) { r.Key.Name = "b" },
		"boundary":      func(r *registry.Record) { r.Key = registry.Key{Registry: "consulw", Name: "eb"} },
		"kind":          func(r *registry.Record) { r.Kind = registry.KindMCP },
		"document":      func(r *registry.Record) { r.Document[3] = 'X' },
		"no document":   func(r *registry.Record) { r.Document = nil },
		"media type":    func(r *registry.Record) { r.MediaType = "text/plain" },
		"metadata":      func(r *registry.Record) { r.Metadata[0].Value = "z" },
		"metadata key":  func(r *registry.Record) { r.Metadata[1].Key = "new" },
		"tags":          func(r *registry.Record) { r.Tags[0] = "x" },
		"order":         func(r *registry.Record) { r.Instances[0], r.Instances[1] = r.Instances[1], r.Instances[0] },
		"fewer":         func(r *registry.Record) { r.Instances = r.Instances[:3] },
		"id":            func(r *registry.Record) { in(r).ID = "x" },
		"health":        func(r *registry.Record) { in(r).Health = registry.HealthPassing },
		"weight":        func(r *registry.Record) { in(r).Weight++ },
		"priority":      func(r *registry.Record) { in(r).Priority++ },
		"version":       func(r *registry.Record) { in(r).Version = "x" },
		"node":          func(r *registry.Record) { in(r).Node = "x" },
		"region":        func(r *registry.Record) { in(r).Region = "x" },
		"zone":          func(r *registry.Record) { in(r).Zone = "x" },
		"instance tags": func(r *registry.Record) { in(r).Tags = nil },
		"instance meta": func(r *registry.Record) { in(r).Metadata[0].Value = "x" },
		"registered":    func(r *registry.Record) { in(r).Registered++ },
		"protocol":      func(r *registry.Record) { in(r).Endpoints[0].Protocol = "tcp" },
		"address":       func(r *registry.Record) { in(r).Endpoints[0].Address = "::2" },
		"port":          func(r *registry.Record) { in(r).Endpoints[0].Port++ },
		"tls":           func(r *registry.Record) { in(r).Endpoints[0].TLS = true },
		"url":           func(r *registry.Record) { in(r).Endpoints[0].URL = "x" },
		"endpoint name": func(r *registry.Record) { in(r).Endpoints[0].Name = "x" },
		"status":        func(r *registry.Record) { r.Versions[0].Status = "deleted" },
		"labels":        func(r *registry.Record) { r.Versions[0].Labels = nil },
		"updated":       func(r *registry.Record) { r.Versions[0].Updated++ },
		"version bytes": func(r *registry.Record) { r.Versions[0].Document[0] = '[' },
	} {
		rec := full()
		change(rec)
		if rec.ContentHash() == want {
			t.Errorf("%s: a change is not seen", name)
		}
	}
	for name, change := range map[string]func(*registry.Record){
		"index":    func(r *registry.Record) { r.Index = 9 },
		"revision": func(r *registry.Record) { r.Revision = registry.Revision{} },
		"wishes":   func(r *registry.Record) { r.Wishes = registry.NoWishes },
		"raw":      func(r *registry.Record) { in(r).Raw = registry.Span{} },
	} {
		rec := full()
		change(rec)
		if rec.ContentHash() != want {
			t.Errorf("%s: counts as content", name)
		}
	}
}

func TestCopyUnderAnotherIndexKeepsTheContent(t *testing.T) {
	rec := sealed(full(), 7)
	other := rec.WithIndex(8)
	if other.Index != 8 || other.Hash() != rec.Hash() || other.ContentHash() != rec.Hash() || other.Kind != rec.Kind ||
		other.Wishes != rec.Wishes || other.Revision != rec.Revision {
		t.Errorf("copy %+v of %+v", other, rec)
	}
	if got := other.Fragments().IndexText(); got != "8" {
		t.Errorf("the copy shows index %s, want 8", got)
	}
}

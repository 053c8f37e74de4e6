package registry_test

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/edgecache/edgecache/registry"
)

func TestSealingKeepsTheContent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rec := recordGen.Draw(t, "record")
		want := &registry.Record{
			Key: rec.Key, Kind: rec.Kind, Revision: rec.Revision, Metadata: rec.Metadata, Document: rec.Document,
			MediaType: rec.MediaType, Tags: rec.Tags, Instances: rec.Instances, Versions: rec.Versions,
		}
		hash := rec.ContentHash()
		rec.Seal(1)
		if rec.ContentHash() != hash || rec.Hash() != hash {
			t.Fatalf("hash %x, and %x of the sealed record", hash, rec.ContentHash())
		}
		if rec.Revision != want.Revision || !reflect.DeepEqual(rec.Instances, want.Instances) ||
			!reflect.DeepEqual(rec.Versions, want.Versions) || !reflect.DeepEqual(rec.Metadata, want.Metadata) {
			t.Fatalf("sealed %+v\n  want %+v", rec, want)
		}
	})
}

func TestSealedRecordAliasesNothingOfItsSource(t *testing.T) {
	made := full()
	shared := registry.Record{Instances: made.Instances, Versions: made.Versions, Tags: made.Tags, Metadata: made.Metadata}
	made.Seal(1)
	before := made.ContentHash()
	for i := range shared.Instances {
		in := &shared.Instances[i]
		for j := range in.Endpoints {
			in.Endpoints[j].Address = "changed"
		}
		for j := range in.Tags {
			in.Tags[j] = "changed"
		}
		for j := range in.Metadata {
			in.Metadata[j].Value = "changed"
		}
		in.ID = "changed"
	}
	shared.Tags[0], shared.Metadata[0].Value = "changed", "changed"
	shared.Versions[0].Labels[0], shared.Versions[0].Version = "changed", "changed"
	if made.ContentHash() != before {
		t.Error("a change of what the record was made of changes the sealed record")
	}
}

// Strings that a source cut out of a large response must not keep it alive.
func TestSealedRecordKeepsNoResponseAlive(t *testing.T) {
	body := "id-1 10.0.0.1 eu-1a tag key value token application/x " + strings.Repeat("x", 1<<20)
	f := strings.Fields(body)
	document := []byte(body)[:2]
	rec := &registry.Record{
		Key: registry.Key{Registry: "a", Name: "web"}, Revision: registry.Revision{Token: f[6]}, Tags: f[3:4],
		Metadata: registry.Metadata{{f[4], f[5]}}, Document: document, MediaType: f[7],
		Instances: []registry.Instance{{ID: f[0], Zone: f[2], Version: body[:0], Tags: f[3:4], Endpoints: []registry.Endpoint{{Address: f[1]}}}},
		Versions:  []registry.Version{{Version: f[0], Labels: f[3:4], Document: document}},
	}
	rec.Seal(1)
	in := &rec.Instances[0]
	from := uintptr(unsafe.Pointer(unsafe.StringData(body)))
	for _, s := range []string{rec.Revision.Token, rec.Tags[0], rec.Metadata[0].Key, rec.Metadata[0].Value, rec.MediaType,
		in.ID, in.Zone, in.Version, in.Tags[0], in.Main().Address, rec.Versions[0].Version, rec.Versions[0].Labels[0]} {
		if at := uintptr(unsafe.Pointer(unsafe.StringData(s))); at >= from && at <= from+uintptr(len(body)) {
			t.Errorf("%q is a part of the response", s)
		}
	}
	if !bytes.Equal(rec.Document, document) || cap(rec.Document) > 64 || cap(rec.Versions[0].Document) > 64 {
		t.Errorf("document %q keeps %d bytes", rec.Document, cap(rec.Document))
	}
	if len(rec.Tags) != cap(rec.Tags) || len(in.Endpoints) != cap(in.Endpoints) || len(in.Tags) != cap(in.Tags) {
		t.Error("a list has room to grow into its neighbour")
	}
}

func TestSealingAllocatesAHandfulOfTimes(t *testing.T) {
	for _, n := range []int{1, 100} {
		instances := plain(n, 3).Instances
		allocs := testing.AllocsPerRun(10, func() {
			rec := &registry.Record{Instances: instances, Wishes: registry.NoWishes}
			rec.Seal(1)
		})
		if allocs > 16 {
			t.Errorf("%d instances: %v allocations", n, allocs)
		}
	}
}

func TestInstancesShareWhatTheyHaveInCommon(t *testing.T) {
	rec := sealed(plain(2, 3), 1)
	a, b := &rec.Instances[0], &rec.Instances[1]
	for name, pair := range map[string][2]string{"zone": {a.Zone, b.Zone}, "version": {a.Version, b.Version}} {
		if unsafe.StringData(pair[0]) != unsafe.StringData(pair[1]) {
			t.Errorf("%s %q is there twice", name, pair[0])
		}
	}
	if &a.Tags[0] != &b.Tags[0] || &a.Metadata[0] != &b.Metadata[0] {
		t.Errorf("the lists %q and %q are there twice", a.Tags, a.Metadata)
	}
	if a.ID == b.ID || a.Main() == b.Main() {
		t.Errorf("two instances became one: %s", fmt.Sprint(a, b))
	}
}

package benchmarks_test

import (
	"testing"

	"github.com/edgecache/edgecache/registry"
)

// entry returns an entry with a record of 20 instances and its JSON form.
func entry() (*registry.Entry, []byte) {
	rec := record("web", 20)
	rec.Key.Registry, rec.Kind = "a", registry.KindService
	rec.Seal(890211220766725)
	return &registry.Entry{Key: rec.Key, Record: rec, Began: 7, Verified: 1_767_268_800_000},
		registry.AppendAnswer(nil, rec, &registry.Selection{All: true}, 0, false)
}

func BenchmarkParseRecord(b *testing.B) {
	_, text := entry()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := registry.ParseRecord(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFragments(b *testing.B) {
	e, _ := entry()
	b.ReportAllocs()
	for b.Loop() {
		e.Record.WithIndex(1).Fragments() // a copy has none yet
	}
}

func BenchmarkEntryToBytes(b *testing.B) {
	e, _ := entry()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = registry.AppendEntry(buf[:0], e)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkEntryFromBytes(b *testing.B) {
	e, _ := entry()
	data := registry.AppendEntry(nil, e)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := registry.ParseEntry(data); err != nil {
			b.Fatal(err)
		}
	}
}

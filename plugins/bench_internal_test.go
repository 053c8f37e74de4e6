package plugins

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/edgecache/edgecache/registry"
)

// benchGuests are the zone filter in all languages that are built here.
func benchGuests(b *testing.B) map[string]string {
	guests := map[string]string{}
	for _, language := range []string{"c", "rust", "as"} {
		path := "../wasm-examples/zone-affinity/" + language + "/zone.wasm"
		if _, err := os.Stat(path); err != nil {
			b.Logf("%s: not measured: %v", language, err)
			continue
		}
		guests[language] = path
	}
	path := filepath.Join(b.TempDir(), "zone.wasm")
	build := exec.Command("go", "build", "-C", "../wasm-examples/zone-affinity/go", "-buildmode=c-shared", "-ldflags=-s -w", "-o", path, ".")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		b.Logf("go: not measured: %v: %s", err, out)
		return guests
	}
	guests["go"] = path
	return guests
}

// BenchmarkFilter is a request through the zone filter that keeps and reorders
// all instances: uncached asks the guest each time, memoized remembers.
func BenchmarkFilter(b *testing.B) {
	for language, path := range benchGuests(b) {
		m, err := Load(path, "../wasm-examples/zone-affinity/zone.yaml", "")
		if err != nil {
			b.Fatal(err)
		}
		o := FilterDefaults()
		o.Name = "zone"
		g, err := newGeneration(&o, m, slog.New(slog.DiscardHandler), &stats{})
		if err != nil {
			b.Fatal(err)
		}
		for _, n := range []int{20, 50} {
			rec := benchRecord(n)
			b.Run(fmt.Sprintf("%s/%d/uncached", language, n), func(b *testing.B) { benchUncached(b, g, rec) })
			b.Run(fmt.Sprintf("%s/%d/memoized", language, n), func(b *testing.B) { benchMemoized(b, g, rec) })
		}
		g.close()
		<-g.over
	}
}

func benchRecord(n int) *registry.Record {
	rec := &registry.Record{Key: registry.Key{Registry: "r", Name: "web"}}
	for i := range n {
		rec.Instances = append(rec.Instances, registry.Instance{ID: fmt.Sprintf("web-%02d", i), Zone: []string{"eu-1a", "eu-1b", "eu-1c"}[i%3],
			Endpoints: []registry.Endpoint{{Address: fmt.Sprintf("10.0.0.%d", i), Port: 80}}})
	}
	rec.Seal(1)
	return rec
}

var fresh uint64

func benchUncached(b *testing.B, g *generation, rec *registry.Record) {
	sel := registry.Selection{Picks: make([]int32, 0, len(rec.Instances))}
	b.ReportAllocs()
	for range b.N {
		sel.All, sel.Picks = true, sel.Picks[:0]
		e, k := g.frameOf(rec), g.keyOf(zoned("eu-1b"), &sel)
		fresh++
		k[0] ^= fresh // of a request that was not seen
		if e.memo.get(k) != nil {
			b.Fatal("it was seen")
		}
		if err := g.ask(e, k, zoned("eu-1b"), rec, &sel); err != nil || len(sel.Picks) != len(rec.Instances) {
			b.Fatal(err, sel.Picks)
		}
	}
}

func benchMemoized(b *testing.B, g *generation, rec *registry.Record) {
	sel := registry.Selection{Picks: make([]int32, 0, len(rec.Instances))}
	b.ReportAllocs()
	for range b.N {
		sel.All, sel.Picks = true, sel.Picks[:0]
		if err := g.run(zoned("eu-1b"), rec, &sel); err != nil || len(sel.Picks) != len(rec.Instances) {
			b.Fatal(err, sel.Picks)
		}
	}
}

package main

import (
	"context"
	_ "embed"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	extism "github.com/extism/go-sdk"
)

//go:embed testdata/extism_zone.wasm
var extismZone []byte

// BenchmarkCalls is a call of the zone filter over 20 instances, by language and
// by how its CPU is bounded, and what Extism's Go SDK takes for the same job in
// C. It is the table of docs/plugins.md.
func BenchmarkCalls(b *testing.B) {
	program, err := filepath.Abs("../../bin/edgecache")
	if err != nil {
		b.Fatal(err)
	}
	bench := &bench{options: options{program: program}, dir: b.TempDir()}
	for _, language := range []string{"c", "rust", "as", "go"} {
		path, _, err := bench.zoneFilter(b.Context(), language)
		if err != nil {
			b.Fatal(err)
		}
		binary, err := os.ReadFile(path)
		if err != nil {
			b.Fatal(err)
		}
		for _, how := range []bound{byFuel, unbounded, byContext} {
			b.Run(language+"/"+how.name, func(b *testing.B) {
				g := &guest{language, binary, "ec_filter", prepareZone}
				calls, end, err := g.start(b.Context(), how)
				if err != nil {
					b.Fatal(err)
				}
				defer end()
				b.ReportAllocs()
				b.ResetTimer()
				if _, err := calls(b.N); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
	b.Run("c/Extism", benchExtism)
}

// What is measured does the job.
func TestTheZoneFilterDecidesAboutItsFrame(t *testing.T) {
	binary, err := os.ReadFile("../../wasm-examples/zone-affinity/c/zone.wasm")
	if err != nil {
		t.Fatal(err)
	}
	for _, how := range []bound{byFuel, unbounded, byContext} {
		g := &guest{"c", binary, "ec_filter", prepareZone}
		calls, end, err := g.start(t.Context(), how)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := calls(3); err != nil {
			t.Errorf("%s: %v", how.name, err)
		}
		end()
	}
}

func TestAnotherVerdictIsNoSample(t *testing.T) {
	for verdict, ok := range map[uint64]bool{zoneMask<<32 | 5<<8 | 1: true, zoneMask<<32 | 4<<8 | 1: true, zoneMask<<32 | 1: false, 7<<32 | 4<<8 | 1: false, 0: false} {
		if err := checkZone(verdict); (err == nil) != ok {
			t.Errorf("verdict %#x: %v", verdict, err)
		}
	}
}

func benchExtism(b *testing.B) {
	ctx := context.Background()
	p, err := extism.NewPlugin(ctx, extism.Manifest{Wasm: []extism.Wasm{extism.WasmData{Data: extismZone}}}, extism.PluginConfig{}, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close(ctx)
	frame := zoneFrame()
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		code, out, err := p.Call("filter", frame)
		if err != nil || code != 0 || len(out) != 8 || binary.LittleEndian.Uint64(out) != zoneMask {
			b.Fatal(code, out, err)
		}
	}
}

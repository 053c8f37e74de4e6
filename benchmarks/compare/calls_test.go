package main

import (
	"context"
	_ "embed"
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
				call, end, err := g.start(b.Context(), how)
				if err != nil {
					b.Fatal(err)
				}
				defer end()
				b.ReportAllocs()
				b.ResetTimer()
				if _, err := call(b.N); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
	b.Run("c/Extism", benchExtism)
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
		if err != nil || code != 0 || len(out) != 2*filterInstances || out[0] != 1 {
			b.Fatal(code, out, err)
		}
	}
}

// Package benchmarks_test has the micro benchmarks that cross packages; those
// of one package stand beside its code.
package benchmarks_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
)

const names = 10_000

// serviceName names the i-th service that has instances.
func serviceName(i int) string { return fmt.Sprintf("team-%d/service-%d", i%50, i) }

// answers is a registry that has every name but the one it lacks.
func answers(instances int, lacks string) registry.SourceFunc {
	return func(_ context.Context, name string, _ *registry.Record) (*registry.Record, error) {
		if name == lacks {
			return nil, registry.ErrNotFound
		}
		return record(name, instances), nil
	}
}

func record(name string, instances int) *registry.Record {
	r := &registry.Record{Key: registry.Key{Name: name}, Wishes: registry.NoWishes}
	for i := range instances {
		r.Instances = append(r.Instances, registry.Instance{
			ID: fmt.Sprintf("%s-%d", name, i), Health: registry.HealthPassing, Weight: registry.DefaultWeight,
			Zone: "eu-1" + string(rune('a'+i%3)), Version: "1.4.2", Tags: []string{"v1"}, Metadata: registry.MetadataOf(map[string]string{"canary": "false"}),
			Endpoints: []registry.Endpoint{{Address: fmt.Sprintf("10.0.%d.%d", i/250, i%250), Port: 8080}},
		})
	}
	return r
}

// engine returns a cache over the sources, in order, named a, b, …
func engine(b *testing.B, sources ...registry.Source) *registry.Answerer {
	b.Helper()
	o := cache.Defaults()
	o.TTL, o.NegativeTTL = time.Hour, time.Hour
	for i, s := range sources {
		o.Registries = append(o.Registries, cache.Registry{Name: string(rune('a' + i)), Type: "synthetic", Kind: registry.KindService, Source: s})
	}
	c, err := cache.New(o)
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Open(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := c.Close(); err != nil {
			b.Error(err)
		}
	})
	return &registry.Answerer{Engine: c}
}

// answer asks once and writes the answer as the HTTP port would.
func answer(b *testing.B, a *registry.Answerer, q *registry.Query, out *registry.Result, buf []byte) []byte {
	if err := a.Answer(b.Context(), q, nil, out); err != nil {
		b.Fatal(err)
	}
	return registry.AppendAnswer(buf[:0], out.Record, &out.Selection, out.Age, out.Stale)
}

func query(name string) registry.Query {
	return registry.Query{Name: name, MaxAge: -1, Select: registry.DefaultSelect}
}

func BenchmarkHit(b *testing.B) {
	selected := query("web")
	selected.Select.Tags, selected.Select.Zone = []string{"v1"}, "eu-1a"
	for _, c := range []struct {
		name    string
		q       registry.Query
		sources []registry.Source
	}{
		{"1 instance", query("web"), []registry.Source{answers(1, "")}},
		{"20 instances", query("web"), []registry.Source{answers(20, "")}},
		{"selected from 20", selected, []registry.Source{answers(20, "")}},
		{"second of two registries", query("web"), []registry.Source{answers(1, "web"), answers(20, "")}},
	} {
		b.Run(c.name, func(b *testing.B) {
			a := engine(b, c.sources...)
			var out registry.Result
			buf := answer(b, a, &c.q, &out, nil)
			b.ReportAllocs()
			for b.Loop() {
				buf = answer(b, a, &c.q, &out, buf)
			}
		})
	}
}

func BenchmarkNegativeHit(b *testing.B) {
	a := engine(b, answers(1, "web"))
	q := query("web")
	var out registry.Result
	b.ReportAllocs()
	for b.Loop() {
		if err := a.Answer(b.Context(), &q, nil, &out); !errors.Is(err, registry.ErrNotFound) {
			b.Fatal(err)
		}
	}
}

func BenchmarkHitsOfManyNamesInParallel(b *testing.B) {
	a := engine(b, answers(4, ""))
	var queries []registry.Query
	var out registry.Result
	for i := range names {
		queries = append(queries, query(serviceName(i)))
		answer(b, a, &queries[i], &out, nil)
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		popular := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 1, names-1)
		var out registry.Result
		var buf []byte
		for pb.Next() {
			buf = answer(b, a, &queries[popular.Uint64()], &out, buf)
		}
	})
}

func BenchmarkMiss(b *testing.B) {
	a := engine(b, answers(4, ""))
	var out registry.Result
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		q := query(serviceName(n))
		answer(b, a, &q, &out, nil)
		n++
	}
}

func BenchmarkInvalidate(b *testing.B) {
	a := engine(b, answers(4, ""))
	sink, ok := a.Engine.(registry.Sink)
	if !ok {
		b.Fatal("the cache takes no invalidations")
	}
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		inv := registry.Invalidation{Mode: registry.ModeSoft, Selectors: []registry.Selector{{Key: registry.Key{Name: serviceName(n % names)}}}}
		if err := sink.Invalidate(b.Context(), &inv); err != nil {
			b.Fatal(err)
		}
		n++
	}
}

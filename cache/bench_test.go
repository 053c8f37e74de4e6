package cache_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

func benchmarkLookup(b *testing.B, q *registry.Query, list ...cache.Registry) {
	c := open(b, func(o *cache.Options) { o.TTL, o.NegativeTTL = time.Hour, time.Hour }, list...)
	ctx := context.Background()
	if _, err := c.Lookup(ctx, q); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Lookup(ctx, q); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHit(b *testing.B) {
	benchmarkLookup(b, query("web"), unwatched("r", fill(registrytest.NewFake("r"))))
}

func BenchmarkHitInRegistry(b *testing.B) {
	q := query("web")
	q.Registry = "s"
	benchmarkLookup(b, q, unwatched("r", fill(registrytest.NewFake("r"))), unwatched("s", fill(registrytest.NewFake("s"))))
}

func BenchmarkHitWatched(b *testing.B) {
	benchmarkLookup(b, query("web"), watched("r", fill(registrytest.NewFake("r"))))
}

func BenchmarkHitResolvedThroughSecond(b *testing.B) {
	benchmarkLookup(b, query("web"), unwatched("r", registrytest.NewFake("r")), unwatched("s", fill(registrytest.NewFake("s"))))
}

func BenchmarkHitMerged(b *testing.B) {
	benchmarkLookup(b, query("web"), unwatched("r", fill(registrytest.NewFake("r"))), unwatched("s", fill(registrytest.NewFake("s"))),
		cache.Registry{Name: "m", Type: "merge", Kind: registry.KindService, Of: []string{"r", "s"}})
}

func BenchmarkHitParallel(b *testing.B) {
	c := open(b, func(o *cache.Options) { o.TTL = time.Hour }, unwatched("r", fill(registrytest.NewFake("r"))))
	ctx := context.Background()
	if _, err := c.Lookup(ctx, query("web")); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		q := query("web")
		for pb.Next() {
			if _, err := c.Lookup(ctx, q); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkMiss(b *testing.B) {
	source := registry.SourceFunc(func(context.Context, string, *registry.Record) (*registry.Record, error) {
		return &registry.Record{Instances: []registry.Instance{instance("a")}, Wishes: registry.NoWishes}, nil
	})
	c := open(b, nil, cache.Registry{Name: "r", Kind: registry.KindService, Source: source})
	ctx := context.Background()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := c.Lookup(ctx, query(fmt.Sprint("n", i))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInvalidate(b *testing.B) {
	for name, sel := range map[string]registry.Selector{"name": web, "tag": {Tag: "t"}, "all": {All: true}} {
		b.Run(name, func(b *testing.B) {
			c := open(b, nil, unwatched("r", fill(registrytest.NewFake("r"))))
			ctx := context.Background()
			if _, err := c.Lookup(ctx, query("web")); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Invalidate(ctx, &registry.Invalidation{Mode: registry.ModeSoft, Selectors: []registry.Selector{sel}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

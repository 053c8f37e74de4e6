package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
)

// A footprint is what a child found, in bytes per entry.
type footprint struct {
	Heap, Key, Document, Answer, Entry float64
}

// bytesPerEntry runs a child, so that its heap holds nothing else.
func bytesPerEntry(ctx context.Context, b *bench) (result, error) {
	var f footprint
	if err := b.child(ctx, &f, "footprint", strconv.Itoa(b.entries)); err != nil {
		return result{}, err
	}
	r := result{note: fmt.Sprintf("%d entries: heap %.0f bytes each, of it key %.0f, document %.0f, answer %.0f", b.entries, f.Heap, f.Key, f.Document, f.Answer)}
	r.summarise([]float64{f.Entry})
	b.progress("  %s", r.note)
	return r, nil
}

// printFootprint fills a cache with entries as an adapter makes them, builds
// the answer of each once and prints a footprint.
func printFootprint(ctx context.Context, args []string) error {
	count, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	o := cache.Defaults()
	o.Memory = 16 << 30
	o.TTL = time.Hour
	o.Registries = []cache.Registry{{Name: "r", Type: "synthetic", Kind: registry.KindService, Source: registry.SourceFunc(oneInstance)}}
	before := heap()
	c, err := cache.New(o)
	if err != nil {
		return err
	}
	if err := c.Open(); err != nil {
		return err
	}
	f, err := fillAll(ctx, c, count)
	if err != nil {
		return errors.Join(err, c.Close())
	}
	n := float64(count)
	f.Heap = (heap() - before) / n
	f.Key, f.Document, f.Answer = f.Key/n, f.Document/n, f.Answer/n
	f.Entry = f.Heap - f.Key - f.Document - f.Answer
	if held := c.Memory().Entries; held != count {
		err = fmt.Errorf("%d entries are held, %d expected", held, count)
	}
	return errors.Join(err, json.NewEncoder(os.Stdout).Encode(f), c.Close())
}

// heap returns the bytes of live objects.
func heap() float64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// oneInstance answers with a service of one instance, read from JSON.
func oneInstance(_ context.Context, name string, _ *registry.Record) (*registry.Record, error) {
	return registry.ParseRecord(fmt.Appendf(nil, `{"name":%q,"instances":[{"id":"%s-1","address":"10.0.0.1","port":8080,"health":"passing",`+
		`"zone":"eu-1a","version":"1.4.2","tags":["v1"],"metadata":{"canary":"false"}}]}`, name, name))
}

// fillAll looks up every name once and adds up what its answer holds.
func fillAll(ctx context.Context, c *cache.Cache, count int) (footprint, error) {
	workers := runtime.GOMAXPROCS(0)
	parts, errs := make([]footprint, workers), make([]error, workers)
	var filling sync.WaitGroup
	for w := range workers {
		filling.Go(func() {
			buf := []byte(nil)
			for i := w; i < count && errs[w] == nil; i += workers {
				q := registry.Query{Name: fmt.Sprintf("service-%07d", i), MaxAge: -1, Select: registry.DefaultSelect}
				a, err := c.Lookup(ctx, &q)
				if err != nil {
					errs[w] = err
					return
				}
				buf = registry.AppendAnswer(buf[:0], a.Record, &registry.Selection{All: true}, a.Age, a.Stale)
				parts[w].Key += float64(len(a.Record.Key.Registry) + len(a.Record.Key.Name))
				parts[w].Document += float64(len(a.Record.Document))
				parts[w].Answer += float64(len(buf))
			}
		})
	}
	filling.Wait()
	var sum footprint
	for _, p := range parts {
		sum.Key, sum.Document, sum.Answer = sum.Key+p.Key, sum.Document+p.Document, sum.Answer+p.Answer
	}
	return sum, errors.Join(errs...)
}

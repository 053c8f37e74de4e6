package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// invalidators is how many callers invalidate at a time.
const invalidators = 64

// A durability is what a round of invalidations found.
type durability struct {
	Rate float64 `json:"rate"` // a second
	P99  float64 `json:"p99"`  // ms from the call to its return, when it is on disk
}

func invalidationsRate(ctx context.Context, b *bench) (result, error) {
	return b.invalidations(ctx, func(d durability) float64 { return d.Rate })
}

func invalidationsP99(ctx context.Context, b *bench) (result, error) {
	return b.invalidations(ctx, func(d durability) float64 { return d.P99 })
}

func (b *bench) invalidations(ctx context.Context, value func(durability) float64) (result, error) {
	rounds, err := once(b, "invalidations", func() (rounds []durability, err error) {
		dir := filepath.Join(b.dir, "invalidations")
		return rounds, b.child(ctx, &rounds, "invalidations", dir, strconv.Itoa(b.rounds), b.duration.String())
	})
	if err != nil {
		return result{}, err
	}
	r := result{note: fmt.Sprintf("%d callers in one process on one core, each with one name of 10 000; each fsync of the directory is waited for", invalidators)}
	var values []float64
	for i, d := range rounds {
		b.progress("  %d/%d %.0f/s, 99%% %.2f ms", i+1, len(rounds), d.Rate, d.P99)
		values = append(values, value(d))
	}
	r.summarise(values)
	return r, nil
}

// printInvalidations is the child: it invalidates names of a cache whose
// journal is on disk, and prints the durability of each round.
func printInvalidations(ctx context.Context, args []string) error {
	const names = 10_000
	count, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	duration, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	c, err := openCache(args[0], nil, instantly)
	if err != nil {
		return err
	}
	for i := range names {
		q := registry.Query{Name: crawlName(i), MaxAge: -1, Select: registry.DefaultSelect}
		if _, err := c.Lookup(ctx, &q); err != nil {
			return errors.Join(err, c.close())
		}
	}
	var rounds []durability
	for range count {
		d, err := c.invalidateFor(ctx, duration, names)
		if err != nil {
			return errors.Join(err, c.close())
		}
		rounds = append(rounds, d)
	}
	return c.report(rounds)
}

// invalidateFor has the callers invalidate one name after the other.
func (c durable) invalidateFor(ctx context.Context, duration time.Duration, names int) (durability, error) {
	var next atomic.Int64
	took, errs := make([][]float64, invalidators), make([]error, invalidators)
	began := time.Now()
	var calling sync.WaitGroup
	for i := range invalidators {
		calling.Go(func() {
			for last := began; errs[i] == nil && last.Sub(began) < duration; {
				key := registry.Key{Registry: registryName, Name: crawlName(int(next.Add(1)) % names)}
				inv := &registry.Invalidation{Mode: registry.ModeVerify, Selectors: []registry.Selector{{Key: key}}}
				errs[i] = c.Invalidate(ctx, inv)
				now := time.Now()
				took[i] = append(took[i], float64(now.Sub(last))/float64(time.Millisecond))
				last = now
			}
		})
	}
	calling.Wait()
	elapsed := time.Since(began)
	var all []float64
	for _, t := range took {
		all = append(all, t...)
	}
	return durability{float64(len(all)) / elapsed.Seconds(), quantiles(all, 0.99)[0]}, errors.Join(errs...)
}

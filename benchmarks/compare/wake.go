package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
)

// wake measures, per round, the time from the end of a fill's call of the
// registry to the moment when the last of all callers that waited for it has
// its answer, in a process that has one core.
func wake(ctx context.Context, b *bench) (result, error) {
	var last []float64
	if err := b.child(ctx, &last, "wake", strconv.Itoa(b.rounds)); err != nil {
		return result{}, err
	}
	r := result{note: fmt.Sprintf("%d callers of the cache in one process on one core", crowd)}
	r.summarise(last)
	b.progress("  %d rounds: median %.1f ms, worst %.1f ms", len(last), r.value, quantiles(last, 1)[0])
	return r, nil
}

// child runs compare itself as another program on the servers' core and reads
// the JSON that it prints.
func (b *bench) child(ctx context.Context, out any, args ...string) error {
	return b.childOn(ctx, core(b.cores.server), out, args...)
}

// childOn is child on other cores.
func (b *bench) childOn(ctx context.Context, cpus string, out any, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := b.command(ctx, cpus, self, args...)
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return json.Unmarshal(text, out)
}

// printWakes is the child: it prints the milliseconds of each round.
func printWakes(ctx context.Context, args []string) error {
	rounds, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	release, ended := make(chan struct{}), make(chan time.Time, 1)
	o := cache.Defaults()
	o.Registries = []cache.Registry{{Name: "r", Type: "synthetic", Kind: registry.KindService, Timeout: 20 * time.Second,
		Source: registry.SourceFunc(func(ctx context.Context, name string, have *registry.Record) (*registry.Record, error) {
			<-release
			rec, err := oneInstance(ctx, name, have)
			ended <- time.Now()
			return rec, err
		})}}
	c, err := cache.New(o)
	if err != nil {
		return err
	}
	if err := c.Open(); err != nil {
		return err
	}
	var last []float64
	for round := range rounds + 1 {
		took, err := wakeRound(ctx, c, fmt.Sprintf("wake-%d", round), release, ended)
		if err != nil {
			return errors.Join(err, c.Close())
		}
		if round > 0 { // the first one made the stacks
			last = append(last, float64(took)/float64(time.Millisecond))
		}
	}
	return errors.Join(json.NewEncoder(os.Stdout).Encode(last), c.Close())
}

// wakeRound lets a crowd wait for one name and then the registry answer.
func wakeRound(ctx context.Context, c *cache.Cache, service string, release chan<- struct{}, ended <-chan time.Time) (time.Duration, error) {
	ends, errs := make([]time.Time, crowd), make([]error, crowd)
	var calling, callers sync.WaitGroup
	calling.Add(crowd)
	for i := range crowd {
		callers.Go(func() {
			q := registry.Query{Name: service, MaxAge: -1, Select: registry.DefaultSelect}
			calling.Done()
			a, err := c.Lookup(ctx, &q)
			ends[i] = time.Now()
			if err == nil && a.Hit {
				err = errors.New("a hit: this caller did not wait")
			}
			errs[i] = err
		})
	}
	calling.Wait()
	time.Sleep(gathering / 10) // from the call to the wait there is nothing to see
	release <- struct{}{}
	end := <-ended
	callers.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, firstOf(err)
	}
	var last time.Duration
	for _, t := range ends {
		last = max(last, t.Sub(end))
	}
	return last, nil
}

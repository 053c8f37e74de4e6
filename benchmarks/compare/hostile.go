package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"
)

// hostileEvery is how often the service with the hostile filter is asked.
const hostileEvery = 2 * time.Millisecond

// hostileHit compares lookups through a filter while another service's filter is
// asked that loops until its fuel is gone with the same lookups alone.
func hostileHit(ctx context.Context, b *bench) (result, error) {
	module, manifest, err := b.zoneFilter(ctx, "c")
	if err != nil {
		return result{}, err
	}
	hostile := filepath.Join(filepath.Dir(b.examples()), "plugins", "testdata", "hostile")
	n, err := b.startFiltered(ctx, "hostile", fmt.Sprintf(`filters:
  - {name: zone, plugin: %q, manifest: %q, services: [%s]}
  - {name: loop, plugin: %q, manifest: %q, services: [%s-*], may: [drop, reorder, deny], on_failure: open}`,
		module, manifest, name, filepath.Join(hostile, "loop.wasm"), filepath.Join(hostile, "hostile.yaml"), name))
	if err != nil {
		return result{}, err
	}
	url := n.service(name + "-2")
	if _, header, err := get(url); err != nil || header.Get("Edgecache-Filter") != "loop=skipped" {
		return result{}, fmt.Errorf("Edgecache-Filter %q, %v: loop=skipped expected", header.Get("Edgecache-Filter"), err)
	}
	hits, asked := b.wrk(n.service(name)), new(atomic.Int64)
	beside := func(ctx context.Context) (sample, error) {
		ctx, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			ask(ctx, url, asked)
		}()
		s, err := hits(ctx)
		cancel()
		<-done
		return s, err
	}
	r, err := b.versus(ctx, contender{"beside a hostile filter", beside}, contender{"alone", hits})
	r.note = fmt.Sprintf("the hostile one was asked %d times; its breaker opens after five failures and tries again", asked.Load())
	return r, err
}

// ask asks a URL again and again until ctx ends.
func ask(ctx context.Context, url string, asked *atomic.Int64) {
	tick := time.NewTicker(hostileEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if res, err := http.Get(url); err == nil {
			_ = res.Body.Close()
			asked.Add(1)
		}
	}
}

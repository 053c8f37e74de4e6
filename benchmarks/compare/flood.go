package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// flood has callers invalidate names on some members in turn, until that many
// are logged where they were issued.
func (c cluster) flood(ctx context.Context, callers, count int) error {
	var next atomic.Int64
	return together(callers, func(int) error {
		for {
			i := int(next.Add(1)) - 1
			if i >= count {
				return nil
			}
			if _, err := c[i%len(c)].issue(ctx, crawlName(i%names)); err != nil {
				return err
			}
		}
	})
}

// names is how many different ones are invalidated.
const names = 10_000

// together runs a function so many times at once.
func together(callers int, call func(i int) error) error {
	errs := make([]error, callers)
	var calling sync.WaitGroup
	for i := range callers {
		calling.Go(func() { errs[i] = call(i) })
	}
	calling.Wait()
	return errors.Join(errs...)
}

// confirmFor has callers invalidate names on the first member and wait for a
// majority, and returns how many were confirmed a second.
func (c cluster) confirmFor(ctx context.Context, callers int, duration time.Duration) (float64, error) {
	var done atomic.Int64
	began := time.Now()
	err := together(callers, func(i int) error {
		for time.Since(began) < duration {
			inv, err := c[0].issue(ctx, crawlName(int(done.Add(1))%names))
			if err == nil {
				_, err = c[0].Await(ctx, inv.ID(), registry.LevelQuorum)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return float64(done.Load()) / time.Since(began).Seconds(), err
}

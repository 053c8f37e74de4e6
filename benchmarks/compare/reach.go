package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// What is told to how many nodes, how often and how many times, on both sides.
const (
	reachNodes = 16
	reachEvery = 20 * time.Millisecond
	reachCount = 2_000
	reachWarm  = 100 // before; not counted
)

// A reach is how long it took until the last node had what was told.
type reach struct {
	Took   []float64 `json:"took"`   // ms
	Missed int       `json:"missed"` // never told to some within the limit, and not in Took
}

func invalidateP50(ctx context.Context, b *bench) (result, error) { return b.reached(ctx, 0.5) }
func invalidateP99(ctx context.Context, b *bench) (result, error) { return b.reached(ctx, 0.99) }

func (b *bench) reached(ctx context.Context, quantile float64) (result, error) {
	ours, err := b.reach(ctx, "reach")
	if err != nil {
		return result{}, err
	}
	if ours.Missed > 0 {
		return result{}, fmt.Errorf("%d invalidations were not confirmed by all %d nodes", ours.Missed, reachNodes)
	}
	r := result{note: fmt.Sprintf("%d invalidations, one every %s at a random node, from the call until it knows that all %d have logged it; %s", len(ours.Took), reachEvery, reachNodes, oneProcess)}
	r.summarise(quantiles(ours.Took, quantile))
	return r, nil
}

// invalidateMemberlist compares 99th percentiles. What stock memberlist did not
// bring to all nodes is left out of its own.
func invalidateMemberlist(ctx context.Context, b *bench) (result, error) {
	ours, err := b.reached(ctx, 0.99)
	if err != nil {
		return result{}, err
	}
	theirs, err := b.reach(ctx, "gossip")
	if err != nil {
		return result{}, err
	}
	q := quantiles(theirs.Took, 0.5, 0.99)
	r := result{note: fmt.Sprintf("%.1f ms, and that includes the way back and all fsyncs; memberlist with DefaultLANConfig, each node queueing what it first hears: 50%% %.0f ms, 99%% %.0f ms of the %d of %d that reached all; %s",
		ours.value, q[0], q[1], len(theirs.Took), len(theirs.Took)+theirs.Missed, oneProcess)}
	r.summarise([]float64{q[1] / ours.value})
	return r, nil
}

// reach runs one side once.
func (b *bench) reach(ctx context.Context, side string) (reach, error) {
	return once(b, side, func() (r reach, err error) {
		if err = b.childOn(ctx, b.cores.both(), &r, side, filepath.Join(b.dir, side), strconv.Itoa(reachCount)); err != nil {
			return r, err
		}
		q := quantiles(r.Took, 0.5, 0.99, 1)
		b.progress("  %s: %d reached all, %d did not: median %.2f ms, 99%% %.2f ms, worst %.2f ms", side, len(r.Took), r.Missed, q[0], q[1], q[2])
		return r, nil
	})
}

// printReach is the child that has edgecache's nodes.
func printReach(ctx context.Context, args []string) error {
	count, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	c, err := openCluster(ctx, args[0], reachNodes, 0)
	if err != nil {
		return err
	}
	r, err := tell(ctx, count, c.tell)
	return c.report(r, err)
}

// tell invalidates a name at a random member and waits until all have logged
// it.
func (c cluster) tell(ctx context.Context, i int) error {
	return c[rand.IntN(len(c))].tell(ctx, i, len(c))
}

func (m *member) tell(ctx context.Context, i, nodes int) error {
	inv, err := m.issue(ctx, crawlName(i%names))
	if err != nil {
		return err
	}
	confirmation, err := m.Await(ctx, inv.ID(), registry.LevelAll)
	if err == nil && len(confirmation.Confirmed) < nodes {
		err = fmt.Errorf("%w: %s was confirmed by %d of %d", errMissed, inv.ID(), len(confirmation.Confirmed), nodes)
	}
	return err
}

var errMissed = errors.New("not told to all")

// tell calls one so many times, one call every reachEvery however long the
// others take.
func tell(ctx context.Context, count int, one func(ctx context.Context, i int) error) (r reach, err error) {
	var mu sync.Mutex // protects r and err
	var telling sync.WaitGroup
	tick := time.NewTicker(reachEvery)
	defer tick.Stop()
	for i := range reachWarm + count {
		select {
		case <-tick.C:
		case <-ctx.Done():
			telling.Wait()
			return r, ctx.Err()
		}
		began := time.Now()
		telling.Go(func() {
			failed := one(ctx, i)
			took := time.Since(began)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case i < reachWarm && (failed == nil || errors.Is(failed, errMissed)):
			case failed == nil:
				r.Took = append(r.Took, float64(took)/float64(time.Millisecond))
			case errors.Is(failed, errMissed):
				r.Missed++
			default:
				err = errors.Join(err, failed)
			}
		})
	}
	telling.Wait()
	return r, err
}

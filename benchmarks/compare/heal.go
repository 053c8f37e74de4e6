package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"
)

// How a partition goes.
const (
	healRounds = 15 // at least
	isolation  = 1500 * time.Millisecond
	fewest     = 1_000 // invalidations while it lasts, more from round to round
	most       = 10_000
)

// A healing is one partition and its end.
type healing struct {
	Missed int     `json:"missed"` // invalidations
	Took   float64 `json:"took"`   // ms
}

func heal(ctx context.Context, b *bench) (result, error) {
	rounds := max(b.rounds, healRounds)
	var list []healing
	if err := b.childOn(ctx, b.cores.both(), &list, "heal", filepath.Join(b.dir, "heal"), strconv.Itoa(rounds)); err != nil {
		return result{}, err
	}
	took := make([]float64, len(list))
	for i, h := range list {
		took[i] = h.Took
		b.progress("  %d/%d %d missed, %.0f ms", i+1, len(list), h.Missed, h.Took)
	}
	q := quantiles(took, 0.25, 0.5, 0.75, 1)
	return result{value: q[3], quartile: [2]float64{q[0], q[2]}, note: fmt.Sprintf("the worst of %d rounds stands for the 99th percentile, their median is %.0f ms; one of three nodes talks to nobody for %s while %d to %d are issued on the others; %s",
		len(list), q[1], isolation, fewest, most, oneProcess)}, nil
}

// printHeals is the child.
func printHeals(ctx context.Context, args []string) error {
	rounds, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	c, err := openCluster(ctx, args[0], 3, 0)
	if err != nil {
		return err
	}
	var list []healing
	for i := 0; i < rounds && err == nil; i++ {
		h := healing{Missed: fewest + (most-fewest)*i/max(rounds-1, 1)}
		var took time.Duration
		if took, err = c.heal(ctx, h.Missed); err == nil {
			h.Took = float64(took) / float64(time.Millisecond)
			list, err = append(list, h), c.settle(ctx)
		}
	}
	return c.report(list, err)
}

// heal isolates the last member while the others invalidate, and returns how
// long after that all have logged the same.
func (c cluster) heal(ctx context.Context, count int) (time.Duration, error) {
	last := c[len(c)-1]
	until := time.NewTimer(isolation)
	defer until.Stop()
	last.node.Isolate(true)
	defer last.node.Isolate(false)
	if err := c[:len(c)-1].flood(ctx, invalidators, count); err != nil {
		return 0, err
	}
	select {
	case <-until.C:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if c.same() == nil {
		return 0, fmt.Errorf("%s was isolated and lacks none of %d", last.name, count)
	}
	began := time.Now()
	last.node.Isolate(false)
	err := c.becomeSame(ctx)
	return time.Since(began), err
}

// becomeSame waits until all members have logged the same.
func (c cluster) becomeSame(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		err := c.same()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}

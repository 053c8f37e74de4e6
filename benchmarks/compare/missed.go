package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"
)

// How much is missed, and how much of it journals keep.
const (
	missedRecords     = 900_000
	missedMoreRecords = 1_500_000
	keptRecords       = 1 << 20 // the default
)

// A catchUp is the start of a node that missed something.
type catchUp struct {
	Made   float64 `json:"made"`   // seconds that it took to issue what it missed
	Synced float64 `json:"synced"` // seconds from its start until it says so
	Took   float64 `json:"took"`   // and until no member lacks anything
	Pulled uint64  `json:"pulled"` // records that it logged of what it missed
	All    bool    `json:"all"`    // it took all for invalidated
}

func missed(ctx context.Context, b *bench) (result, error) { return b.missed(ctx, missedRecords) }
func missedMore(ctx context.Context, b *bench) (result, error) {
	return b.missed(ctx, missedMoreRecords)
}

func (b *bench) missed(ctx context.Context, count int) (result, error) {
	scale := func(n int) int { return max(1, int(float64(n)*min(1, float64(b.entries)/fullEntries))) }
	count, kept := scale(count), scale(keptRecords)
	var c catchUp
	err := b.childOn(ctx, b.cores.both(), &c, "missed", filepath.Join(b.dir, fmt.Sprint("missed-", count)), strconv.Itoa(count), strconv.Itoa(kept))
	if err != nil {
		return result{}, err
	}
	if c.All != (count > kept) {
		return result{}, fmt.Errorf("of %d missed journals keep %d; took all for invalidated: %v", count, kept, c.All)
	}
	how := "pulled"
	if c.All {
		how = "of which it pulled"
	}
	r := result{note: fmt.Sprintf("%d missed, %s %d, journals keep %d; synced after %.1f s; all for invalidated: %v; one start of one of three nodes; %s", count, how, c.Pulled, kept, c.Synced, c.All, oneProcess)}
	r.summarise([]float64{c.Took})
	b.progress("  %d missed, issued in %.0f s: synced after %.2f s, lacks nothing after %.2f s, %d pulled, all %v", count, c.Made, c.Synced, c.Took, c.Pulled, c.All)
	return r, nil
}

// printMissed is the child.
func printMissed(ctx context.Context, args []string) error {
	count, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	kept, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	c, err := openCluster(ctx, args[0], 3, kept)
	if err != nil {
		return err
	}
	found, err := c.miss(ctx, count)
	return c.report(found, err)
}

// miss has the last member stopped while the others invalidate, and starts it
// again.
func (c cluster) miss(ctx context.Context, count int) (r catchUp, err error) {
	last := c[len(c)-1]
	before, err := last.journal()
	if err != nil {
		return r, err
	}
	if err := last.end(); err != nil {
		return r, err
	}
	began := time.Now()
	failed := c[:len(c)-1].flood(ctx, missCallers, count)
	r.Made = time.Since(began).Seconds()
	began = time.Now()
	if err := errors.Join(failed, last.open()); err != nil {
		return r, err
	}
	if err := last.enters(ctx); err != nil {
		return r, err
	}
	r.Synced = time.Since(began).Seconds()
	if err := errors.Join(c.becomeSame(ctx), c.settle(ctx)); err != nil {
		return r, err
	}
	r.Took = time.Since(began).Seconds()
	after, err := last.journal()
	for id, l := range after {
		gone := last.log.goneOf(id)
		r.All = r.All || gone > 0
		r.Pulled += l.last - max(gone, before[id].last)
	}
	return r, err
}

// missCallers issue what is missed.
const missCallers = 64

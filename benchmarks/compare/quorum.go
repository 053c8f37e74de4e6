package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"
)

// confirmers is how many callers wait for a majority at a time.
const confirmers = 512

func quorumRate(ctx context.Context, b *bench) (result, error) {
	var rates []float64
	if err := b.childOn(ctx, b.cores.both(), &rates, "quorum", filepath.Join(b.dir, "quorum"), strconv.Itoa(b.rounds), b.duration.String()); err != nil {
		return result{}, err
	}
	r := result{note: fmt.Sprintf("%d callers of the cache of one of three nodes, with the journals on disk; %s", confirmers, oneProcess)}
	r.summarise(rates)
	b.progress("  %d rounds: %.0f/s, quartiles %.0f and %.0f", len(rates), r.value, r.quartile[0], r.quartile[1])
	return r, nil
}

// printQuorum is the child: it prints the rate of each round.
func printQuorum(ctx context.Context, args []string) error {
	rounds, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	duration, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	c, err := openCluster(ctx, args[0], 3, 0)
	if err != nil {
		return err
	}
	var rates []float64
	for i := 0; i < rounds && err == nil; i++ {
		var rate float64
		rate, err = c.confirmFor(ctx, confirmers, duration)
		rates = append(rates, rate)
	}
	return c.report(rates, err)
}

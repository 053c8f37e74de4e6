package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// newEntries is how many a second are written to disk.
const newEntries = 10_000

// diskFillHit compares hits while new entries come and are written to disk
// with hits alone.
func diskFillHit(ctx context.Context, b *bench) (result, error) {
	n, err := b.startBuilt(ctx, "disk-fill", built{Dir: filepath.Join(b.dir, "disk-fill")})
	if err != nil {
		return result{}, err
	}
	f := &fed{n: n, hits: b.wrk(n.service(name))}
	r, err := b.versus(ctx, contender{"new entries to disk", f.load}, contender{"hits alone", f.hits})
	if err != nil {
		return r, err
	}
	return f.note(r)
}

// diskFillDisk compares the same with a node to which the same entries come,
// but which has no disk: what is left is the disk's part.
func diskFillDisk(ctx context.Context, b *bench) (result, error) {
	with, err := b.startBuilt(ctx, "disk-with", built{Dir: filepath.Join(b.dir, "disk-with")})
	if err != nil {
		return result{}, err
	}
	without, err := b.startBuilt(ctx, "disk-without", built{})
	if err != nil {
		return result{}, err
	}
	ours := &fed{n: with, hits: b.wrk(with.service(name))}
	theirs := &fed{n: without, hits: b.wrk(without.service(name))}
	r, err := b.versus(ctx, contender{"new entries to disk", ours.load}, contender{"new entries, no disk", theirs.load})
	if err != nil {
		return r, err
	}
	return ours.note(r)
}

// A fed is a node that is loaded with hits while new entries come to it.
type fed struct {
	n     *node
	hits  func(context.Context) (sample, error)
	rates []float64 // of entries that came a second, by round
	disk  []float64 // of entries that were on disk a second
}

func (f *fed) load(ctx context.Context) (sample, error) {
	before, err := f.n.feed(newEntries)
	if err != nil {
		return sample{}, err
	}
	began := time.Now()
	s, err := f.hits(ctx)
	took := time.Since(began).Seconds()
	after, feedErr := f.n.feed(0)
	f.rates = append(f.rates, float64(after.came-before.came)/took)
	f.disk = append(f.disk, float64(after.stored-before.stored)/took)
	return s, errors.Join(err, feedErr)
}

// note says how many entries came, and fails if the disk did not get them.
func (f *fed) note(r result) (result, error) {
	came, disk := median(f.rates), median(f.disk)
	r.note = fmt.Sprintf("%.0f entries a second came as a feed brings them, %.0f were on disk at the end of a round", came, disk)
	if came < 0.9*newEntries || disk < 0.8*newEntries {
		return r, errors.New(r.note)
	}
	return r, nil
}

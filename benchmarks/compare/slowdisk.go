package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

const (
	slowDelay   = 100 * time.Millisecond
	slowEntries = 100 // a second, so that the disk has something to do
)

// slowFS is the disk with every operation of a file or directory delayed.
func slowFS(delay time.Duration) vfs.FS {
	return errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(errorfs.Op) error {
		time.Sleep(delay)
		return nil
	}))
}

// slowDiskHit compares the 99th percentile of hits on two nodes to which the
// same entries come: one has a slow disk.
func slowDiskHit(ctx context.Context, b *bench) (result, error) {
	side := func(label string, delay time.Duration) (contender, error) {
		n, err := b.startBuilt(ctx, label, built{Dir: filepath.Join(b.dir, label), Delay: delay})
		if err != nil {
			return contender{}, err
		}
		hits := b.wrk(n.service(name))
		return contender{label, func(ctx context.Context) (sample, error) {
			if _, err := n.feed(slowEntries); err != nil {
				return sample{}, err
			}
			s, err := hits(ctx)
			if err == nil {
				_, err = n.feed(0)
			}
			return s, err
		}}, nil
	}
	slow, err := side("slow-disk", slowDelay)
	if err != nil {
		return result{}, err
	}
	idle, err := side("quick-disk", 0)
	if err != nil {
		return result{}, err
	}
	r, err := b.versus(ctx, slow, idle)
	if err != nil {
		return r, err
	}
	r.overP99()
	r.note = "each operation of the slow file system takes 100 ms; 100 entries a second are written on both sides"
	return r, nil
}

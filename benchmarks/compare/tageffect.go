package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/edgecache/edgecache/registry"
)

// tagged is how many entries the invalidated tag covers.
const tagged = 100_000

func tagEffect(ctx context.Context, b *bench) (result, error) {
	var effects []float64
	if err := b.child(ctx, &effects, "tag-effect", filepath.Join(b.dir, "tag-effect"), strconv.Itoa(b.rounds), strconv.Itoa(min(tagged, b.entries))); err != nil {
		return result{}, err
	}
	r := result{note: "in one process on one core, until the invalidation returns; no lookup that begins later is fresh, each entry is looked at"}
	r.summarise(effects)
	b.progress("  %d rounds: median %.3f ms, worst %.3f ms", len(effects), r.value, quantiles(effects, 1)[0])
	return r, nil
}

// printTagEffects is the child: it prints the milliseconds from the end of the
// fsync of an invalidation to its return, or to the last lookup that began
// later and was fresh all the same, of each round.
func printTagEffects(ctx context.Context, args []string) error {
	rounds, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	synced := &syncTimes{FS: vfs.Default}
	var version atomic.Int64 // of what the registry says
	c, err := openCache(args[0], synced, func(_ context.Context, name string, _ *registry.Record) (*registry.Record, error) {
		rec := documentOf(name)
		rec.Tags = []string{"all"}
		rec.Metadata = registry.MetadataOf(map[string]string{"version": strconv.FormatInt(version.Load(), 10)})
		return rec, nil
	})
	if err != nil {
		return err
	}
	var effects []float64
	for range rounds {
		effect, err := c.tagEffect(ctx, count, synced, &version)
		if err != nil {
			return errors.Join(err, c.close())
		}
		effects = append(effects, float64(effect)/float64(time.Millisecond))
	}
	return c.report(effects)
}

// A tagRound invalidates the tag of all entries while others look them up.
// Whatever is fresh afterwards must be of the next version.
type tagRound struct {
	durable
	count int
	old   string // the version before
}

func (c durable) tagEffect(ctx context.Context, count int, synced *syncTimes, version *atomic.Int64) (time.Duration, error) {
	r := tagRound{c, count, strconv.FormatInt(version.Load(), 10)}
	if err := r.all(ctx, true); err != nil {
		return 0, fmt.Errorf("before the invalidation: %w", err)
	}
	version.Add(1)
	probing, stop := context.WithCancel(ctx)
	latest := make(chan time.Time, 1)
	go func() { latest <- r.probe(probing) }()
	time.Sleep(20 * time.Millisecond) // so that the lookups are under way
	err := c.Invalidate(ctx, &registry.Invalidation{Mode: registry.ModeVerify, Selectors: []registry.Selector{{Tag: "all"}}})
	effect, durable := time.Now(), synced.last()
	stop()
	if last := <-latest; last.After(effect) {
		effect = last
	}
	if err == nil {
		err = r.all(ctx, false)
	}
	if err != nil {
		return 0, fmt.Errorf("after the invalidation: %w", err)
	}
	return effect.Sub(durable), nil
}

// isOld looks an entry up and reports whether it is fresh and of the version
// before.
func (r tagRound) isOld(ctx context.Context, i int) (bool, error) {
	q := registry.Query{Name: crawlName(i), MaxAge: -1, Select: registry.DefaultSelect}
	a, err := r.Lookup(ctx, &q)
	if err != nil {
		return false, err
	}
	version, _ := a.Record.Metadata.Get("version")
	return !a.Stale && version == r.old, nil
}

// all makes sure that every entry is old, or none.
func (r tagRound) all(ctx context.Context, want bool) error {
	for i := range r.count {
		old, err := r.isOld(ctx, i)
		if err == nil && old != want {
			err = fmt.Errorf("fresh and of the version before: %v", old)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", crawlName(i), err)
		}
	}
	return nil
}

// probe looks entries up until ctx ends and returns when the last lookup began
// whose answer was old.
func (r tagRound) probe(ctx context.Context) (latest time.Time) {
	for i := 0; ctx.Err() == nil; i++ {
		began := time.Now()
		if old, err := r.isOld(ctx, i*7919%r.count); err == nil && old {
			latest = began
		}
	}
	return latest
}

// syncTimes is a file system that notes when the last fsync ended.
type syncTimes struct {
	vfs.FS
	ended atomic.Pointer[time.Time]
}

func (s *syncTimes) last() time.Time { return *s.ended.Load() }

func (s *syncTimes) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := s.FS.Create(name, c)
	return s.file(f, err)
}

func (s *syncTimes) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := s.FS.ReuseForWrite(oldname, newname, c)
	return s.file(f, err)
}

func (s *syncTimes) file(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &syncedFile{f, s}, nil
}

type syncedFile struct {
	vfs.File
	times *syncTimes
}

func (f *syncedFile) note(err error) error {
	now := time.Now()
	f.times.ended.Store(&now)
	return err
}

func (f *syncedFile) Sync() error     { return f.note(f.File.Sync()) }
func (f *syncedFile) SyncData() error { return f.note(f.File.SyncData()) }

package cache

import (
	"context"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// sweepPause is the time between tries to mark what is on disk.
const sweepPause = 10 * time.Second

// sweepIfFull starts a sweep of the tag and prefix generations if there are too
// many, unless one is under way. The order lock is held.
func (c *Cache) sweepIfFull() {
	if c.sweeping || c.closed || !c.gens.full() {
		return
	}
	c.sweeping = true
	if c.disk == nil {
		c.wg.Go(c.sweepGenerations)
	} else {
		c.disk.spawn(c.sweepGenerations)
	}
}

// sweepGenerations judges every entry, in memory and on disk, by the older half
// of the tag and prefix generations and forgets them.
func (c *Cache) sweepGenerations() {
	c.order.Lock()
	upTo := c.gens.median()
	old := c.gens.wideUpTo(upTo)
	c.order.Unlock()
	c.judgeMemory()
	err := c.judgeDisk(old)
	if err == nil {
		c.order.Lock()
		c.gens.dropWide(upTo)
		c.order.Unlock()
		if err := c.journal.Forget(old.wide(), upTo); err != nil {
			c.opts.Logger.Warn("invalidations not taken off the disk", "err", err)
		}
	} else {
		c.opts.Logger.Warn("entries on disk not marked as invalidated", "err", err)
		pause(c.ctx, sweepPause)
	}
	c.order.Lock()
	c.sweeping = false
	c.sweepIfFull()
	c.order.Unlock()
}

// relieve makes room in the tables while a sweep waits for the disk: what is
// there from before is taken as covered from now on. The journal keeps what it
// forgets, for a restart.
func (c *Cache) relieve() {
	c.order.Lock()
	upTo := c.gens.median()
	c.order.Unlock()
	c.judgeMemory()
	c.order.Lock()
	forgotten, position := c.gens.dropWide(upTo)
	c.gens.distrust.raise(&forgotten, position)
	c.order.Unlock()
}

// judgeMemory brings the marks of all entries up to date, those that wait to be
// written too.
func (c *Cache) judgeMemory() {
	for e := range c.mem.all() {
		c.order.Lock()
		if held := c.mem.peek(e.key); held != nil { // it may have been replaced
			held.raise(c.gens.covering(held.key, tagsOf(held.rec), held.began))
		}
		c.order.Unlock()
	}
	if c.disk == nil {
		return
	}
	c.order.Lock()
	defer c.order.Unlock()
	for _, waiting := range []map[registry.Key]*write{c.disk.pending, c.disk.writing} {
		for _, w := range waiting {
			if w.entry != nil {
				w.entry.raise(c.gens.covering(w.key, w.entry.rec.Tags, w.entry.began))
			}
		}
	}
}

// judgeDisk marks what is on disk with old generations of tags and prefixes,
// which the tables may have forgotten meanwhile. What memory holds was judged before: what is written from then on
// has its marks.
func (c *Cache) judgeDisk(old *generations) error {
	if c.disk == nil {
		return nil
	}
	c.disk.settle(c.ctx)
	directory := c.disk.store.Directory()
	for _, u := range c.ups.Load().all {
		if u.merges() || directory == 0 {
			continue
		}
		if err := c.judgeRegistry(u.Name, old); err != nil {
			if c.disk.store.Directory() != directory {
				return nil // a fresh one has nothing from before
			}
			return err
		}
	}
	return c.ctx.Err()
}

// settle waits for the end of the batch that is being written: it may have been
// converted before the entries in it were judged.
func (d *disk) settle(ctx context.Context) {
	d.c.order.Lock()
	over := d.writeOver
	d.c.order.Unlock()
	if over == nil {
		return
	}
	select {
	case <-over:
	case <-ctx.Done():
	}
}

// scanPage is how many entries are read from disk before the order lock is
// taken for them.
const scanPage = 256

// pages calls do with all that the disk has of a registry, in byte order, a page
// at a time, until it returns an error. Each page is read anew.
func (d *disk) pages(registryName string, began func(), do func([]*registry.Stored) error) error {
	page := make([]*registry.Stored, 0, scanPage)
	for after := ""; ; {
		page = page[:0]
		if began != nil {
			began()
		}
		err := d.store.Scan(registryName, after, func(s *registry.Stored) bool {
			page = append(page, s)
			return len(page) < scanPage
		})
		if err == nil {
			err = do(page)
		}
		if err != nil || len(page) < scanPage {
			return err
		}
		after = page[len(page)-1].Name
		if err := d.c.ctx.Err(); err != nil {
			return err
		}
	}
}

type markGroup struct {
	mode     registry.Mode
	position uint64
}

func (c *Cache) judgeRegistry(name string, old *generations) error {
	return c.disk.pages(name, nil, func(page []*registry.Stored) error {
		groups := map[markGroup][]registry.Key{}
		for _, s := range page {
			marks := old.marks(s.Key, tagsOf(s.Record))
			for m := registry.ModeSoft; m <= registry.ModeHard; m++ {
				if marks[m] > s.Began {
					groups[markGroup{m, marks[m]}] = append(groups[markGroup{m, marks[m]}], s.Key)
				}
			}
		}
		for g, keys := range groups {
			if err := c.disk.store.Mark(keys, g.mode, g.position); err != nil {
				return err
			}
		}
		return nil
	})
}

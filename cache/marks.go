package cache

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// appendPatience bounds how long an invalidation waits for the journal.
const appendPatience = time.Minute

// append logs an applied invalidation.
func (c *Cache) append(ctx context.Context, inv *registry.Invalidation, a registry.Applied, directory uint32) error {
	ctx, cancel := context.WithTimeout(ctx, appendPatience)
	defer cancel()
	err := c.journal.Append(ctx, inv, a)
	c.marked(inv, a, directory, err)
	return err
}

// marked notes whether the disk has the marks of an invalidation.
func (c *Cache) marked(inv *registry.Invalidation, a registry.Applied, directory uint32, err error) {
	if c.disk == nil || len(a.Keys) == 0 {
		return
	}
	c.order.Lock()
	c.disk.marks.appended(a, inv.Mode, directory, err)
	c.order.Unlock()
	if err != nil {
		c.disk.wakeWriter()
	}
}

// unmarked are the invalidations of names of which the disk may not know yet.
// An entry that is read from it must be judged by what was forgotten of them.
// The order lock protects it.
type unmarked struct {
	under   []uint64      // positions of appends that have not returned, rising
	failed  []failedMarks // to be put by the writer
	keys    int           // of failed
	stuck   uint64        // the lowest position given up for lack of room; 0: none
	stuckIn uint32        // the directory that lacks it
}

type failedMarks struct {
	keys      []registry.Key
	mode      registry.Mode
	position  uint64
	directory uint32 // in use when the append began: a later one lacks nothing
}

// maxFailedKeys bounds the names kept for the writer to mark.
const maxFailedKeys = 65536

// appended notes the end of an append. What it did not make durable may still
// reach the disk, but only a mark that is known to be there counts.
func (m *unmarked) appended(a registry.Applied, mode registry.Mode, directory uint32, err error) {
	if i, ok := slices.BinarySearch(m.under, a.Position); ok {
		m.under = slices.Delete(m.under, i, i+1)
	}
	switch {
	case err == nil || directory == 0:
	case m.keys+len(a.Keys) > maxFailedKeys:
		if m.stuckIn != directory || a.Position < m.stuck {
			m.stuck, m.stuckIn = a.Position, directory
		}
	default:
		i, _ := slices.BinarySearchFunc(m.failed, a.Position, func(f failedMarks, p uint64) int { return cmp.Compare(f.position, p) })
		m.failed = slices.Insert(m.failed, i, failedMarks{a.Keys, mode, a.Position, directory})
		m.keys += len(a.Keys)
	}
}

// below returns the greatest position up to which the disk knows of every
// invalidation of names, at most position.
func (m *unmarked) below(position uint64) uint64 {
	if len(m.under) > 0 {
		position = min(position, m.under[0]-1)
	}
	if len(m.failed) > 0 {
		position = min(position, m.failed[0].position-1)
	}
	if m.stuck > 0 {
		position = min(position, m.stuck-1)
	}
	return position
}

// marked drops what the writer put. Only the writer takes out of failed.
func (m *unmarked) marked(put failedMarks) {
	i := slices.IndexFunc(m.failed, func(f failedMarks) bool { return f.position == put.position })
	if i == 0 {
		m.failed = m.failed[1:]
	} else {
		m.failed = slices.Delete(m.failed, i, i+1)
	}
	m.keys -= len(put.keys)
}

// release drops what other directories lack.
func (m *unmarked) release(directory uint32) {
	m.failed = slices.DeleteFunc(m.failed, func(f failedMarks) bool {
		if f.directory != directory {
			m.keys -= len(f.keys)
		}
		return f.directory != directory
	})
	if m.stuckIn != directory {
		m.stuck = 0
	}
}

// mark puts what appends failed to put.
func (d *disk) mark(directory uint32) error {
	for {
		d.c.order.Lock()
		d.marks.release(directory)
		var next failedMarks
		if len(d.marks.failed) > 0 {
			next = d.marks.failed[0]
		}
		d.c.order.Unlock()
		if next.keys == nil {
			return nil
		}
		if err := d.store.Mark(next.keys, next.mode, next.position); err != nil {
			return err
		}
		d.c.order.Lock()
		d.marks.marked(next)
		d.c.order.Unlock()
	}
}

package cache

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/edgecache/edgecache/registry"
)

// resolve answers from the registries in config order: the first that has the
// name answers, stale or not; an absent one leaves it to the next; one that is
// down too, and makes the answer partial, unless it is configured to end the
// lookup. Not found is said only if every registry said so.
func (c *Cache) resolve(ctx context.Context, order []*upstream, q *registry.Query, now, until time.Duration) (registry.Answer, error) {
	var (
		f, failed found
		partial   bool
		said      [4]registry.Outcome
		outcomes  = said[:0]
		hit       = true
	)
	for _, u := range order {
		if !u.covers(q.Kind, q.Name) {
			continue
		}
		f = found{}
		if u.merges() {
			c.merge(ctx, u, q, now, until, &f)
		} else {
			c.one(ctx, u, q, now, until, &f)
		}
		hit = hit && (f.hit || f.class == classDown && f.entry == nil && f.fwdStatus == 0)
		switch f.class {
		case classFound:
			if partial {
				f.details |= registry.DetailPartial
			}
			f.hit = f.hit && hit
			return c.resolved(order, u, q, &f), nil
		case classDown:
			if !partial {
				failed = f
			} else if f.retryIn > 0 && f.retryIn < failed.retryIn {
				failed.retryIn = f.retryIn
			}
			partial = true
		}
		outcomes = append(outcomes, f.outcome(u.Name))
		if f.class == classDown && u.FailOnDown {
			break
		}
		now = c.now()
	}
	if partial {
		return c.down(q, failed, slices.Clone(outcomes))
	}
	return c.absent(order, q, f, slices.Clone(outcomes))
}

// down is the failure of a lookup that no registry answered and at least one
// could not.
func (c *Cache) down(q *registry.Query, failed found, outcomes []registry.Outcome) (registry.Answer, error) {
	c.stats.errors.Add(1)
	err := &registry.LookupError{Name: strings.Clone(q.Name), Err: failed.sentinel(), RetryAfter: failed.retryIn, Registries: outcomes}
	return registry.Answer{Hit: failed.hit, Fwd: failed.fwd, FwdStatus: failed.fwdStatus, Details: failed.details}, err
}

// absent is the failure of a lookup that every registry answered: none has
// the name.
func (c *Cache) absent(order []*upstream, q *registry.Query, f found, outcomes []registry.Outcome) (registry.Answer, error) {
	c.stats.negative.Add(1)
	err := &registry.LookupError{Name: strings.Clone(q.Name), Err: registry.ErrNotFound, Registries: outcomes}
	a := registry.Answer{Hit: f.hit || f.class != classAbsent, Index: f.index, Age: f.age, TTL: f.ttl,
		Fwd: f.fwd, FwdStatus: f.fwdStatus, Stored: f.stored, Collapsed: f.collapsed, Details: f.details | registry.DetailNegative}
	if len(order) > 1 {
		a.Index = c.derived.absence(c, scope(q.Kind), q.Name, f.index)
	}
	return a, err
}

// resolved returns what was found under the index of the name itself: it
// rises when the answer changes registry, too.
func (c *Cache) resolved(order []*upstream, u *upstream, q *registry.Query, f *found) registry.Answer {
	c.stats.count(f)
	if len(order) > 1 {
		f.rec = c.derived.indexed(c, scope(q.Kind), q.Name, f.rec)
		f.index = f.rec.Index
	}
	return f.answer(u)
}

// scope keeps the derived answers of lookups that differ in kind apart. No
// registry's name has a slash.
func scope(k registry.Kind) string {
	switch k {
	case registry.KindService:
		return "/service"
	case registry.KindAgent:
		return "/agent"
	case registry.KindMCP:
		return "/mcp"
	}
	return "/"
}

// A derived answer is made from entries: a merge of several, or one of them
// under an index of its own. It holds no decision: what it is made from is
// judged on each lookup.
type derived struct {
	parts []*registry.Record // what it was made from; nil: absence
	rec   *registry.Record   // nil: absence
	index uint64
}

// A derivedTable keeps derived answers within a share of the memory budget.
type derivedTable struct {
	table *otter.Cache[registry.Key, *derived]
}

// derivedShare is the part of the memory budget kept for derived answers where
// several registries are configured.
const derivedShare = 0.15

func newDerivedTable(forget func(index uint64)) (*derivedTable, error) {
	d := &derivedTable{}
	var err error
	d.table, err = otter.New(&otter.Options[registry.Key, *derived]{
		MaximumWeight: 1,
		Weigher: func(k registry.Key, v *derived) uint32 {
			n := 200 + len(k.Name)
			if len(v.parts) > 1 && v.rec != nil {
				n += v.rec.Size()
			}
			return uint32(min(n, maxEntryCharged))
		},
		OnAtomicDeletion: func(e otter.DeletionEvent[registry.Key, *derived]) {
			if e.WasEvicted() {
				forget(e.Value.index)
			}
		},
	})
	return d, err
}

// enable sets aside a share of the memory budget for derived answers, or
// nothing, and returns how much.
func (d *derivedTable) enable(on bool, memory registry.Size) (reserved uint64) {
	if !on {
		d.table.SetMaximum(1)
		return 0
	}
	reserved = uint64(float64(memory) * derivedShare)
	d.table.SetMaximum(reserved)
	return reserved
}

// indexed returns rec under the name's own index: rec itself as long as its
// index rises, else a copy under the next reading of the clock.
func (d *derivedTable) indexed(c *Cache, scope, name string, rec *registry.Record) *registry.Record {
	if v, ok := d.table.GetIfPresent(registry.Key{Registry: scope, Name: name}); ok && len(v.parts) == 1 && v.parts[0] == rec {
		return v.rec
	}
	key := registry.Key{Registry: scope, Name: strings.Clone(name)}
	v, _ := d.table.Compute(key, func(old *derived, exists bool) (*derived, otter.ComputeOp) {
		if exists && len(old.parts) == 1 && old.parts[0] == rec {
			return old, otter.CancelOp
		}
		n := &derived{parts: []*registry.Record{rec}, rec: rec}
		switch {
		case exists && old.rec != nil && old.rec.Hash() == rec.Hash() && old.rec.Key == rec.Key:
			// The same content, confirmed: the name's index stays.
			if old.index != rec.Index {
				n.rec = rec.WithIndex(old.index)
			}
		case exists && old.index >= rec.Index, !exists && rec.Index <= c.mem.forgotten.Load():
			n.rec = rec.WithIndex(c.clock.Next(rec.Hash()))
		}
		n.index = n.rec.Index
		return n, otter.WriteOp
	})
	return v.rec
}

// absence returns the index of a name that no registry has; last is that of
// the absence of the last of them.
func (d *derivedTable) absence(c *Cache, scope, name string, last uint64) uint64 {
	if v, ok := d.table.GetIfPresent(registry.Key{Registry: scope, Name: name}); ok && v.rec == nil {
		return v.index
	}
	if last > c.mem.forgotten.Load() {
		if _, ok := d.table.GetIfPresent(registry.Key{Registry: scope, Name: name}); !ok {
			return last // never answered otherwise: nothing to keep
		}
	}
	key := registry.Key{Registry: scope, Name: strings.Clone(name)}
	v, _ := d.table.Compute(key, func(old *derived, exists bool) (*derived, otter.ComputeOp) {
		if exists && old.rec == nil {
			return old, otter.CancelOp
		}
		return &derived{index: c.clock.Next(0)}, otter.WriteOp
	})
	return v.index
}

// merged returns the union of the parts, made anew only when one of them
// changed.
func (d *derivedTable) merged(c *Cache, u *upstream, name string, parts []*registry.Record) *registry.Record {
	if v, ok := d.table.GetIfPresent(registry.Key{Registry: u.Name, Name: name}); ok && slices.Equal(v.parts, parts) {
		return v.rec
	}
	return d.mergeAnew(c, u, strings.Clone(name), slices.Clone(parts))
}

func (d *derivedTable) mergeAnew(c *Cache, u *upstream, name string, parts []*registry.Record) *registry.Record {
	key := registry.Key{Registry: u.Name, Name: name}
	v, _ := d.table.Compute(key, func(old *derived, exists bool) (*derived, otter.ComputeOp) {
		if exists && slices.Equal(old.parts, parts) {
			return old, otter.CancelOp
		}
		rec := unite(key, u.Kind, parts)
		if h := rec.ContentHash(); exists && old.rec != nil && old.rec.Hash() == h {
			rec.Seal(old.index)
		} else {
			rec.Seal(c.clock.Next(h))
		}
		return &derived{parts: parts, rec: rec, index: rec.Index}, otter.WriteOp
	})
	return v.rec
}

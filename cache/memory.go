package cache

import (
	"iter"
	"sync/atomic"

	"github.com/maypok86/otter/v2"

	"github.com/edgecache/edgecache/registry"
)

// memory is the memory tier: entries within a budget in bytes. Proofs of
// absence and failures have a bounded share of it to themselves, so that
// invented names evict no real one.
type memory struct {
	records   *otter.Cache[registry.Key, *entry]
	negatives *otter.Cache[registry.Key, *entry]
	limit     atomic.Uint64 // the whole budget

	// forgotten is the highest index of what was evicted: an answer
	// made anew for its name must lie above it.
	forgotten atomic.Uint64

	// unsaved is the highest index of a record that was evicted before it was
	// on disk: what the disk has up to it may be older than what was served.
	unsaved atomic.Uint64
}

// newMemory returns a memory tier that holds nothing until resize.
func newMemory() (*memory, error) {
	m := &memory{}
	build := func() (*otter.Cache[registry.Key, *entry], error) {
		return otter.New(&otter.Options[registry.Key, *entry]{
			MaximumWeight:    1,
			Weigher:          func(_ registry.Key, e *entry) uint32 { return e.size },
			OnAtomicDeletion: m.deleted,
		})
	}
	var err error
	if m.records, err = build(); err != nil {
		return nil, err
	}
	m.negatives, err = build()
	return m, err
}

// resize divides the budget: a share is for negatives, reserved bytes are left
// to others.
func (m *memory) resize(limit registry.Size, negativeShare registry.Share, reserved uint64) {
	negative := uint64(float64(limit) * float64(negativeShare))
	m.limit.Store(uint64(limit))
	m.negatives.SetMaximum(negative)
	m.records.SetMaximum(uint64(limit) - negative - reserved)
}

func (m *memory) deleted(e otter.DeletionEvent[registry.Key, *entry]) {
	if !e.WasEvicted() {
		return
	}
	m.forget(e.Value.index)
	if e.Value.rec != nil && e.Value.saved.Load() == 0 {
		m.distrust(e.Value.index)
	}
}

// forget notes that an answer with that index is no longer known.
func (m *memory) forget(index uint64) { raise(&m.forgotten, index) }

// distrust notes that the disk may have an older record in place of one of
// that index.
func (m *memory) distrust(index uint64) { raise(&m.unsaved, index) }

// raise makes v at least as great as to.
func raise(v *atomic.Uint64, to uint64) {
	for {
		old := v.Load()
		if old >= to || v.CompareAndSwap(old, to) {
			return
		}
	}
}

// get returns the entry of a key, or nil. The key may alias a caller's buffer.
func (m *memory) get(k registry.Key) *entry {
	if e, ok := m.records.GetIfPresent(k); ok {
		return e
	}
	e, _ := m.negatives.GetIfPresent(k)
	return e
}

// peek is get without counting as use.
func (m *memory) peek(k registry.Key) *entry {
	if e, ok := m.records.GetEntryQuietly(k); ok {
		return e.Value
	}
	if e, ok := m.negatives.GetEntryQuietly(k); ok {
		return e.Value
	}
	return nil
}

// put makes e the entry of its key, in place of what peek says is held of it.
func (m *memory) put(held, e *entry) {
	tier, other := m.records, m.negatives
	if e.rec == nil {
		tier, other = other, tier
	}
	tier.Set(e.key, e)
	if held == nil {
		return
	}
	held.flags.Or(replaced)
	if (held.rec == nil) != (e.rec == nil) {
		other.Invalidate(e.key)
	}
}

// drop removes the entry of a key.
func (m *memory) drop(k registry.Key) {
	m.records.Invalidate(k)
	m.negatives.Invalidate(k)
}

// all yields every entry, in no order; entries come and go meanwhile.
func (m *memory) all() iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for _, e := range m.records.All() {
			if !yield(e) {
				return
			}
		}
		for _, e := range m.negatives.All() {
			if !yield(e) {
				return
			}
		}
	}
}

// covered yields the entries that a selector covers.
func (m *memory) covered(us *upstreams, s registry.Selector) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		if s.ByKey() {
			for _, u := range us.all {
				if e := m.peek(registry.Key{Registry: u.Name, Name: s.Key.Name}); e != nil && us.covers(s, e) && !yield(e) {
					return
				}
			}
			return
		}
		for e := range m.all() {
			if us.covers(s, e) && !yield(e) {
				return
			}
		}
	}
}

// entries returns about how many there are.
func (m *memory) entries() int { return m.records.EstimatedSize() + m.negatives.EstimatedSize() }

func (m *memory) status() registry.MemoryStatus {
	return registry.MemoryStatus{
		Entries: m.entries(),
		Bytes:   m.records.WeightedSize() + m.negatives.WeightedSize(),
		Limit:   m.limit.Load(),
	}
}

package cache

import (
	"context"
	"math/rand/v2"
	"sync/atomic"

	"github.com/edgecache/edgecache/registry"
)

// memoryJournal numbers invalidations and forgets them: a node without a disk
// has nothing to remember for, since its entries go with it.
type memoryJournal struct {
	origin, epoch uint64
	seq           atomic.Uint64
}

func newMemoryJournal() *memoryJournal {
	return &memoryJournal{origin: rand.Uint64(), epoch: rand.Uint64()}
}

func (j *memoryJournal) Append(_ context.Context, inv *registry.Invalidation, _ registry.Applied) error {
	inv.Origin, inv.Epoch, inv.Seq = j.origin, j.epoch, j.seq.Add(1)
	return nil
}

func (j *memoryJournal) Records(context.Context, []registry.Received) error { return nil }

func (j *memoryJournal) Generations(func(registry.Selector, registry.Mode, uint64)) error { return nil }

func (j *memoryJournal) Forget([]registry.Selector, uint64) error { return nil }

func (j *memoryJournal) Position() uint64 { return 1 }

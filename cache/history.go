package cache

import (
	"slices"

	"github.com/edgecache/edgecache/registry"
)

// historyKept is how many applied invalidations are remembered one by one.
const historyKept = 65536

// A history is the invalidations that were applied here, so that it can be told
// which of them a peer lacks. The order lock protects it.
type history struct {
	most    int
	epochs  map[epochID]*epochHistory
	order   []epochID // of each invalidation that is remembered, oldest first
	unnamed []uint64  // positions of this node's own that have no id yet, in rising order
}

type epochID struct{ origin, epoch uint64 }

type epochHistory struct {
	list []application // in rising order of position
	gone uint64        // the greatest sequence that was applied and is not in list
}

// An application is an invalidation that was applied, and the greatest sequence
// of its epoch that was applied until then.
type application struct{ position, upto uint64 }

func newHistory() history {
	return history{most: historyKept, epochs: map[epochID]*epochHistory{}}
}

func (h *history) epoch(id epochID) *epochHistory {
	e := h.epochs[id]
	if e == nil {
		e = &epochHistory{}
		h.epochs[id] = e
	}
	return e
}

// before notes that records up to one were applied before this life.
func (h *history) before(s registry.EpochState) {
	e := h.epoch(epochID{s.Origin, s.Epoch})
	e.gone = max(e.gone, s.Last, s.Start-min(s.Start, 1))
}

// begin notes that a position was taken for what gets its id later.
func (h *history) begin(position uint64) { h.unnamed = append(h.unnamed, position) }

// name notes the id of what began at a position.
func (h *history) name(position uint64, inv *registry.Invalidation) {
	if i, ok := slices.BinarySearch(h.unnamed, position); ok {
		h.unnamed = slices.Delete(h.unnamed, i, i+1)
	}
	h.note(position, inv)
}

// note remembers an invalidation that was applied at a position.
func (h *history) note(position uint64, inv *registry.Invalidation) {
	id := epochID{inv.Origin, inv.Epoch}
	e := h.epoch(id)
	at := len(e.list)
	for at > 0 && e.list[at-1].position > position {
		at--
	}
	upto := inv.Seq
	if at > 0 {
		upto = max(upto, e.list[at-1].upto)
	}
	e.list = slices.Insert(e.list, at, application{position, upto})
	for i := at + 1; i < len(e.list); i++ {
		e.list[i].upto = max(e.list[i].upto, upto)
	}
	if h.order = append(h.order, id); len(h.order) > h.most {
		oldest := h.epochs[h.order[0]]
		h.order = h.order[1:]
		oldest.gone = max(oldest.gone, oldest.list[0].upto)
		oldest.list = oldest.list[1:]
	}
}

// lacked returns the position of the first invalidation applied here that
// somebody lacks who has of each epoch all up to a sequence; ok is false if
// that cannot be told any more. If there is none, first is above all positions.
func (h *history) lacked(upto func(origin, epoch uint64) uint64) (first uint64, ok bool) {
	first = 1<<64 - 1
	if len(h.unnamed) > 0 {
		first = h.unnamed[0]
	}
	for id, e := range h.epochs {
		has := upto(id.origin, id.epoch)
		if has < e.gone {
			return 0, false
		}
		at, _ := slices.BinarySearchFunc(e.list, has, func(a application, has uint64) int {
			if a.upto > has {
				return 1
			}
			return -1
		})
		if at < len(e.list) {
			first = min(first, e.list[at].position)
		}
	}
	return first, true
}

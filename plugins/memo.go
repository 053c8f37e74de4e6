package plugins

import (
	"slices"
	"sync/atomic"
)

// A memo keeps some verdicts of a record that the guest says depend on nothing
// but the record and the attributes.
type memo struct {
	ways [memoWays]atomic.Pointer[memoized]
	next atomic.Uint32
}

const memoWays = 4

type memoized struct {
	key      key
	decision decision
}

func (m *memo) get(k key) *decision {
	if m.next.Load() == 0 {
		return nil
	}
	for i := range m.ways {
		if e := m.ways[i].Load(); e != nil && e.key == k {
			return &e.decision
		}
	}
	return nil
}

func (m *memo) put(k key, d decision) {
	d.picks = slices.Clone(d.picks)
	m.ways[m.next.Add(1)%memoWays].Store(&memoized{k, d})
}

// recent are requests that an instance was asked about, each named by a number:
// what never comes again is not kept.
type recent [64]uint64

// again reports whether a request is among them, and takes note of it.
func (r *recent) again(k key, e *entryFrame) bool {
	n := k[0] + e.version
	at := &r[k[1]%uint64(len(r))]
	if *at == n {
		return true
	}
	*at = n
	return false
}

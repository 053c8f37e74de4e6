package plugins

import (
	"sync/atomic"
	_ "unsafe" // for procPin
)

// procPin returns the number of the processor that the goroutine runs on and
// keeps it there until procUnpin. sync.Pool finds its way by it; here it keeps
// one processor's callers at one place of the pool, where they meet nobody.
//
//go:linkname procPin runtime.procPin
func procPin() int

//go:linkname procUnpin runtime.procUnpin
func procUnpin()

// processor returns where the caller runs: a hint.
func processor() int {
	p := procPin()
	procUnpin()
	return p
}

// A pool holds the idle instances of a generation, at most as many as it has
// places.
type pool struct {
	places []place
	live   atomic.Int64 // instances, idle or not
}

type place struct {
	atomic.Pointer[instance]
	_ [56]byte // a cache line each
}

// take returns an idle instance, nil if there is none.
func (p *pool) take() *instance {
	n := len(p.places)
	for k, at := 0, processor()%n; k < n; k++ {
		if i := p.places[at].Load(); i != nil && p.places[at].CompareAndSwap(i, nil) {
			return i
		}
		if at++; at == n {
			at = 0
		}
	}
	return nil
}

// put gives an instance back. There is a place for each.
func (p *pool) put(i *instance) {
	n := len(p.places)
	for at := processor() % n; ; {
		if p.places[at].Load() == nil && p.places[at].CompareAndSwap(nil, i) {
			return
		}
		if at++; at == n {
			at = 0
		}
	}
}

// room counts an instance that is about to be made; false if there are as many
// as there are places.
func (p *pool) room() bool {
	if p.live.Add(1) > int64(len(p.places)) {
		p.live.Add(-1)
		return false
	}
	return true
}

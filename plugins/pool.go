package plugins

import (
	"sync"
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

// A pool holds the instances of a generation, at most as many as it has places.
type pool struct {
	places []place

	mu   sync.Mutex // protects the field below
	free []int      // places without an instance
}

// A place is where an instance waits. One word says whether it does and counts its
// calls, for each change of a word that processors share costs as much as a tenth of
// a call.
type place struct {
	word     atomic.Uint64   // its lowest bit: an instance waits; the others: calls that ended
	instance *filterInstance // of whoever took it; while it waits, nobody changes it
	_        [48]byte        // a cache line each
}

func newPool(places int) *pool {
	p := &pool{places: make([]place, places), free: make([]int, places)}
	for at := range p.free {
		p.free[at] = places - 1 - at
	}
	return p
}

// take returns an idle instance, nil if there is none. It looks first where the
// processor's callers before did, which nobody else does then.
func (p *pool) take() *filterInstance {
	n := len(p.places)
	at := processor()
	if at >= n { // seldom: there are four for each
		at %= n
	}
	for range n {
		if i := p.takeFrom(at); i != nil {
			return i
		}
		if at++; at == n {
			at = 0
		}
	}
	return nil
}

// takeFrom returns the instance at a place, nil if none waits there.
func (p *pool) takeFrom(at int) *filterInstance {
	place := &p.places[at]
	if word := place.word.Load(); word&1 != 0 && place.word.CompareAndSwap(word, word-1) {
		return place.instance
	}
	return nil
}

// put gives an instance back.
func (p *pool) put(i *filterInstance) {
	p.places[i.at].word.Store(2*(i.before+i.calls) + 1)
}

// room finds a place for an instance that is about to be made; false if all are
// taken.
func (p *pool) room() (at int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) == 0 {
		return 0, false
	}
	at, p.free = p.free[len(p.free)-1], p.free[:len(p.free)-1]
	return at, true
}

// settle gives an instance its place; whoever made it has it.
func (p *pool) settle(i *filterInstance, at int) {
	i.at, i.before = at, p.places[at].word.Load()>>1
	p.places[at].instance = i
}

// leave frees a place, which may have had no instance yet.
func (p *pool) leave(at int) {
	place := &p.places[at]
	if i := place.instance; i != nil {
		place.word.Store(2 * (i.before + i.calls))
		place.instance = nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, at)
}

// count returns how many instances there are, idle or not.
func (p *pool) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.places) - len(p.free)
}

// calls returns how many calls ended.
func (p *pool) calls() (n uint64) {
	for at := range p.places {
		n += p.places[at].word.Load() >> 1
	}
	return n
}

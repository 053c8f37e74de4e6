package gossip

import (
	"time"

	"github.com/edgecache/edgecache/gossip/protocol"
)

// A happening is an event for the core, somebody who waits or does not any more,
// or something for the driver to run.
type happening struct {
	event protocol.Event
	life  uint64 // of the core that it is for; 0: the present one
	wait  *waiting
	left  *waiting
	run   func()
}

const eventsQueued = 4096

// drive runs the core.
func (n *Node) drive() {
	tick, look, again := time.NewTicker(tickEvery), time.NewTicker(lookEvery), time.NewTicker(goOnEvery)
	defer tick.Stop()
	defer look.Stop()
	defer again.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-tick.C:
			n.step(protocol.Tick{})
		case <-again.C:
			n.goOn()
		case <-look.C:
			n.lookAtJournal()
			n.noteOwners()
		case h := <-n.events:
			n.handle(h)
		}
	}
}

// mostMerged bounds what is handled between two ticks.
const mostMerged = 1024

// handle handles h and what waits behind it. Events of one kind become one:
// then their records share frames and fsyncs. Those who wait, and those who
// do not any more, come last, lest they keep records apart.
func (n *Node) handle(h happening) {
	var last happening
	for i, more := 0, true; more; i++ {
		if h.wait != nil {
			n.asked = append(n.asked, h.wait)
		} else if h.left != nil {
			n.parted = append(n.parted, h.left)
		} else if merged, ok := merge(last, h); ok {
			last = merged
		} else {
			n.run(last)
			last = h
		}
		if more = i < mostMerged; more {
			select {
			case h = <-n.events:
			default:
				more = false
			}
		}
	}
	n.run(last)
	now := n.now()
	for _, w := range n.asked {
		n.await(now, w)
	}
	n.unawait(now, n.parted)
	clear(n.asked)
	clear(n.parted)
	n.asked, n.parted = n.asked[:0], n.parted[:0]
}

func (n *Node) run(h happening) {
	switch {
	case h.run != nil:
		h.run()
	case h.event == nil:
	case h.life == 0 || h.life == n.life:
		n.step(h.event)
	}
}

// merge makes one of two happenings that follow each other, if that changes
// nothing.
func merge(a, b happening) (happening, bool) {
	if a.run != nil || b.run != nil || a.life != b.life {
		return a, false
	}
	switch x := a.event.(type) {
	case protocol.Issued:
		if y, ok := b.event.(protocol.Issued); ok && x.Durable == y.Durable && len(x.Records) < mostRecords {
			a.event = protocol.Issued{Records: append(x.Records, y.Records...), Durable: x.Durable}
			return a, true
		}
	case protocol.Logged:
		if y, ok := b.event.(protocol.Logged); ok {
			a.event = protocol.Logged{Records: append(x.Records, y.Records...)}
			return a, true
		}
	case protocol.Received:
		y, ok := b.event.(protocol.Received)
		first, records := x.Frame.(protocol.Records)
		if !ok || !records || x.Conn != y.Conn || len(first.Records) >= mostRecords {
			return a, false
		}
		if second, ok := y.Frame.(protocol.Records); ok {
			a.event = protocol.Received{Conn: x.Conn, Frame: protocol.Records{Records: append(first.Records, second.Records...)}}
			return a, true
		}
	}
	return a, false
}

// mostRecords bounds a frame of records, together with what one may be long.
const mostRecords = 512

const tickEvery = 10 * time.Millisecond

func (n *Node) step(e protocol.Event) { n.stepAt(n.now(), e) }

func (n *Node) stepAt(now protocol.Time, e protocol.Event) {
	life := n.life
	for _, effect := range n.core.Step(now, e) {
		if n.life == life {
			n.do(effect)
		}
	}
	n.spread = spread{}
}

package simulator

import (
	"slices"

	"github.com/edgecache/edgecache/gossip/protocol"
)

// A link is one direction between two nodes.
type link struct {
	cut   bool
	slow  protocol.Time // added to each delay
	lossy float64       // percent of datagrams lost
}

func (s *sim) link(from, to *node) *link {
	at := [2]int{from.number, to.number}
	l := s.links[at]
	if l == nil {
		l = &link{lossy: 1}
		s.links[at] = l
	}
	return l
}

// A stream is one end of a connection; frames arrive in order.
type stream struct {
	number  protocol.Conn
	from    *node // the end that sends on it
	life    int   // of from, when it began
	peer    *stream
	line    []func()      // what is under way, in its order
	planned int           // arrivals, each of what is then the first of the line
	last    protocol.Time // the newest of them
	closed  bool
	lost    bool // what is under way on it never arrives
}

const mostStuck = 200 // frames under way on a cut link; then a stream drops and says so

// dial connects two nodes, unless they cannot reach each other.
func (s *sim) dial(from, to *node) {
	if from == to && s.chance(90) {
		return
	}
	s.after(s.delay(from, to), func() {
		if !from.up || !to.up || s.link(from, to).cut || s.link(to, from).cut || from.paused || to.paused {
			return
		}
		s.conns += 2
		a := &stream{number: protocol.Conn(s.conns), from: from, life: from.life}
		b := &stream{number: protocol.Conn(s.conns + 1), from: to, life: to.life, peer: a}
		a.peer = b
		from.streams[a.number], to.streams[b.number] = a, b
		hello := from.hello()
		from.step(protocol.Connected{Conn: a.number, Peer: to.hello(), Dialed: true})
		if to.up && to.life == b.life {
			to.step(protocol.Connected{Conn: b.number, Peer: hello})
		}
	})
}

func (s *sim) delay(from, to *node) protocol.Time {
	d := 200*protocol.Millisecond/1000 + s.upTo(2*protocol.Millisecond) + s.link(from, to).slow
	if s.chance(1) {
		d += s.upTo(100 * protocol.Millisecond)
	}
	return d
}

// send has a frame arrive at the other end, in order.
func (s *sim) send(a *stream, f protocol.Frame) {
	b := a.peer
	f = a.from.written(s.coded(f))
	arrive := func() {
		if n := b.from; n.up && n.life == b.life && !b.closed && !a.lost {
			n.step(protocol.Received{Conn: b.number, Frame: f})
		}
	}
	s.transmit(a, arrive)
}

// written returns a frame as the node's program writes it: an older one does
// not tell which records may be hard.
func (n *node) written(f protocol.Frame) protocol.Frame {
	state, ok := f.(protocol.State)
	if !ok || !n.older {
		return f
	}
	state.Marks = slices.Clone(state.Marks)
	for i := range state.Marks {
		state.Marks[i].Newest = state.Marks[i].Logged.Max()
	}
	return state
}

// transmit sends something after all that is under way. While the link is cut,
// it waits: a stream loses nothing, but may be closed before.
func (s *sim) transmit(a *stream, arrive func()) {
	cut := s.link(a.from, a.peer.from).cut
	if cut && len(a.line) >= mostStuck {
		s.result.Faults["queue full"]++
		a.from.step(protocol.Overflowed{Conn: a.number})
		return
	}
	a.line = append(a.line, arrive)
	if !cut {
		s.plan(a)
	}
}

// plan plans an arrival, which does not happen if the link is cut by then.
func (s *sim) plan(a *stream) {
	b := a.peer
	a.planned++
	a.last = max(a.last+1, s.now+s.delay(a.from, b.from))
	s.after(a.last-s.now, func() {
		if a.planned--; s.link(a.from, b.from).cut {
			return
		}
		arrive := a.line[0]
		a.line = a.line[1:]
		arrive()
	})
}

// healed lets arrive what waited on streams of a link.
func (s *sim) healed(from, to *node) {
	for _, a := range from.inOrder() {
		if a.peer.from != to {
			continue
		}
		for range len(a.line) - a.planned {
			s.plan(a)
		}
	}
}

// close ends a stream: this end at once, the other when it hears of it.
func (s *sim) close(a *stream) {
	if a.closed {
		return
	}
	a.closed = true
	delete(a.from.streams, a.number)
	b := a.peer
	s.transmit(a, func() {
		if n := b.from; n.up && n.life == b.life && !b.closed {
			b.closed = true
			delete(n.streams, b.number)
			n.step(protocol.Disconnected{Conn: b.number})
		}
	})
}

// gossip carries a record to some nodes, lost, twice or late.
func (s *sim) gossip(from *node, r protocol.Record) {
	for range 2 {
		to := s.nodes[s.rng.IntN(len(s.nodes))]
		l := s.link(from, to)
		if to == from || l.cut || s.chance(l.lossy) {
			continue
		}
		times := 1
		if s.chance(5) {
			times = 2
		}
		for range times {
			s.after(s.delay(from, to)+s.upTo(50*protocol.Millisecond), func() {
				if to.up {
					to.hint(r)
				}
			})
		}
	}
}

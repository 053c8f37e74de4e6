package simulator

import "github.com/edgecache/edgecache/gossip/protocol"

// whenAwake runs something now, or when a paused process goes on.
func (n *node) whenAwake(run func()) {
	if !n.paused {
		run()
		return
	}
	process := n.process
	n.held = append(n.held, func() {
		if n.up && n.process == process {
			run()
		}
	})
}

// carry has something happen at the other end of a stream, in the order of its
// frames.
func (s *sim) carry(a *stream, arrive func(b *stream)) {
	b := a.peer
	s.transmit(a, func() {
		if n := b.from; n.up && n.life == b.life && !b.closed && !a.lost {
			n.whenAwake(func() {
				if n.life == b.life && !b.closed {
					arrive(b)
				}
			})
		}
	})
}

// ask asks some peer for a record; false if there is none.
func (s *sim) ask(n *node, name string, began protocol.Time) bool {
	streams := n.inOrder()
	if len(streams) == 0 {
		return false
	}
	s.carry(streams[s.rng.IntN(len(streams))], func(b *stream) { s.give(b, name, began) })
	return true
}

// give sends a peer a record, if it is fresh. What is logged here is shown
// first: the record is valid under that.
func (s *sim) give(a *stream, name string, began protocol.Time) {
	n := a.from
	if _, ready := n.core.Peer(a.number); !ready {
		return
	}
	n.step(protocol.Show{Conn: a.number})
	e, ok := n.cache.entries[name]
	ok = ok && n.cache.fresh(name, e.began) && n.synced > n.clock()
	s.carry(a, func(b *stream) { s.takeCopy(b, name, e, ok, began) })
}

// takeCopy takes a peer's record as one that was fetched before the first
// record applied here that the peer had not logged.
func (s *sim) takeCopy(a *stream, name string, e entry, ok bool, began protocol.Time) {
	n := a.from
	peer, ready := n.core.Peer(a.number)
	if !ready {
		return
	}
	if ok {
		e.began, ok = n.began(peer)
	}
	if s.Break == BreakCopyUnchecked {
		e.began = n.cache.position
	}
	if !ok || !n.cache.fresh(name, e.began) {
		s.fetch(n, name, began)
		return
	}
	s.result.Faults[faultNames[index(PeerCopies)]]++
	n.cache.entries[name] = e
	s.check(n, name, e, began)
}

// began returns the position up to which what a peer sends knows what was
// applied here; false if that cannot be told.
func (n *node) began(peer protocol.NodeID) (uint64, bool) {
	for id, gone := range n.cache.gone {
		if n.core.LoggedBy(peer, id) < gone {
			return 0, false
		}
	}
	upto := map[protocol.EpochID]uint64{}
	for _, a := range n.cache.history {
		has, ok := upto[a.id.EpochID]
		if !ok {
			has = n.core.LoggedBy(peer, a.id.EpochID)
			upto[a.id.EpochID] = has
		}
		if a.id.Seq > has {
			return a.position - 1, true
		}
	}
	return n.cache.position, true
}

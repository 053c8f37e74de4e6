package simulator

import (
	"maps"
	"slices"

	"github.com/edgecache/edgecache/gossip/protocol"
)

// effect does what a core wants.
func (n *node) effect(e protocol.Effect) {
	s := n.s
	switch e := e.(type) {
	case protocol.Send:
		if a := n.streams[e.Conn]; a != nil {
			s.send(a, e.Frame)
		}
	case protocol.Close:
		if a := n.streams[e.Conn]; a != nil {
			s.trace("%s closes the stream to %s: %s", n.name, a.peer.from.name, e.Reason)
			s.close(a)
		}
	case protocol.Gossip:
		s.gossip(n, e.Record)
	case protocol.Log:
		n.log(e)
	case protocol.Serve:
		n.serve(e)
	case protocol.Raise:
		n.raise(e)
	case protocol.Synced:
		if (e.Until > n.clock()) != (n.synced > n.clock()) {
			s.trace("%s synced %t", n.name, e.Until > n.clock())
		}
		n.synced = e.Until
	case protocol.Reached:
		n.reached(e)
	case protocol.Truncate:
		n.truncate(e)
	case protocol.Save:
		n.known = e.Members
		n.fsync(&batch{life: n.life, write: func(d *disk) { d.members = e.Members }, done: func() {}})
	case protocol.Issue:
		change := e.Change
		s.trace("%s issues %+v", n.name, change)
		n.issue(&protocol.Record{Change: &change}, nil)
	case protocol.Renew:
		n.renew(e)
	case protocol.Left:
		s.trace("%s left: %t", n.name, e.Done)
		n.gone = e.Done
		s.kill(n)
		if !e.Done {
			s.after(protocol.Second, func() { s.boot(n) })
		}
	}
}

// hint applies a record at once that came by gossip: it may be forged, so it
// counts only when it comes by a stream.
func (n *node) hint(r protocol.Record) {
	if n.paused || r.Change != nil || n.core.Has(r.ID) {
		return
	}
	n.cache.hint(r)
	n.step(protocol.Shown{ID: r.ID})
}

// log applies records, then keeps them.
func (n *node) log(e protocol.Log) {
	var ids []protocol.RecordID
	for i, r := range e.Records {
		ids = append(ids, r.ID)
		if n.s.Break == BreakDropHole && i == 0 && r.ID.Seq%7 == 3 {
			continue
		}
		n.apply(r)
	}
	if len(e.Members) > 0 {
		n.known = e.Members
	}
	n.fsync(&batch{
		life: n.life,
		write: func(d *disk) {
			for _, r := range e.Records {
				d.put(r, n.s.Faults.journalCap())
			}
			if len(e.Members) > 0 {
				d.members = e.Members
			}
		},
		done: func() { n.logged(ids) },
	})
}

// logged tells the core what is on disk, seconds later if the disk stalls.
func (n *node) logged(ids []protocol.RecordID) {
	if n.s.now >= n.stalled {
		n.step(protocol.Logged{Records: ids})
		return
	}
	life := n.life
	n.s.after(n.stalled-n.s.now+n.s.upTo(protocol.Second), func() {
		if n.up && (n.life == life || n.ownEpoch(ids)) {
			n.step(protocol.Logged{Records: ids})
		}
	})
}

// ownEpoch reports whether records were issued in the node's present epoch: it
// may have been in use before the core that counts in it.
func (n *node) ownEpoch(ids []protocol.RecordID) bool {
	return ids[0].EpochID == protocol.EpochID{Origin: n.disk.id, Epoch: n.epoch}
}

// issue gives a record its id and has it sent once it is on disk; done is told.
func (n *node) issue(r *protocol.Record, done func()) {
	n.seq++
	r.ID = protocol.RecordID{EpochID: protocol.EpochID{Origin: n.disk.id, Epoch: n.epoch}, Seq: n.seq}
	n.encode(r)
	issued := *r
	n.apply(issued)
	write := func(d *disk) { d.put(issued, n.s.Faults.journalCap()) }
	if n.dead || n.s.now < n.stalled { // its caller is told that it may be lost
		n.step(protocol.Issued{Records: []protocol.Record{issued}})
		n.fsync(&batch{write: write, done: func() {
			if ids := []protocol.RecordID{issued.ID}; n.ownEpoch(ids) {
				n.logged(ids)
			}
		}})
		return
	}
	n.fsync(&batch{
		write: write,
		done: func() {
			n.step(protocol.Issued{Records: []protocol.Record{issued}, Durable: true})
			if done != nil {
				done()
			}
		},
	})
}

// serve answers a pull from the journal.
func (n *node) serve(e protocol.Serve) {
	a := n.streams[e.Conn]
	if a == nil {
		return
	}
	out := protocol.Pulled{EpochID: e.EpochID, Range: e.Range}
	k := n.disk.epochOf(e.EpochID)
	out.Start, out.Hard = k.start, k.hard
	for seq := e.From; seq <= e.To && len(out.Records) < e.Most; seq++ {
		if r, ok := k.records[seq]; ok {
			out.Records = append(out.Records, r)
			out.To = seq
		}
	}
	n.s.after(n.s.upTo(protocol.Millisecond), func() { n.s.send(a, out) })
}

func (n *node) raise(e protocol.Raise) {
	n.s.result.Faults["raised all"]++
	if len(e.Adopt) == 0 {
		n.s.result.Faults["given up"]++
	}
	n.s.trace("%s raises everything for %v", n.name, e.Adopt)
	n.checkRaise(e)
	n.cache.raiseAll(e.Adopt)
	for _, a := range n.s.acks { // what is fetched from now on is newer than they
		n.cache.applied.instead[a.id] = n.cache.position
	}
	n.fsync(&batch{
		life: n.life,
		write: func(d *disk) {
			for _, a := range e.Adopt {
				k := d.epochOf(a.EpochID)
				k.skip(a.Upto + 1)
				k.hard = max(k.hard, a.Hard)
			}
		},
		done: func() { n.step(protocol.Raised{Adopted: e.Adopt}) },
	})
}

func (n *node) truncate(e protocol.Truncate) {
	n.fsync(&batch{
		life:  n.life,
		write: func(d *disk) { d.epochOf(e.EpochID).drop(e.Below) },
		done: func() {
			k := n.disk.epochOf(e.EpochID)
			n.step(protocol.Truncated{EpochID: e.EpochID, Start: k.start, Hard: k.hard})
		},
	})
}

// renew begins the node anew.
func (n *node) renew(e protocol.Renew) {
	s := n.s
	s.trace("%s begins anew, identity %t: %s", n.name, e.Identity, e.Reason)
	s.result.Faults["renewed"]++
	if s.Faults&FreshDirs != 0 && !n.dead && s.chance(50) {
		n.renewRunning(e.Identity)
		return
	}
	s.kill(n)
	if e.Identity {
		old := n.disk
		n.disk = newDisk(protocol.NodeID(s.rng.Uint64()))
		n.disk.epochs = maps.Clone(old.epochs)
	}
	s.after(100*protocol.Millisecond, func() { s.boot(n) })
}

// apply makes a record known to the cache.
func (n *node) apply(r protocol.Record) {
	if r.Change == nil {
		n.cache.hint(r)
	}
	n.cache.applied.note(r.ID, n.cache.position)
}

// has reports whether the node has a record, or something in its place.
func (n *node) has(id protocol.RecordID) bool {
	return n.cache.applied.had(id, n.cache.position)
}

func (n *node) members() []protocol.NodeID { return stayed(n.known) }

// stayed returns those of members who are not out.
func stayed(members []protocol.Member) []protocol.NodeID {
	return ids(members, func(m protocol.Member) bool { return !m.Out })
}

// entered returns those who count in majorities.
func entered(members []protocol.Member) []protocol.NodeID {
	return ids(members, func(m protocol.Member) bool { return m.In && !m.Out })
}

func ids(members []protocol.Member, of func(protocol.Member) bool) (list []protocol.NodeID) {
	for _, m := range members {
		if of(m) {
			list = append(list, m.ID)
		}
	}
	slices.Sort(list)
	return list
}

package gossip

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/edgecache/edgecache/gossip/protocol"
	"github.com/edgecache/edgecache/gossip/transport"
	"github.com/edgecache/edgecache/registry"
)

// do does what the core wants. It runs on the driver and waits for nothing.
func (n *Node) do(e protocol.Effect) {
	switch e := e.(type) {
	case protocol.Send:
		if s := n.streams[e.Conn]; s != nil {
			n.send(s, e.Frame)
		}
	case protocol.Close:
		n.closeStream(e)
	case protocol.Gossip:
		if m := n.mesh.Load(); m != nil {
			m.spread(e.Record)
		}
	case protocol.Log:
		n.take(e)
	case protocol.Serve:
		n.serve(e)
	case protocol.Raise:
		n.raise(e)
	case protocol.Synced:
		n.noteSynced(e.Until)
	case protocol.Reached:
		n.answer(e.Token, e.Confirmation)
	case protocol.Delayed:
		n.delays.note(time.Duration(e.By))
	case protocol.Truncate:
		n.truncate(e)
	case protocol.Save:
		n.save(e.Members)
	case protocol.Issue:
		n.issue(e.Change)
	case protocol.Renew:
		n.renew(e)
	case protocol.Left:
		n.left <- e.Done
	}
}

// send sends a frame; one of many or long records as several. Those that go to
// several peers are encoded once.
func (n *Node) send(s *transport.Stream, f protocol.Frame) {
	records, ok := f.(protocol.Records)
	if !ok {
		s.Send(protocol.AppendFrame(nil, f))
		return
	}
	list := records.Records
	if len(list) == 0 {
		return
	}
	if last := n.spread.records; len(last) != len(list) || &last[0] != &list[0] {
		n.spread = spread{list, encodeRecords(list)}
	}
	for _, data := range n.spread.frames {
		s.Send(data)
	}
}

// A spread is records as they were sent last, of one step.
type spread struct {
	records []protocol.Record
	frames  [][]byte
}

func encodeRecords(list []protocol.Record) (frames [][]byte) {
	for len(list) > 0 {
		n, size := 0, 0
		for n < len(list) && (n == 0 || size+len(list[n].Raw) <= frameBytes) {
			size += len(list[n].Raw)
			n++
		}
		data := make([]byte, 0, size+n*binary.MaxVarintLen16+binary.MaxVarintLen64)
		frames = append(frames, protocol.AppendFrame(data, protocol.Records{Records: list[:n]}))
		list = list[n:]
	}
	return frames
}

const frameBytes = 1 << 20 // of records in a frame, unless one alone is longer

// aside runs what takes time, and hands its result to the core of this life.
func (n *Node) aside(run func() protocol.Event) {
	life := n.life
	n.wg.Go(func() {
		if e := run(); e != nil {
			n.hand(happening{event: e, life: life})
		}
	})
}

// take applies records now and logs them aside.
func (n *Node) take(e protocol.Log) {
	list := make([]registry.Received, 0, len(e.Records))
	ids := make([]protocol.RecordID, 0, len(e.Records))
	for _, r := range e.Records {
		list = append(list, registry.Received{Inv: n.invalidation(r), Raw: r.Raw})
		ids = append(ids, r.ID)
	}
	if len(e.Members) > 0 {
		n.note(e.Members)
	}
	log := n.local.Receive(list)
	life := n.life
	n.aside(func() protocol.Event {
		var unsaved error
		if len(e.Members) > 0 {
			unsaved = n.opts.Log.SetMembers(protocol.AppendMembers(nil, e.Members))
		}
		err := log(n.ctx)
		if err == nil && unsaved == nil {
			return protocol.Logged{Records: ids}
		}
		n.log.Warn("gossip: invalidations of peers are applied, but not on this disk", "count", len(ids), "err", errors.Join(err, unsaved))
		n.hand(happening{run: func() {
			if n.life == life {
				n.noteUnlogged(ids)
				if unsaved != nil {
					n.save(n.core.Members())
				}
			}
		}})
		return nil
	})
}

// invalidation reads a record. What changes the members covers nothing; what
// cannot be read may cover anything.
func (n *Node) invalidation(r protocol.Record) *registry.Invalidation {
	var mode registry.Mode
	var selectors []registry.Selector
	if r.Change == nil {
		inv, err := registry.ParseInvalidation(r.Raw)
		if err == nil {
			return inv
		}
		n.log.Error("gossip: an invalidation cannot be read: everything is invalidated", "id", r.ID.String(), "err", err)
		mode, selectors = registry.ModeHard, []registry.Selector{{All: true}}
	}
	return &registry.Invalidation{Origin: uint64(r.ID.Origin), Epoch: r.ID.Epoch, Seq: r.ID.Seq, Mode: mode, Selectors: selectors}
}

// serve sends records from the journal.
func (n *Node) serve(e protocol.Serve) {
	s := n.streams[e.Conn]
	if s == nil {
		return
	}
	n.aside(func() protocol.Event {
		out := protocol.Pulled{EpochID: e.EpochID, Range: protocol.Range{From: e.From, To: e.To}}
		size := 0
		err := n.opts.Log.Range(uint64(e.Origin), e.Epoch, e.From, func(seq uint64, raw []byte) bool {
			if seq > e.To {
				return false
			}
			if len(out.Records) == e.Most || size > frameBytes {
				out.To = seq - 1
				return false
			}
			raw = append([]byte(nil), raw...)
			r, err := protocol.ParseRecord(raw)
			if err != nil {
				return true
			}
			out.Records = append(out.Records, r)
			size += len(raw)
			return true
		})
		if err != nil {
			n.log.Warn("gossip: the journal cannot be read for a peer", "err", err)
			return nil
		}
		_ = n.opts.Log.Epochs(func(st registry.EpochState) bool {
			if st.Origin == uint64(e.Origin) && st.Epoch == e.Epoch {
				out.Start, out.Hard = st.Start, st.Hard
				return false
			}
			return true
		})
		s.Send(protocol.AppendFrame(nil, out))
		return nil
	})
}

// raise covers everything in place of records that are gone.
func (n *Node) raise(e protocol.Raise) {
	a := n.local.RaiseAll(registry.Mode(e.Mode))
	var instead []registry.EpochState
	for _, x := range e.Adopt {
		instead = append(instead, registry.EpochState{Origin: uint64(x.Origin), Epoch: x.EpochID.Epoch, Start: x.Upto + 1, Hard: x.Hard})
	}
	n.log.Warn("gossip: invalidations are gone that this node missed: everything is invalidated in their place",
		"mode", registry.Mode(e.Mode).String(), "epochs", len(instead))
	n.local.Before(instead)
	n.aside(func() protocol.Event {
		if err := n.opts.Log.Raise(registry.Mode(e.Mode), a, instead); err != nil {
			n.log.Warn("gossip: that is applied, but not on this disk", "err", err)
			return nil
		}
		return protocol.Raised{Adopted: e.Adopt}
	})
}

func (n *Node) truncate(e protocol.Truncate) {
	n.aside(func() protocol.Event {
		if err := n.opts.Log.Truncate(uint64(e.Origin), e.Epoch, e.Below); err != nil {
			return nil
		}
		out := protocol.Truncated{EpochID: e.EpochID, Start: e.Below}
		_ = n.opts.Log.Epochs(func(st registry.EpochState) bool {
			if st.Origin == uint64(e.Origin) && st.Epoch == e.EpochID.Epoch {
				out.Start, out.Hard = st.Start, st.Hard
			}
			return true
		})
		return out
	})
}

// save keeps the members: the newest, one write at a time.
func (n *Node) save(members []protocol.Member) {
	n.note(members)
	n.unsaved = protocol.AppendMembers(nil, members)
	n.saveNext()
}

func (n *Node) saveNext() {
	if n.writing || n.unsaved == nil {
		return
	}
	data := n.unsaved
	n.writing, n.unsaved = true, nil
	n.wg.Go(func() {
		err := n.opts.Log.SetMembers(data)
		if err != nil {
			n.log.Warn("gossip: the members are not on disk", "err", err)
		}
		n.hand(happening{run: func() {
			n.writing = false
			if err == nil {
				n.saveNext()
			} else if n.unsaved == nil {
				n.unsaved = data // for goOn
			}
		}})
	})
}

// issue has the journal issue a change of the members.
func (n *Node) issue(m protocol.Member) {
	n.log.Info("gossip: members change", "node", m.Name, "id", m.ID.String(), "out", m.Out)
	own := []registry.Received{{Inv: &registry.Invalidation{}}}
	n.local.Receive(own) // for its position alone
	n.wg.Go(func() {
		raw, err := n.opts.Log.Issue(n.ctx, own[0].Position, func(origin, epoch, seq uint64) []byte {
			id := protocol.RecordID{EpochID: protocol.EpochID{Origin: protocol.NodeID(origin), Epoch: epoch}, Seq: seq}
			return protocol.AppendChange(nil, id, m)
		})
		if err != nil {
			n.log.Warn("gossip: the change of the members is not on this disk", "err", err)
		}
		n.issued(raw, err == nil)
	})
}

// renew begins anew with another epoch, or as another node.
func (n *Node) renew(e protocol.Renew) {
	n.log.Error("gossip: this node begins anew", "as another", e.Identity, "because", e.Reason.String())
	if e.Identity {
		if err := n.opts.Log.SetMembers(nil); err != nil {
			n.log.Warn("gossip: the members are not forgotten on disk", "err", err)
		}
	}
	if err := n.opts.Log.Renew(e.Identity); err != nil {
		n.log.Warn("gossip: that is not on this disk", "err", err)
	}
	n.beginAnew()
}

// beginAnew begins another life: the peers of this one meet it as such.
func (n *Node) beginAnew() {
	for conn, s := range n.streams {
		s.Close()
		n.dropStream(conn)
	}
	if err := n.begin(); err != nil {
		n.log.Error("gossip: cannot begin anew", "err", err)
		return
	}
	if m := n.mesh.Load(); m != nil {
		n.wg.Go(m.renewed)
	}
	n.awaitAgain()
}

// lookAtJournal begins anew if the journal did: its directory died, and another
// is in use, with other marks.
func (n *Node) lookAtJournal() {
	if n.self() != n.born.Node || n.opts.Log.Epoch() != n.born.Epoch {
		n.log.Warn("gossip: the journal began anew, and this node with it")
		n.beginAnew()
	}
}

func (n *Node) noteSynced(until protocol.Time) {
	was := n.Synced()
	n.synced.Store(int64(until))
	if now := n.Synced(); now != was {
		n.log.Info("gossip: synced", "synced", now)
	}
}

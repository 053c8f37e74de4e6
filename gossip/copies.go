package gossip

import (
	"cmp"
	"context"
	"time"

	"github.com/edgecache/edgecache/gossip/protocol"
	"github.com/edgecache/edgecache/registry"
)

const (
	// fillLimit bounds what a node does for a peer that has given up long ago.
	fillLimit = time.Minute
	// mostFills is how many keys a node asks registries for on behalf of peers
	// at once.
	mostFills = 1024
	// mostAsked bounds the questions of this node that are not answered yet.
	mostAsked = 16384
)

// acceptWithin is how long the owner of a key may take to say that it asks the
// registry, or to answer. Tests on busy machines give it more.
var acceptWithin = 30 * time.Millisecond

// copies are the questions that this node asks peers, and what it does for
// theirs. The driver alone uses it.
type copies struct {
	asked map[uint64]*asked
	last  uint64
	fills int
}

// An asked is a question that is not answered yet.
type asked struct {
	conns   map[protocol.Conn]bool // of those who have not answered
	replies chan copyReply         // closed when nobody will answer any more
	lost    bool                   // a stream ended before its answer; read it after replies is closed
}

// A copyReply is an answer: that the peer asks the registry, or a copy.
type copyReply struct {
	peer    protocol.NodeID
	filling bool
	copy    registry.Copy
	began   uint64
}

// Owns implements cache.Cluster.
func (n *Node) Owns(k registry.Key) bool {
	owner := n.owner(k)
	return owner == 0 || owner == n.self()
}

// Fetch implements cache.Cluster.
func (n *Node) Fetch(ctx context.Context, a registry.Ask) (cp registry.Copy, began uint64, ok bool) {
	of := n.owner(a.Owner)
	if !a.Any && (of == 0 || of == n.self()) {
		return cp, 0, false
	}
	since := time.Now()
	for {
		var again bool
		if cp, began, ok, again = n.fetchFrom(ctx, of, a); !again || time.Since(since) > acceptWithin {
			return cp, began, ok
		}
		time.Sleep(askAgainAfter) // another stream takes its place
	}
}

// askAgainAfter is the time between questions while a stream is replaced.
const askAgainAfter = 5 * time.Millisecond

// fetchFrom asks once; again reports that the stream ended, or is not ready.
func (n *Node) fetchFrom(ctx context.Context, of protocol.NodeID, a registry.Ask) (cp registry.Copy, began uint64, ok, again bool) {
	q, done := n.beginAsk(of, a)
	defer done()
	accept := time.NewTimer(acceptWithin)
	defer accept.Stop()
	late := accept.C
	if a.Any {
		late = nil
	}
	for {
		select {
		case r, open := <-q.replies:
			switch {
			case !open:
				return cp, 0, false, q.lost
			case r.filling:
				late = nil
			default:
				return r.copy, r.began, true, false
			}
		case <-late:
			return cp, 0, false, false
		case <-ctx.Done():
			return cp, 0, false, false
		case <-n.ctx.Done():
			return cp, 0, false, false
		}
	}
}

// mostReplies bounds the answers to one question; further ones are dropped.
const mostReplies = 64

// beginAsk sends a question. done is to be called when nobody waits for answers
// any more.
func (n *Node) beginAsk(of protocol.NodeID, a registry.Ask) (q *asked, done func()) {
	q = &asked{conns: map[protocol.Conn]bool{}, replies: make(chan copyReply, mostReplies)}
	var number uint64
	n.hand(happening{run: func() { number = n.ask(q, of, a) }})
	return q, func() { n.hand(happening{run: func() { delete(n.copies.asked, number) }}) }
}

// Copies implements cache.Cluster.
func (n *Node) Copies(ctx context.Context, a registry.Ask) []registry.PeerCopy {
	q, done := n.beginAsk(0, a)
	defer done()
	var list []registry.PeerCopy
	for {
		select {
		case r, open := <-q.replies:
			if !open {
				return list
			}
			list = append(list, registry.PeerCopy{Name: n.nameOf(r.peer), Copy: r.copy})
		case <-ctx.Done():
			return list
		case <-n.ctx.Done():
			return list
		}
	}
}

func (n *Node) nameOf(id protocol.NodeID) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return cmp.Or(n.named[id], id.String())
}

// ask sends a question to one node, or to all.
func (n *Node) ask(q *asked, of protocol.NodeID, a registry.Ask) (number uint64) {
	n.copies.last++
	number = n.copies.last
	if len(n.copies.asked) < mostAsked {
		for conn, s := range n.streams {
			peer, ready := n.core.Peer(conn)
			if !a.Any && peer != of {
				continue
			}
			if !ready {
				q.lost = true
				continue
			}
			if s.Send(appendAsk(nil, number, a)) {
				q.conns[conn] = true
			}
		}
	}
	if len(q.conns) == 0 {
		close(q.replies)
		return number
	}
	if n.copies.asked == nil {
		n.copies.asked = map[uint64]*asked{}
	}
	n.copies.asked[number] = q
	return number
}

// receiveCopy handles a frame about copies.
func (n *Node) receiveCopy(conn protocol.Conn, data []byte) {
	s := n.streams[conn]
	peer, ok := n.core.Peer(conn)
	if s == nil || !ok {
		return
	}
	f, err := parseCopyFrame(data)
	if err != nil {
		n.log.Warn("gossip: a peer breaks the protocol: its stream is closed", "peer", s.RemoteAddr(), "err", err)
		s.Close()
		return
	}
	switch f.kind {
	case kindAsk:
		n.serveAsk(conn, f.number, f.ask)
	case kindPush:
		if began, ok := n.began(peer); ok {
			n.local.Offer(f.copy, f.ask.Source, began)
		}
	default:
		n.takeReply(conn, peer, f)
	}
}

// takeReply takes an answer to a question.
func (n *Node) takeReply(conn protocol.Conn, peer protocol.NodeID, f copyFrame) {
	q := n.copies.asked[f.number]
	if q == nil || !q.conns[conn] {
		return
	}
	reply := copyReply{peer: peer, filling: f.kind == kindFilling}
	got := false
	if f.kind == kindCopy {
		reply.copy = f.copy
		reply.began, got = n.began(peer)
	}
	if got || reply.filling {
		select {
		case q.replies <- reply:
		default: // it has one
		}
	}
	if !reply.filling {
		n.unasked(f.number, q, conn)
	}
}

// unasked notes that a peer will not answer any more.
func (n *Node) unasked(number uint64, q *asked, conn protocol.Conn) {
	if !q.conns[conn] {
		return
	}
	if delete(q.conns, conn); len(q.conns) == 0 {
		delete(n.copies.asked, number)
		close(q.replies)
	}
}

// dropAsked gives up what was asked on a stream that ended.
func (n *Node) dropAsked(conn protocol.Conn) {
	for number, q := range n.copies.asked {
		q.lost = q.lost || q.conns[conn]
		n.unasked(number, q, conn)
	}
}

// began returns the position up to which what a peer sends now knows what was
// applied here.
func (n *Node) began(peer protocol.NodeID) (uint64, bool) {
	return n.local.Began(func(origin, epoch uint64) uint64 {
		return n.core.LoggedBy(peer, protocol.EpochID{Origin: protocol.NodeID(origin), Epoch: epoch})
	})
}

// serveAsk answers a peer's question, now or when the registry did.
func (n *Node) serveAsk(conn protocol.Conn, number uint64, a registry.Ask) {
	if n.give(conn, number, a) {
		return
	}
	s := n.streams[conn]
	if s == nil {
		return
	}
	if a.Any || n.copies.fills >= mostFills || !n.Synced() {
		s.Send(appendNone(nil, number))
		return
	}
	n.copies.fills++
	s.Send(appendFilling(nil, number))
	n.wg.Go(func() {
		ctx, cancel := context.WithTimeout(n.ctx, fillLimit)
		defer cancel()
		n.local.Fill(ctx, a)
		n.hand(happening{run: func() {
			n.copies.fills--
			a.Younger = -1 // it is as young as it gets
			if s := n.streams[conn]; s != nil && !n.give(conn, number, a) {
				s.Send(appendNone(nil, number))
			}
		}})
	})
}

// give sends what is held of a key, if it is what a peer wants. What this node
// has logged is sent first: the copy is valid under that.
func (n *Node) give(conn protocol.Conn, number uint64, a registry.Ask) bool {
	if _, ok := n.local.Copy(a); !ok {
		return false
	}
	n.step(protocol.Show{Conn: conn})
	cp, ok := n.local.Copy(a)
	if !ok || !cp.Suits(a) {
		return false
	}
	cp.Fresh = cp.Fresh && n.Synced()
	s := n.streams[conn]
	return s != nil && s.Send(appendCopy(nil, kindCopy, number, cp, a.Source))
}

// Push implements cache.Cluster.
func (n *Node) Push(asks []registry.Ask) {
	n.hand(happening{run: func() {
		for conn, s := range n.streams {
			if _, ok := n.core.Peer(conn); !ok {
				continue
			}
			n.step(protocol.Show{Conn: conn})
			for _, a := range asks {
				if cp, ok := n.local.Copy(a); ok && cp.Fresh && n.streams[conn] == s {
					s.Send(appendCopy(nil, kindPush, 0, cp, a.Source))
				}
			}
		}
	}})
}

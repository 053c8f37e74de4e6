package gossip

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/edgecache/edgecache/gossip/protocol"
	"github.com/edgecache/edgecache/gossip/transport"
)

const (
	dialEvery = 250 * time.Millisecond
	dialLimit = 2 * time.Second
)

// A link is what is known of a stream.
type link struct {
	conn  protocol.Conn
	hello protocol.Hello // of the peer
}

// A presence counts the streams there are, by the node at the other end and by
// the address it says it has.
type presence struct {
	nodes     map[protocol.NodeID]int
	addresses map[string]int
}

func newPresence() presence {
	return presence{nodes: map[protocol.NodeID]int{}, addresses: map[string]int{}}
}

func (p *presence) add(of protocol.Hello, by int) {
	count(p.nodes, of.Node, by)
	count(p.addresses, of.Address, by)
}

func count[K comparable](counts map[K]int, of K, by int) {
	if counts[of] += by; counts[of] == 0 {
		delete(counts, of)
	}
}

// opened numbers a stream and hands it to the core.
func (n *Node) opened(s *transport.Stream) {
	hello, err := protocol.ParseHello(s.Hello())
	if err != nil {
		n.log.Warn("gossip: a peer does not introduce itself", "peer", s.RemoteAddr(), "err", err)
		s.Close()
		return
	}
	if n.streamless() {
		s.Close()
		return
	}
	n.mu.Lock()
	n.conns++
	conn := protocol.Conn(n.conns)
	n.byPeer[s] = link{conn, hello}
	n.present.add(hello, 1)
	n.hellos[hello.Node] = hello
	if address := s.Address(); address != "" {
		n.answered[address] = hello.Node
	}
	n.mu.Unlock()
	n.hand(happening{run: func() {
		n.streams[conn] = s
		n.step(protocol.Connected{Conn: conn, Peer: hello, Dialed: s.Dialed()})
	}})
}

func (n *Node) connOf(s *transport.Stream) (protocol.Conn, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l, ok := n.byPeer[s]
	return l.conn, ok
}

func (n *Node) received(s *transport.Stream, data []byte) {
	conn, ok := n.connOf(s)
	if !ok {
		return
	}
	if aboutCopies(data) {
		n.hand(happening{run: func() { n.receiveCopy(conn, data) }})
		return
	}
	if isKeyring(data) {
		n.receivedKeyring(s, data)
		return
	}
	f, err := protocol.ParseFrame(data)
	if err != nil {
		n.log.Warn("gossip: a peer breaks the protocol: its stream is closed", "peer", s.RemoteAddr(), "err", err)
		s.Close()
		return
	}
	if f != nil {
		n.post(protocol.Received{Conn: conn, Frame: f})
	}
}

func (n *Node) overflowed(s *transport.Stream) {
	if conn, ok := n.connOf(s); ok {
		n.post(protocol.Overflowed{Conn: conn})
	}
}

func (n *Node) streamClosed(s *transport.Stream, err error) {
	n.mu.Lock()
	l, ok := n.byPeer[s]
	if ok {
		n.present.add(l.hello, -1)
	}
	delete(n.byPeer, s)
	if _, named := n.named[l.hello.Node]; !named {
		delete(n.hellos, l.hello.Node)
	}
	n.mu.Unlock()
	if !ok {
		return
	}
	conn := l.conn
	n.hand(happening{run: func() {
		if n.streams[conn] == s {
			n.dropStream(conn)
			n.step(protocol.Disconnected{Conn: conn})
		}
	}})
}

// dropStream forgets a stream, and what was asked on it.
func (n *Node) dropStream(conn protocol.Conn) {
	delete(n.streams, conn)
	n.dropAsked(conn)
}

// closeStream closes what the core is done with.
func (n *Node) closeStream(e protocol.Close) {
	s := n.streams[e.Conn]
	if s == nil {
		return
	}
	n.dropStream(e.Conn)
	if e.Reason != protocol.ReasonSelf && e.Reason != protocol.ReasonReplaced {
		n.log.Warn("gossip: stream closed", "peer", s.RemoteAddr(), "because", e.Reason.String())
	}
	s.Close()
}

// redial dials members and whom the mesh knows, whatever else says of them.
func (n *Node) redial() {
	tick := time.NewTicker(dialEvery)
	defer tick.Stop()
	dialing := map[string]*dials{}
	for {
		all := n.sought()
		for _, address := range n.known() {
			d := dialing[address]
			if n.connected(address) {
				if d != nil {
					d.stop()
					delete(dialing, address)
				}
				continue
			}
			all = false
			if n.streamless() {
				continue
			}
			if d == nil {
				d = &dials{}
				d.ctx, d.stop = context.WithCancel(n.ctx)
				dialing[address] = d
			}
			if d.running.Load() < mostDials {
				d.running.Add(1)
				n.wg.Go(func() { defer d.running.Add(-1); n.dial(d.ctx, address) })
			}
		}
		n.post(protocol.Searched{All: all})
		select {
		case <-tick.C:
		case <-n.ctx.Done():
			return
		}
	}
}

// dials are the attempts under way at one address. One whose first packet was
// lost takes a second to notice: the next does not wait for it.
type dials struct {
	ctx     context.Context
	stop    context.CancelFunc
	running atomic.Int32
}

const mostDials = 4

func (n *Node) dial(ctx context.Context, address string) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	switch err := n.transport.Dial(ctx, address); {
	case err == nil:
		n.reached(address)
	case context.Cause(ctx) != context.Canceled: // another attempt succeeded
		n.failed(address, err)
	}
}

// known returns the addresses of members, and of nodes that the mesh knows.
func (n *Node) known() []string {
	self := protocol.NodeID(n.opts.Log.Node())
	seen := map[string]bool{}
	var list []string
	add := func(address string) {
		if address != "" && !seen[address] {
			seen[address] = true
			list = append(list, address)
		}
	}
	if members := n.members.Load(); members != nil {
		for _, m := range *members {
			if !m.Out && m.ID != self {
				add(m.Address)
			}
		}
	}
	if m := n.mesh.Load(); m != nil {
		for _, h := range m.nodes() {
			if h.Node != self {
				add(h.Address)
			}
		}
	}
	return list
}

// connected reports whether somebody is connected who says to have an address,
// or whoever answered there last; that may be this node.
func (n *Node) connected(address string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.present.addresses[address] > 0 {
		return true
	}
	id, ok := n.answered[address]
	return ok && (n.present.nodes[id] > 0 || id == protocol.NodeID(n.opts.Log.Node()))
}

// peers returns what the peers of all streams said of themselves.
func (n *Node) peers() []protocol.Hello {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := make([]protocol.Hello, 0, len(n.byPeer))
	for _, l := range n.byPeer {
		list = append(list, l.hello)
	}
	return list
}

// streamsTo returns a stream to each of some nodes that has one.
func (n *Node) streamsTo(nodes map[protocol.NodeID]string) map[protocol.NodeID]*transport.Stream {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := map[protocol.NodeID]*transport.Stream{}
	for s, l := range n.byPeer {
		if _, ok := nodes[l.hello.Node]; ok {
			list[l.hello.Node] = s
		}
	}
	return list
}

// Isolate has the node talk to no peer until it is called with false, as if
// its network were cut. It returns when no stream is left, which may take a
// second.
func (n *Node) Isolate(cut bool) {
	n.isolated.Store(cut)
	if !cut {
		return
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n.closeStreams() > 0 {
		select {
		case <-tick.C:
		case <-n.ctx.Done():
			return
		}
	}
}

// streamless reports whether the node is to have no streams.
func (n *Node) streamless() bool { return n.isolated.Load() || n.deaf.Load() }

// closeStreams has all streams end, and returns how many there were.
func (n *Node) closeStreams() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	for s := range n.byPeer {
		s.Close()
	}
	return len(n.byPeer)
}

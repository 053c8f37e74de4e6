package gossip

import (
	"errors"
	"fmt"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/edgecache/edgecache/gossip/protocol"
)

type memberBroadcast = memberlist.Broadcast

// A mesh is this node's part in memberlist: the second path of invalidations,
// a failure detector beside the streams' beacons, and an address book. What it
// says decides nothing: who is a member, and what is confirmed, streams tell.
type mesh struct {
	node *Node
	log  *slog.Logger
	list *memberlist.Memberlist
	name string // of this life
	at   string // host:port by which others reach it

	queue      memberlist.TransmitLimitedQueue
	seen       recent
	unreadable sync.Once
	ended      sync.Once

	received, bad, refused, dropped atomic.Uint64

	mu    sync.Mutex                // protects alive
	alive map[string]protocol.Hello // the other nodes, by their names here
}

// A MeshStats counts since the start what came and went outside of streams.
type MeshStats struct {
	Received uint64 // messages
	Bad      uint64 // of them, that could not be read or were forged
	Refused  uint64 // packets and connections with another key or label, or that are none
	Dropped  uint64 // messages, since a queue was full
}

// The mesh is quicker than memberlist's own settings: nothing queued is nothing
// sent, so it costs little.
const (
	gossipEvery   = 20 * time.Millisecond
	gossipNodes   = 4
	retransmits   = 8 // times the logarithm of the number of nodes
	packetBytes   = 1400
	probeEvery    = time.Second
	probeTimeout  = 500 * time.Millisecond
	pushPullEvery = 30 * time.Second
	meshTimeout   = 2 * time.Second // of a connection
	leaveTimeout  = 200 * time.Millisecond
	mingleEvery   = 500 * time.Millisecond
	joinAgain     = 3 * time.Second // what could not be joined
)

// openMesh begins to listen.
func (n *Node) openMesh() (*mesh, error) {
	m := &mesh{node: n, log: n.log, alive: map[string]protocol.Hello{}}
	logger := log.New(&meshLog{log: n.log, refused: &m.refused, dropped: &m.dropped}, "", 0)
	wire, err := listenMesh(n.opts.Listen, logger)
	if err != nil {
		return nil, err
	}
	wire.cut = &n.isolated
	h := n.hello()
	c := memberlist.DefaultLANConfig()
	// Each life has a name of its own: one that has moved, or runs on a copied
	// disk, is in nobody's way.
	m.name = fmt.Sprintf("%x-%x", uint64(h.Node), h.Epoch)
	c.Name = m.name
	c.Transport, c.Logger, c.Label = wire, logger, n.opts.Label
	c.AdvertiseAddr, c.AdvertisePort = n.meshHost(wire), wire.GetAutoBindPort()
	m.at = net.JoinHostPort(c.AdvertiseAddr, strconv.Itoa(c.AdvertisePort))
	c.Keyring = n.keys.shared()
	c.Delegate, c.Events = m, m
	c.GossipInterval, c.GossipNodes, c.RetransmitMult = gossipEvery, gossipNodes, retransmits
	c.ProbeInterval, c.ProbeTimeout, c.PushPullInterval, c.TCPTimeout = probeEvery, probeTimeout, pushPullEvery, meshTimeout
	c.UDPBufferSize, c.EnableCompression = packetBytes, false
	m.queue.RetransmitMult = retransmits
	m.queue.NumNodes = func() int { return m.others() + 1 }
	if m.list, err = memberlist.Create(c); err != nil {
		return nil, errors.Join(err, wire.Shutdown())
	}
	return m, nil
}

// close tells the others, so that they need not find out, and ends the mesh.
func (m *mesh) close() (err error) {
	m.ended.Do(func() {
		if err := m.list.Leave(leaveTimeout); err != nil {
			m.log.Debug("gossip: the others are not told in time that this node ends", "err", err)
		}
		err = m.list.Shutdown()
	})
	return err
}

// renewed tells the others that this node is another now.
func (m *mesh) renewed() {
	if err := m.list.UpdateNode(meshTimeout); err != nil {
		m.log.Debug("gossip: not told in time that this node began anew", "err", err)
	}
}

// meshHost returns the address, without port, by which peers reach this node.
func (n *Node) meshHost(wire *meshWire) string {
	at := reachable(&net.TCPAddr{IP: wire.ip, Port: 1}, net.InterfaceAddrs)
	if n.opts.Advertise != "" {
		at = n.opts.Advertise
	}
	host, _, _ := net.SplitHostPort(at)
	if ip, err := hostIP(host); err == nil {
		return ip.String()
	}
	n.log.Warn("gossip: the host of advertise cannot be looked up: others reach the second path at this machine's address", "advertise", at)
	host, _, _ = net.SplitHostPort(reachable(&net.TCPAddr{IP: wire.ip, Port: 1}, net.InterfaceAddrs))
	return host
}

// NotifyJoin implements memberlist.EventDelegate.
func (m *mesh) NotifyJoin(n *memberlist.Node) {
	h, err := parseMeta(n.Meta)
	if err != nil || n.Name == m.name {
		return
	}
	h.Gossip = n.Address()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.alive[n.Name] = h
}

// NotifyUpdate implements memberlist.EventDelegate.
func (m *mesh) NotifyUpdate(n *memberlist.Node) { m.NotifyJoin(n) }

// NotifyLeave implements memberlist.EventDelegate.
func (m *mesh) NotifyLeave(n *memberlist.Node) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.alive, n.Name)
}

func (m *mesh) others() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.alive)
}

func (m *mesh) alone() bool { return m.others() == 0 }

// nodes returns what the other nodes that are alive say of themselves.
func (m *mesh) nodes() []protocol.Hello {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.alive))
}

// mingle meets the peers of streams until the node is closed.
func (n *Node) mingle() {
	tick := time.NewTicker(mingleEvery)
	defer tick.Stop()
	tried := map[string]time.Time{}
	for {
		for _, h := range n.peers() {
			if n.isolated.Load() || n.ctx.Err() != nil {
				break
			}
			n.mesh.Load().meet(h, tried)
		}
		select {
		case <-tick.C:
		case <-n.ctx.Done():
			return
		}
	}
}

// meet joins a peer that the mesh does not know.
func (m *mesh) meet(h protocol.Hello, tried map[string]time.Time) {
	if h.Node == protocol.NodeID(m.node.opts.Log.Node()) || m.knows(h) {
		return
	}
	if _, err := netip.ParseAddrPort(h.Gossip); err != nil {
		return // it has none
	}
	if last, ok := tried[h.Gossip]; ok && time.Since(last) < joinAgain {
		return
	}
	tried[h.Gossip] = time.Now()
	if _, err := m.list.Join([]string{h.Gossip}); err != nil {
		m.log.Debug("gossip: peer not met", "peer", h.Name, "address", h.Gossip, "err", err)
	}
}

// knows reports whether a peer is alive here, at the address that it names.
func (m *mesh) knows(h protocol.Hello) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, other := range m.alive {
		if other.Node == h.Node && other.Gossip == h.Gossip {
			return true
		}
	}
	return false
}

// Mesh returns what was counted.
func (n *Node) Mesh() MeshStats {
	m := n.mesh.Load()
	if m == nil {
		return MeshStats{}
	}
	return MeshStats{Received: m.received.Load(), Bad: m.bad.Load(), Refused: m.refused.Load(), Dropped: m.dropped.Load()}
}

// GossipAddress returns host:port of the second path, "" if there is none.
func (n *Node) GossipAddress() string {
	if m := n.mesh.Load(); m != nil {
		return m.at
	}
	return ""
}

package gossip

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgecache/edgecache/gossip/protocol"
	"github.com/edgecache/edgecache/gossip/transport"
	"github.com/edgecache/edgecache/registry"
)

// A Node is this node's part in the cluster. It implements cache.Cluster. One
// goroutine drives the core; what takes time is done by others, which report
// to it.
type Node struct {
	opts  Options
	log   *slog.Logger
	local Local
	start time.Time

	transport *transport.Transport
	keys      *keyring
	mesh      atomic.Pointer[mesh] // nil: there is none
	events    chan happening
	synced    atomic.Int64 // until when, in the core's time; see Synced
	members   atomic.Pointer[[]protocol.Member]
	delays    delays
	unreached unreached
	owners    atomic.Pointer[[]protocol.NodeID] // see noteOwners
	left      chan bool
	seeds     []*seed     // gossip.join
	isolated  atomic.Bool // it talks to nobody
	deaf      atomic.Bool // it has no streams

	// The driver alone uses the fields below.
	core    *protocol.Core
	life    uint64 // counts cores
	streams map[protocol.Conn]*transport.Stream
	born    protocol.Hello // in this life
	copies  copies
	waits   map[uint64]*waiting
	waited  uint64     // the number of the last of them
	asked   []*waiting // see handle
	parted  []*waiting // likewise
	spread  spread
	writing bool   // the members are being saved
	unsaved []byte // what to save next; nil: nothing

	unlogged []protocol.RecordID // see noteUnlogged
	looking  bool                // for them, in the journal

	silent map[protocol.NodeID]time.Time // since when members are, see forgetSilent

	mu        sync.Mutex // protects the fields below
	rotations map[uint64]chan keyringAnswer
	tokens    uint64
	byPeer    map[*transport.Stream]link
	present   presence
	conns     uint64
	named     map[protocol.NodeID]string // of members
	described described
	hellos    map[protocol.NodeID]protocol.Hello // the last of each peer
	answered  map[string]protocol.NodeID         // who answered at an address last

	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup
}

// New returns a node over a journal. It opens no socket.
func New(o Options) (*Node, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	n := &Node{opts: o, log: o.Logger, start: time.Now(), events: make(chan happening, eventsQueued), left: make(chan bool, 1),
		streams: map[protocol.Conn]*transport.Stream{}, waits: map[uint64]*waiting{}, silent: map[protocol.NodeID]time.Time{},
		rotations: map[uint64]chan keyringAnswer{}, byPeer: map[*transport.Stream]link{}, present: newPresence(),
		hellos: map[protocol.NodeID]protocol.Hello{}, answered: map[string]protocol.NodeID{}}
	n.ctx, n.stop = context.WithCancel(context.Background())
	return n, nil
}

// Open joins the cluster. What peers send goes to local.
func (n *Node) Open(local Local) error {
	n.local = local
	var err error
	if n.keys, err = openKeyring(n.opts.SecretFile, n.log); err != nil {
		return fmt.Errorf("gossip.secret_file: %w", err)
	}
	n.transport, err = transport.New(transport.Options{
		Listen: n.opts.PeerListen, Label: n.opts.Label, Insecure: n.opts.Insecure, Logger: n.log,
		TLS:  transport.TLS{Cert: n.opts.TLS.Cert, Key: n.opts.TLS.Key, CA: n.opts.TLS.CA},
		Keys: n.keys.all, Hello: n.sayHello,
		Opened: n.opened, Received: n.received, Overflowed: n.overflowed, Closed: n.streamClosed,
	})
	if err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	if err := n.transport.Open(); err != nil {
		return fmt.Errorf("gossip.peer_listen: %w", err)
	}
	n.log.Info("gossip: peers reach this node", "at", n.reachedAt())
	if err := n.begin(); err != nil {
		return err
	}
	if n.opts.Listen != "" {
		m, err := n.openMesh()
		if err != nil {
			return fmt.Errorf("gossip.listen: %w", err)
		}
		n.mesh.Store(m)
		n.wg.Go(n.mingle)
	}
	n.wg.Go(n.drive)
	n.seekAll()
	n.wg.Go(n.redial)
	n.wg.Go(n.watchKeys)
	return nil
}

// Close ends the node without leaving the cluster.
func (n *Node) Close() error {
	n.stop()
	var err error
	if m := n.mesh.Load(); m != nil {
		err = m.close()
	}
	if n.transport != nil {
		err = errors.Join(err, n.transport.Close())
	}
	n.wg.Wait()
	return err
}

// now returns the core's time.
func (n *Node) now() protocol.Time {
	if boot, ok := sinceBoot(); ok {
		return protocol.Time(boot)
	}
	return protocol.Time(time.Since(n.start)) + 1
}

// Synced reports whether the node has all that a majority confirmed more than
// four seconds ago.
func (n *Node) Synced() bool { return int64(n.now()) < n.synced.Load() }

// post hands an event to the driver.
func (n *Node) post(e protocol.Event) { n.hand(happening{event: e}) }

func (n *Node) hand(h happening) {
	select {
	case n.events <- h:
		return
	default: // nearly never, and to wait for either costs more
	}
	select {
	case n.events <- h:
	case <-n.ctx.Done():
	}
}

// begin makes the core of a new life from what the journal has.
func (n *Node) begin() error {
	marks, err := n.marks()
	if err != nil {
		return fmt.Errorf("gossip: journal: %w", err)
	}
	var members []protocol.Member
	if kept := n.opts.Log.Members(); kept != nil {
		if members, err = protocol.ParseMembers(kept); err != nil {
			n.log.Error("gossip: the members that were kept cannot be read: the node enters anew", "err", err)
		}
	}
	n.life++
	old := n.core
	n.born = n.hello()
	n.forgetUnlogged()
	config := protocol.Config{Self: n.born, Join: len(n.opts.Join) > 0,
		Alone: protocol.Time(n.opts.ReadyAfter), Raise: protocol.Time(n.opts.RaiseEvery), Marks: marks, Members: members}
	if old != nil {
		config.Applied = old.Unlogged(marks)
	}
	n.core = protocol.New(n.now(), config)
	n.synced.Store(0)
	n.owners.Store(nil)
	n.note(members)
	if old != nil {
		if r, ok := old.Instead(marks); ok {
			n.raise(r)
		}
	}
	return nil
}

// hello returns what this node says of itself.
func (n *Node) hello() protocol.Hello {
	return protocol.Hello{Major: protocol.Major, Minor: protocol.Minor, Node: protocol.NodeID(n.opts.Log.Node()),
		Epoch: n.opts.Log.Epoch(), Name: n.opts.Name, Address: n.reachedAt(),
		Gossip: n.GossipAddress(), Zone: n.opts.Zone, Version: n.opts.Version}
}

// reachedAt returns host:port by which peers reach this node.
func (n *Node) reachedAt() string {
	return cmp.Or(n.opts.Advertise, reachable(n.transport.Addr(), net.InterfaceAddrs))
}

func (n *Node) sayHello() []byte { return protocol.AppendHello(nil, n.hello()) }

// marks returns what the journal has of each epoch.
func (n *Node) marks() ([]protocol.Mark, error) {
	var states []registry.EpochState
	if err := n.opts.Log.Epochs(func(e registry.EpochState) bool { states = append(states, e); return true }); err != nil {
		n.log.Warn("gossip: the journal cannot be read: the node begins without one", "err", err)
		return nil, nil
	}
	n.local.Before(states)
	var marks []protocol.Mark
	for _, e := range states {
		m := protocol.Mark{EpochID: protocol.EpochID{Origin: protocol.NodeID(e.Origin), Epoch: e.Epoch}, Start: max(e.Start, 1), Hard: e.Hard, Newest: e.Newest}
		m.Logged.Add(1, m.Start-1)
		switch {
		case e.Last < m.Start:
		case e.Count == e.Last-m.Start+1:
			m.Logged.Add(m.Start, e.Last)
		default:
			err := n.opts.Log.Range(e.Origin, e.Epoch, m.Start, func(seq uint64, _ []byte) bool { m.Logged.Add(seq, seq); return true })
			if err != nil {
				return nil, err
			}
		}
		marks = append(marks, m)
	}
	return marks, nil
}

// Address returns host:port of the streams' listener.
func (n *Node) Address() string { return n.transport.Addr().String() }

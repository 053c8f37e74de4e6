package protocol_test

import (
	"cmp"
	"slices"
	"testing"

	"github.com/edgecache/edgecache/gossip/protocol"
)

// A cluster carries what its nodes send at once, in binary form.
type cluster struct {
	t     *testing.T
	now   protocol.Time
	nodes []*node
	queue []func() // what happens next, at the same time
	cut   bool     // what is sent is lost
	conns protocol.Conn
}

// A node does what its core wants.
type node struct {
	c       *cluster
	self    protocol.Hello
	core    *protocol.Core
	seq     uint64
	streams map[protocol.Conn]func(protocol.Frame) // what arrives at the other end
	journal map[protocol.RecordID]protocol.Record
	holds   bool // what is to be logged waits for release
	held    []protocol.Event
	until   protocol.Time // it is synced
	asked   protocol.Time // when it sent a beacon last
	effects []protocol.Effect
}

func newCluster(t *testing.T) *cluster { return &cluster{t: t, now: 1000 * second} }

// pair returns two nodes that have entered.
func pair(t *testing.T) (c *cluster, a, b *node) {
	c = newCluster(t)
	a = c.start(1, protocol.Config{})
	b = c.start(2, protocol.Config{Join: true, Alone: protocol.Forever})
	c.run(0)
	c.connect(b, a)
	c.run(second)
	if a.until <= c.now || b.until <= c.now {
		t.Fatalf("synced until %d and %d at %d", a.until, b.until, c.now)
	}
	return c, a, b
}

func (c *cluster) start(id protocol.NodeID, config protocol.Config) *node {
	name := "edge-" + id.String()
	epoch := cmp.Or(config.Self.Epoch, 5)
	config.Self = protocol.Hello{Major: protocol.Major, Minor: protocol.Minor, Node: id, Epoch: epoch, Name: name, Address: name + ":7946"}
	n := &node{c: c, self: config.Self, core: protocol.New(c.now, config),
		streams: map[protocol.Conn]func(protocol.Frame){}, journal: map[protocol.RecordID]protocol.Record{}}
	c.nodes = append(c.nodes, n)
	return n
}

func (c *cluster) connect(from, to *node) {
	c.conns += 2
	dialed, accepted := c.conns, c.conns+1
	from.streams[dialed] = func(f protocol.Frame) { to.step(protocol.Received{Conn: accepted, Frame: f}) }
	to.streams[accepted] = func(f protocol.Frame) { from.step(protocol.Received{Conn: dialed, Frame: f}) }
	c.then(func() { from.step(protocol.Connected{Conn: dialed, Peer: to.self, Dialed: true}) })
	c.then(func() { to.step(protocol.Connected{Conn: accepted, Peer: from.self}) })
}

func (c *cluster) then(f func()) { c.queue = append(c.queue, f) }

// run lets time pass, at least what happens now.
func (c *cluster) run(span protocol.Time) {
	for end := c.now + span; ; c.now += 10 * millisecond {
		for _, n := range c.nodes {
			c.then(func() { n.step(protocol.Tick{}) })
		}
		for len(c.queue) > 0 {
			next := c.queue[0]
			c.queue = c.queue[1:]
			next()
		}
		if c.now >= end {
			return
		}
	}
}

func (n *node) step(e protocol.Event) {
	for _, e := range n.core.Step(n.c.now, e) {
		n.effects = append(n.effects, e)
		n.do(e)
	}
}

func (n *node) do(e protocol.Effect) {
	switch e := e.(type) {
	case protocol.Send:
		n.send(e)
	case protocol.Log:
		var ids []protocol.RecordID
		for _, r := range e.Records {
			n.journal[r.ID] = r
			ids = append(ids, r.ID)
		}
		n.written(protocol.Logged{Records: ids})
	case protocol.Serve:
		out := protocol.Pulled{EpochID: e.EpochID, Range: e.Range, Start: 1}
		for seq := e.From; seq <= e.To; seq++ {
			if r, ok := n.journal[protocol.RecordID{EpochID: e.EpochID, Seq: seq}]; ok {
				out.Records = append(out.Records, r)
			}
		}
		n.send(protocol.Send{Conn: e.Conn, Frame: out})
	case protocol.Raise:
		n.written(protocol.Raised{Adopted: e.Adopt})
	case protocol.Issue:
		n.write(change(n.next(), e.Change))
	case protocol.Synced:
		n.until = e.Until
	}
}

func (n *node) send(e protocol.Send) {
	if state, ok := e.Frame.(protocol.State); ok && state.Beacon != 0 {
		n.asked = n.c.now
	}
	arrive := n.streams[e.Conn]
	if arrive == nil || n.c.cut {
		return
	}
	f, err := protocol.ParseFrame(protocol.AppendFrame(nil, e.Frame))
	if err != nil {
		n.c.t.Fatalf("%+v: %v", e.Frame, err)
	}
	n.c.then(func() { arrive(f) })
}

// issue issues an invalidation.
func (n *node) issue() protocol.RecordID {
	id := n.next()
	n.write(invalidation(id, "web"))
	return id
}

func (n *node) next() protocol.RecordID {
	n.seq++
	return protocol.RecordID{EpochID: protocol.EpochID{Origin: n.self.Node, Epoch: n.self.Epoch}, Seq: n.seq}
}

func (n *node) write(r protocol.Record) {
	n.journal[r.ID] = r
	n.written(protocol.Issued{Records: []protocol.Record{r}, Durable: true})
}

// written says that something is on disk.
func (n *node) written(e protocol.Event) {
	if n.holds {
		n.held = append(n.held, e)
		return
	}
	n.c.then(func() { n.step(e) })
}

func (n *node) release() {
	n.holds = false
	for _, e := range n.held {
		n.written(e)
	}
	n.held = nil
}

// last returns the newest effect of a type.
func last[E protocol.Effect](n *node) (none E, ok bool) {
	for _, e := range slices.Backward(n.effects) {
		if e, ok := e.(E); ok {
			return e, true
		}
	}
	return none, false
}

// sent returns the newest frame of a type that a node sent.
func sent[F protocol.Frame](n *node) (none F, ok bool) {
	for _, e := range slices.Backward(n.effects) {
		if s, ok := e.(protocol.Send); ok {
			if f, ok := s.Frame.(F); ok {
				return f, true
			}
		}
	}
	return none, false
}

package protocol

import (
	"cmp"
	"slices"
)

// A peer is one stream.
type peer struct {
	conn     Conn
	hello    Hello
	dialed   bool
	accepted bool // it is the one stream of its node
	received Time // when anything came last

	asked Time     // when the last beacon was sent
	sent  []beacon // the newest ones, oldest first
	echo  uint64   // the newest beacon received

	told        bool   // a full state was sent
	toldChanges uint64 // what changed up to then was shown
	toldMembers uint64
	complete    bool   // a full state was received
	node        *known // once it is in use and sent something

	rival      *peer // says to be the same node; the one that answers stays
	challenged Time
	challenge  uint64 // the beacon that asks for the answer

	twin bool // the other end has this node's id
}

type beacon struct {
	number uint64
	time   Time
}

const beaconsKept = 16

// A known is what a node showed, on any stream.
type known struct {
	shown     map[EpochID]Mark // without what says nothing
	ahead     map[EpochID]bool // those of it of which this node may lack something
	confirmed uint64           // up to which record of this life it shows that it has all
	member    bool             // see roll
	in        bool             // likewise
	heard     Time             // when a beacon was sent that it answered; 0: never
	asked     Time             // likewise, as one who has entered
	reached   Time             // when a beacon was sent such that all it had then, having entered, is here
	next      *goal
	entered   bool
	admission *goal // what it had when it first showed this node's entry
	admits    bool
	looked    uint64 // confirmed when delays were told
	timed     uint64 // up to this record of this node, delays were told
	delay     Time   // of the newest of them
}

// A goal is what has to be reached.
type goal struct {
	time Time
	lack map[EpochID]Ranges
}

func (c *Core) knownOf(id NodeID) *known {
	k := c.known[id]
	if k == nil {
		k = &known{shown: map[EpochID]Mark{}}
		c.known[id] = k
		c.enrol(id, k)
	}
	return k
}

func (k *known) lacked(id EpochID) {
	if k.ahead == nil {
		k.ahead = map[EpochID]bool{}
	}
	k.ahead[id] = true
}

// noteShown notes what a node has of one epoch, and reports whether that is
// anything.
func (c *Core) noteShown(k *known, m Mark) bool {
	upto, says := m.Logged.Upto(), m.Start > 1 || len(m.Logged) > 0
	if says {
		k.shown[m.EpochID] = m
	} else {
		delete(k.shown, m.EpochID)
	}
	if m.EpochID == c.own.EpochID {
		c.count(k, upto)
	}
	if says && !c.epoch(m.EpochID).have.Covers(m.Logged) {
		k.lacked(m.EpochID)
	}
	return says
}

// connect takes up a stream, or refuses it.
func (c *Core) connect(e Connected) {
	self := c.config.Self
	p := &peer{conn: e.Conn, hello: e.Peer, dialed: e.Dialed, received: c.now}
	c.conns[e.Conn] = p
	i, _ := slices.BinarySearchFunc(c.order, p.conn, byConn)
	c.order = slices.Insert(slices.Clone(c.order), i, p)
	switch {
	case e.Peer.Major > Major:
		c.close(p, ReasonVersion)
		return
	case e.Peer.Node == self.Node && e.Peer.Epoch == self.Epoch:
		c.close(p, ReasonSelf)
		return
	case e.Peer.Node == self.Node:
		c.meetTwin(p)
		return
	}
	old := c.streams[e.Peer.Node]
	switch {
	case old == nil:
		c.accept(p)
	case old.hello.Epoch == e.Peer.Epoch:
		// Both dialed at once, or the old one is broken and nobody noticed.
		lower := min(self.Node, e.Peer.Node) == self.Node
		if old.dialed == p.dialed || p.dialed == lower || c.now-old.received > Second+200*Millisecond {
			if old.rival != nil {
				c.contest(p, old.rival)
				old.rival = nil
			}
			c.close(old, ReasonReplaced)
			c.accept(p)
		} else {
			c.close(p, ReasonReplaced)
		}
	case old.rival != nil:
		c.close(p, ReasonReplaced)
	default:
		c.contest(old, p)
		c.show(old, true)
	}
}

func byConn(p *peer, conn Conn) int { return cmp.Compare(p.conn, conn) }

// contest has a stream answer a beacon, or be replaced by its rival.
func (c *Core) contest(p, rival *peer) {
	p.rival, p.challenged, p.challenge = rival, c.now, c.beacon+1
}

// meetTwin meets a node with this one's id: one of the two must take another.
// A synced one stays; of two that are, or are not, the lower epoch.
func (c *Core) meetTwin(p *peer) {
	p.twin = true
	switch {
	case c.synced > c.now:
		c.do(Send{p.conn, Refused{ReasonDuplicate}})
	case p.hello.Epoch < c.config.Self.Epoch:
		c.renew(true, ReasonDuplicate)
	}
}

// refusedByTwin is told by a twin that it is synced.
func (c *Core) refusedByTwin(p *peer) {
	if c.synced <= c.now || p.hello.Epoch < c.config.Self.Epoch {
		c.renew(true, ReasonDuplicate)
	}
}

func (c *Core) accept(p *peer) {
	p.accepted, p.received = true, c.now
	c.streams[p.hello.Node] = p
	c.show(p, true)
}

// replace lets the rival of a stream that does not answer take its place.
func (c *Core) replace(p *peer) {
	rival := p.rival
	p.rival = nil
	c.close(p, ReasonReplaced)
	if c.conns[rival.conn] != nil {
		c.accept(rival)
	}
}

func (c *Core) close(p *peer, why Reason) {
	c.do(Send{p.conn, Refused{why}})
	c.do(Close{p.conn, why})
	c.disconnect(p.conn)
}

func (c *Core) disconnect(conn Conn) {
	p := c.conns[conn]
	delete(c.conns, conn)
	if p == nil {
		return
	}
	if i, ok := slices.BinarySearchFunc(c.order, conn, byConn); ok {
		c.order = slices.Delete(slices.Clone(c.order), i, i+1)
	}
	if c.streams[p.hello.Node] == p {
		delete(c.streams, p.hello.Node)
	}
	c.searched = false // it may have known of a cluster, and not have said so
	for _, e := range c.open {
		if e.pulling.conn == conn {
			e.pulling.conn = 0
		}
	}
	if rival := p.rival; rival != nil && c.conns[rival.conn] != nil {
		c.accept(rival)
	}
}

// forgetTold has the next state tell all again.
func (p *peer) forgetTold() {
	p.told, p.toldChanges, p.toldMembers = false, 0, 0
	p.asked = 0
}

// show sends a state.
func (c *Core) show(p *peer, ask bool) {
	s := State{Echo: p.echo, Full: !p.told, Entered: c.entry.done, Marks: c.marks(p.toldChanges)}
	if ask {
		c.beacon++
		s.Beacon, p.asked = c.beacon, c.now
		if len(p.sent) == beaconsKept {
			p.sent = slices.Delete(p.sent, 0, 1)
		}
		p.sent = append(p.sent, beacon{c.beacon, c.now})
	}
	if p.toldMembers != c.version+1 {
		p.toldMembers = c.version + 1
		s.Members = c.listed()
	}
	p.told, p.toldChanges = true, c.changes()
	c.do(Send{p.conn, s})
}

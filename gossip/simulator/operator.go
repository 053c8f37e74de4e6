package simulator

import (
	"slices"

	"github.com/edgecache/edgecache/gossip/protocol"
)

// forget has a node go for good, and an operator say so.
func (s *sim) forget(n *node) bool {
	if n.gone || s.upNodes() < 4 || !s.spare(n) {
		return false
	}
	s.kill(n)
	n.gone = true
	return true
}

// operate has an operator forget, now and then, the nodes that are gone: those
// told to go, and ids whose disk is lost.
func (s *sim) operate() {
	s.after(s.upTo(3*protocol.Second), s.operate)
	o := s.nodes[s.rng.IntN(len(s.nodes))]
	if !o.up || o.paused {
		return
	}
	alive := map[protocol.NodeID]bool{}
	for _, n := range s.nodes {
		if !n.gone {
			alive[n.disk.id] = true
		}
	}
	for _, id := range o.members() {
		if !alive[id] {
			s.trace("%s is told to forget %s", o.name, id)
			o.step(protocol.Forget{Node: id})
		}
	}
}

// copy starts another process on a copy of a data directory.
func (s *sim) copy(n *node) bool {
	if len(s.nodes) >= mostNodes || n.dead || n.gone || !s.spare(n) {
		return false
	}
	c := s.addNode()
	c.disk = n.disk.clone()
	s.trace("%s starts on a copy of the disk of %s", c.name, n.name)
	s.boot(c)
	return true
}

// restore sets a data directory back to what it was a while ago. One from
// before the members changed may believe to be a majority: that nothing goes
// wrong then is not promised.
func (s *sim) restore(n *node, length protocol.Time) bool {
	if n.gone || n.dead {
		return false
	}
	backup := n.disk.clone()
	s.after(length, func() {
		same := slices.Equal(stayed(backup.members), stayed(n.disk.members)) && slices.Equal(entered(backup.members), entered(n.disk.members))
		if n.gone || n.dead || n.disk.id != backup.id || s.calm || !same || !s.spare(n) {
			return
		}
		s.kill(n)
		s.trace("the disk of %s is set back", n.name)
		n.disk = backup
		s.after(s.upTo(2*protocol.Second), func() { s.boot(n) })
	})
	return true
}

package simulator

import (
	"math/bits"

	"github.com/edgecache/edgecache/gossip/protocol"
)

// Faults is a set of kinds of faults.
type Faults uint32

// The kinds.
const (
	Kills Faults = 1 << iota
	Pauses
	Partitions
	OneWay // one direction of some links is cut
	SlowLinks
	Loss // datagrams are lost, up to 30 %
	SlowDisks
	DeadDisks
	Caps // journals hold few records
	Joins
	Leaves
	Forgets
	Copies      // a data directory is copied and used twice
	Restores    // a data directory is set back
	Clocks      // clocks run at changing rates
	FreshDirs   // the directory of a running node dies, and another takes its place
	StalledLogs // what is on disk is known to be there only seconds later
	OldAnswers  // the registry answers as it was before a change
	Versions    // some nodes are older, and some records have parts that they do not know
	PeerCopies  // nodes ask each other for records

	allKinds = iota
	All      = Faults(1<<allKinds - 1)
)

var faultNames = [allKinds]string{"kill", "pause", "partition", "one-way partition", "slow link", "loss", "slow disk", "dead disk",
	"journal cap", "join", "leave", "forget", "copied directory", "restored directory", "clock rate",
	"fresh directory", "stalled log", "old answers", "mixed versions", "copy from a peer"}

// standing are kinds that hold all the time.
const standing = Caps | Versions | PeerCopies

// Each calls yield for every kind of the set, with its name.
func (f Faults) Each(yield func(kind Faults, name string)) {
	for i, name := range faultNames {
		if f&(1<<i) != 0 {
			yield(1<<i, name)
		}
	}
}

func (f Faults) journalCap() int {
	if f&Caps != 0 {
		return 60
	}
	return 1 << 30
}

const mostNodes = 9

// longRun is from which length on nodes may be away for long.
const longRun = 100 * protocol.Second

// trouble makes a fault now and then.
func (s *sim) trouble() {
	if s.calm {
		return
	}
	s.after(100*protocol.Millisecond+s.upTo(1500*protocol.Millisecond), s.trouble)
	var kinds []Faults
	s.Faults.Each(func(kind Faults, _ string) {
		if kind&standing == 0 {
			kinds = append(kinds, kind)
		}
	})
	if len(kinds) == 0 {
		return
	}
	kind := kinds[s.rng.IntN(len(kinds))]
	if s.fault(kind) {
		s.result.Faults[faultNames[index(kind)]]++
	}
}

// index returns a kind's place in the table.
func index(kind Faults) int { return bits.TrailingZeros32(uint32(kind)) }

// fault makes one fault; false if there is nobody to make it with.
func (s *sim) fault(kind Faults) bool {
	n := s.nodes[s.rng.IntN(len(s.nodes))]
	length := s.upTo(6 * protocol.Second)
	switch kind {
	case Kills:
		return s.killFor(n, length)
	case Pauses:
		return s.pause(n, length)
	case Partitions, OneWay:
		return s.partition(kind == OneWay, length)
	case SlowLinks, Loss:
		return s.hamper(kind == Loss, length)
	case SlowDisks, DeadDisks:
		return s.spoil(n, kind == DeadDisks, length)
	case FreshDirs:
		return s.replaceDirectory(n, length)
	case StalledLogs:
		return s.stall(n, length)
	case OldAnswers:
		s.oldUntil = max(s.oldUntil, s.now+length)
	case Joins:
		if len(s.nodes) >= mostNodes {
			return false
		}
		s.boot(s.addNode())
	case Leaves:
		if !n.up || n.paused || len(n.members()) < 4 || s.upNodes() < 4 {
			return false
		}
		s.trace("%s leaves", n.name)
		n.step(protocol.Leave{})
	case Forgets:
		return s.forget(n)
	case Copies:
		return s.copy(n)
	case Restores:
		return s.restore(n, length)
	case Clocks:
		now := n.clock()
		n.rate = 1 + (s.rng.Float64()-0.5)/50
		n.offset += now - n.clock()
	}
	return true
}

// spare reports whether a node's disk may be lost: all others are synced and
// have what it has. What a majority confirmed is lost if too many disks are
// lost before others have it: that is not promised.
func (s *sim) spare(but *node) bool {
	others := 0
	for _, n := range s.nodes {
		if n == but || n.gone {
			continue
		}
		others++
		if !n.up || n.paused || n.dead || n.synced <= n.clock() {
			return false
		}
		for _, a := range s.acks {
			if but.onDisk(a.id) && !n.has(a.id) {
				return false
			}
		}
	}
	return others > 0
}

func (s *sim) upNodes() (n int) {
	for _, o := range s.nodes {
		if o.up {
			n++
		}
	}
	return n
}

func (s *sim) killFor(n *node, length protocol.Time) bool {
	if !n.up {
		return false
	}
	if s.Length > longRun && s.chance(15) {
		length += 35 * protocol.Second // what it alone has is given up
	}
	if s.chance(50) {
		n.doomed = true
		s.after(length, func() {
			if !s.calm {
				s.kill(n)
			}
			s.after(s.upTo(length), func() { s.boot(n) })
		})
		return true
	}
	s.kill(n)
	s.after(length, func() { s.boot(n) })
	return true
}

// pause stops the process for a while; what comes waits.
func (s *sim) pause(n *node, length protocol.Time) bool {
	if !n.up || n.paused {
		return false
	}
	s.trace("%s paused", n.name)
	n.paused = true
	life := n.life
	s.after(length, func() {
		if n.life == life {
			s.resume(n)
		}
	})
	return true
}

func (s *sim) resume(n *node) {
	if !n.paused {
		return
	}
	s.trace("%s goes on", n.name)
	held := n.held
	n.paused, n.held = false, nil
	for _, run := range held {
		run()
	}
}

// partition cuts the links between some nodes and the others.
func (s *sim) partition(oneWay bool, length protocol.Time) bool {
	side := map[*node]bool{}
	for _, n := range s.nodes {
		side[n] = s.chance(40)
	}
	var cut [][2]*node
	for _, a := range s.nodes {
		for _, b := range s.nodes {
			if side[a] && !side[b] {
				cut = append(cut, [2]*node{a, b})
				if !oneWay {
					cut = append(cut, [2]*node{b, a})
				}
			}
		}
	}
	if len(cut) == 0 {
		return false
	}
	s.trace("%d links cut", len(cut))
	for _, l := range cut {
		s.link(l[0], l[1]).cut = true
	}
	s.after(length, func() { s.heal(cut) })
	return true
}

func (s *sim) heal(cut [][2]*node) {
	s.trace("%d links heal", len(cut))
	for _, l := range cut {
		s.link(l[0], l[1]).cut = false
		s.healed(l[0], l[1])
	}
}

func (s *sim) hamper(loss bool, length protocol.Time) bool {
	a, b := s.nodes[s.rng.IntN(len(s.nodes))], s.nodes[s.rng.IntN(len(s.nodes))]
	l := s.link(a, b)
	if loss {
		l.lossy = 30
	} else {
		l.slow = s.upTo(2 * protocol.Second)
	}
	s.after(length, func() { l.lossy, l.slow = 1, 0 })
	return true
}

// spoil makes a disk slow for a while, or lets it die: then the node goes on
// without, and gets an empty one when it starts anew.
func (s *sim) spoil(n *node, dead bool, length protocol.Time) bool {
	if !n.up || n.dead || dead && !s.spare(n) {
		return false
	}
	if !dead {
		n.slow = s.upTo(500 * protocol.Millisecond)
		s.after(length, func() { n.slow = 0 })
		return true
	}
	s.trace("the disk of %s dies", n.name)
	n.dead = true
	s.after(length, func() { s.exchange(n) })
	return true
}

func (s *sim) exchange(n *node) {
	if !n.dead {
		return
	}
	if n.fresh {
		n.whenAwake(n.takeFresh)
		return
	}
	s.kill(n)
	n.disk = newDisk(protocol.NodeID(s.rng.Uint64()))
	s.boot(n)
}

// calmDown ends all faults.
func (s *sim) calmDown() {
	s.trace("calm")
	s.calm = true
	for _, l := range s.links {
		l.cut, l.slow, l.lossy = false, 0, 1
	}
	for _, n := range s.nodes {
		s.exchange(n)
		s.resume(n)
		n.slow, n.stalled, n.doomed = 0, 0, false
		s.boot(n)
	}
	for _, a := range s.nodes {
		for _, b := range s.nodes {
			s.healed(a, b)
		}
	}
}

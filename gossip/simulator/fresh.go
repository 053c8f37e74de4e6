package simulator

import (
	"maps"
	"slices"

	"github.com/edgecache/edgecache/gossip/protocol"
)

// replaceDirectory has the directory of a running node die, and another take
// its place after a while.
func (s *sim) replaceDirectory(n *node, length protocol.Time) bool {
	if !n.up || n.dead || n.gone {
		return false
	}
	s.trace("the directory of %s dies", n.name)
	n.dead, n.fresh = true, true
	s.after(length, func() { s.exchange(n) })
	return true
}

// takeFresh takes another directory into use: with what can be read of the one
// that died, and the members, which are in memory.
func (n *node) takeFresh() {
	s := n.s
	if !n.dead || !n.fresh {
		return
	}
	if !n.up {
		n.dead, n.fresh = false, false // it is read by the next process
		return
	}
	for _, b := range n.pending[:s.rng.IntN(len(n.pending)+1)] {
		b.write(n.disk)
	}
	lossy := s.chance(40) && s.spare(n)
	n.disk = n.disk.clone()
	n.disk.members = n.known
	if lossy {
		s.result.Faults["salvaged in part"]++
		s.damage(n.disk)
	}
	s.trace("%s takes a fresh directory, salvaged in part: %t", n.name, lossy)
	n.dead, n.fresh, n.pending = false, false, nil
	n.epoch, n.seq = s.rng.Uint64(), 0
	life := n.life
	s.after(s.upTo(lookEvery), func() {
		n.whenAwake(func() {
			if n.up && n.life == life {
				n.beginAnew()
			}
		})
	})
}

// lookEvery is how long a node may take to see that its journal began anew.
const lookEvery = 250 * protocol.Millisecond

// damage loses records of a journal.
func (s *sim) damage(d *disk) {
	for _, id := range slices.SortedFunc(maps.Keys(d.epochs), compareEpochs) {
		k := d.epochs[id]
		share := []float64{0, 5, 50, 100}[s.rng.IntN(4)]
		for _, seq := range slices.Sorted(maps.Keys(k.records)) {
			if s.chance(share) {
				delete(k.records, seq)
			}
		}
		if share == 100 && s.chance(50) {
			delete(d.epochs, id)
		}
	}
}

// begin makes the core of a new life from what the disk has. An old one is that
// of the running process.
func (n *node) begin(old *protocol.Core) {
	n.life++
	n.disk.epoch = n.epoch
	n.streams, n.synced = map[protocol.Conn]*stream{}, 0
	n.cache.before(n.disk)
	n.known = n.disk.members
	config := protocol.Config{Self: n.hello(), Join: true, Alone: 3600 * protocol.Second,
		Marks: n.disk.marks(), Members: slices.Clone(n.disk.members)}
	if old != nil {
		config.Applied = old.Unlogged(config.Marks)
	}
	n.core = protocol.New(n.clock(), config)
	n.s.trace("%s up, id %s, epoch %x", n.name, n.disk.id, n.epoch)
}

// beginAnew begins another life in a running process: its cache lives on.
func (n *node) beginAnew() {
	s := n.s
	for _, a := range n.inOrder() {
		s.close(a)
	}
	old := n.core
	n.begin(old)
	if r, ok := old.Instead(n.disk.marks()); ok {
		n.raise(r)
	}
	for _, token := range slices.Sorted(maps.Keys(n.confirms)) {
		if a := n.confirms[token]; a.at == 0 {
			n.step(protocol.Await{Token: token, ID: a.id, Level: a.level})
		}
	}
}

// renewRunning begins anew without a restart, as another node if need be.
func (n *node) renewRunning(identity bool) {
	n.flush(len(n.pending))
	if identity {
		n.disk = n.disk.clone()
		n.disk.id, n.disk.members = protocol.NodeID(n.s.rng.Uint64()), nil
	}
	n.epoch, n.seq = n.s.rng.Uint64(), 0
	n.beginAnew()
}

// stall has a node not be told for a while what is on its disk.
func (s *sim) stall(n *node, length protocol.Time) bool {
	if !n.up || n.dead {
		return false
	}
	s.trace("the log of %s stalls", n.name)
	n.stalled = s.now + length
	return true
}

package simulator

import (
	"fmt"
	"maps"
	"slices"

	"github.com/edgecache/edgecache/gossip/protocol"
)

// A disk is what a node keeps. Batches wait for their fsync in order.
type disk struct {
	id      protocol.NodeID
	epoch   uint64 // for [BreakReuseEpoch]
	epochs  map[protocol.EpochID]*kept
	members []protocol.Member
}

// kept is a journal's part of one epoch.
type kept struct {
	start, hard uint64
	records     map[uint64]protocol.Record
}

func newDisk(id protocol.NodeID) *disk {
	return &disk{id: id, epochs: map[protocol.EpochID]*kept{}}
}

func (d *disk) epochOf(id protocol.EpochID) *kept {
	k := d.epochs[id]
	if k == nil {
		k = &kept{start: 1, records: map[uint64]protocol.Record{}}
		d.epochs[id] = k
	}
	return k
}

func (d *disk) clone() *disk {
	c := &disk{id: d.id, epoch: d.epoch, epochs: map[protocol.EpochID]*kept{}, members: slices.Clone(d.members)}
	for id, k := range d.epochs {
		c.epochs[id] = &kept{k.start, k.hard, maps.Clone(k.records)}
	}
	return c
}

// marks returns what a node starts with.
func (d *disk) marks() []protocol.Mark {
	var list []protocol.Mark
	for _, id := range slices.SortedFunc(maps.Keys(d.epochs), compareEpochs) {
		k := d.epochs[id]
		m := protocol.Mark{EpochID: id, Start: k.start, Hard: k.hard, Newest: k.hard}
		m.Logged.Add(1, k.start-1)
		for _, seq := range slices.Sorted(maps.Keys(k.records)) {
			m.Logged.Add(seq, seq)
			if isHard(k.records[seq]) {
				m.Newest = seq
			}
		}
		list = append(list, m)
	}
	return list
}

func compareEpochs(a, b protocol.EpochID) int {
	if a.Origin != b.Origin {
		if a.Origin < b.Origin {
			return -1
		}
		return 1
	}
	if a.Epoch < b.Epoch {
		return -1
	}
	if a.Epoch > b.Epoch {
		return 1
	}
	return 0
}

// put keeps a record, and truncates the oldest at the cap.
func (d *disk) put(r protocol.Record, most int) {
	k := d.epochOf(r.ID.EpochID)
	if r.ID.Seq < k.start {
		return
	}
	k.records[r.ID.Seq] = r
	for len(k.records) > most {
		k.drop(slices.Min(slices.Collect(maps.Keys(k.records))) + 1)
	}
}

// drop removes the records below a sequence. One that is not there may have
// been hard.
func (k *kept) drop(below uint64) {
	if below <= k.start {
		return
	}
	holes := below - k.start
	for seq := range k.records {
		if seq < below {
			holes--
		}
	}
	k.skip(below)
	if holes > 0 {
		k.hard = below - 1
	}
}

// skip has the records begin at a sequence.
func (k *kept) skip(to uint64) {
	for seq, r := range k.records {
		if seq < to {
			if isHard(r) {
				k.hard = max(k.hard, seq)
			}
			delete(k.records, seq)
		}
	}
	k.start = max(k.start, to)
}

// A node is a process, or the place where one was.
type node struct {
	s      *sim
	number int
	name   string
	disk   *disk
	dead   bool // its disk
	fresh  bool // another directory takes the place of the one that died
	slow   protocol.Time

	stalled protocol.Time // until then it is not told what is on disk
	older   bool          // its program

	up, paused bool
	held       []func()      // what comes while it is paused
	doomed     bool          // killed after its next fsync
	process    int           // counts starts
	life       int           // counts cores
	gone       bool          // left or forgotten for good
	twin       protocol.Time // when another last ran on a copy of its disk
	epoch      uint64
	seq        uint64
	core       *protocol.Core
	rate       float64 // of its clock
	offset     protocol.Time
	streams    map[protocol.Conn]*stream
	pending    []*batch // waiting for fsync, in order
	synced     protocol.Time
	known      []protocol.Member
	confirms   map[uint64]*ack // by token
	gaveUp     map[uint64]bool // likewise
	cache      cache
}

// A batch is one fsync.
type batch struct {
	write func(d *disk)
	done  func()
	life  int // that done is for; 0: any of the process
}

func (s *sim) addNode() *node {
	n := &node{s: s, number: len(s.nodes), name: fmt.Sprintf("edge-%d", len(s.nodes)+1),
		rate: 1 + (s.rng.Float64()-0.5)/50, offset: s.upTo(1000 * protocol.Second)}
	n.disk = newDisk(protocol.NodeID(s.rng.Uint64()))
	n.older = s.Faults&Versions != 0 && s.chance(50)
	s.nodes = append(s.nodes, n)
	return n
}

// clock returns the node's own time.
func (n *node) clock() protocol.Time { return n.offset + protocol.Time(float64(n.s.now)*n.rate) }

func (n *node) hello() protocol.Hello {
	h := protocol.Hello{Major: protocol.Major, Node: n.disk.id, Epoch: n.epoch, Name: n.name, Address: fmt.Sprint(n.number)}
	if !n.older {
		h.Minor, h.Gossip, h.Zone, h.Version = protocol.Minor, h.Address, "eu-1a", "1.2.3"
	}
	return h
}

// boot starts the process.
func (s *sim) boot(n *node) {
	if n.up || n.gone {
		return
	}
	n.up, n.paused, n.held, n.dead, n.fresh = true, false, nil, false, false
	n.process++
	n.epoch, n.seq = s.rng.Uint64(), 0
	if s.Break == BreakReuseEpoch && n.disk.epoch != 0 {
		n.epoch = n.disk.epoch
		for seq := range n.disk.epochOf(protocol.EpochID{Origin: n.disk.id, Epoch: n.epoch}).records {
			n.seq = max(n.seq, seq)
		}
	}
	n.pending, n.confirms, n.gaveUp = nil, map[uint64]*ack{}, map[uint64]bool{}
	n.cache = newCache()
	n.cache.applied.start(n.disk)
	n.begin(nil)
	process := n.process
	var tick, redial func()
	tick = func() {
		if n.up && n.process == process {
			n.step(protocol.Tick{})
			s.after(10*protocol.Millisecond+s.upTo(10*protocol.Millisecond), tick)
		}
	}
	redial = func() {
		if n.up && n.process == process {
			n.redial()
			s.after(250*protocol.Millisecond, redial)
		}
	}
	tick()
	s.after(s.upTo(50*protocol.Millisecond), redial)
}

// redial connects to every member, and to every node there is, that no stream
// leads to.
func (n *node) redial() {
	if n.paused {
		return
	}
	to := map[*node]bool{}
	for _, seed := range n.s.nodes {
		if !seed.gone && seed != n {
			to[seed] = true
		}
	}
	for _, m := range n.known {
		for _, o := range n.s.nodes {
			if fmt.Sprint(o.number) == m.Address && !m.Out {
				to[o] = true
			}
		}
	}
	for _, a := range n.streams {
		delete(to, a.peer.from)
	}
	delete(to, n) // as a member
	n.step(protocol.Searched{All: len(to) == 0})
	for _, o := range n.s.nodes {
		if to[o] {
			n.s.dial(n, o)
		}
	}
}

func (n *node) inOrder() []*stream {
	list := make([]*stream, 0, len(n.streams))
	for _, number := range slices.Sorted(maps.Keys(n.streams)) {
		list = append(list, n.streams[number])
	}
	return list
}

// step has the core take an event and does what it wants. A paused node takes
// it when it goes on.
func (n *node) step(e protocol.Event) {
	if n.paused {
		life := n.life
		n.held = append(n.held, func() {
			if n.up && n.life == life {
				n.step(e)
			}
		})
		return
	}
	core, life := n.core, n.life
	for _, effect := range core.Step(n.clock(), e) {
		if n.core != core || n.life != life || !n.up {
			return
		}
		n.effect(effect)
	}
}

// kill ends the process. Of the batches that wait for their fsync some reached
// the disk, the first ones.
func (s *sim) kill(n *node) {
	if !n.up {
		return
	}
	kept := 0
	if len(n.pending) > 0 && !n.dead {
		kept = s.rng.IntN(len(n.pending) + 1)
	}
	for _, b := range n.pending[:kept] {
		b.write(n.disk)
	}
	s.trace("%s killed, %d of %d batches kept", n.name, kept, len(n.pending))
	n.up, n.pending, n.doomed = false, nil, false
	power := s.chance(50) // lost with all that the machine was about to send
	for _, a := range n.inOrder() {
		a.lost = power
		s.close(a)
	}
}

// fsync has a batch reach the disk in a while, after those before it.
func (n *node) fsync(b *batch) {
	s, process := n.s, n.process
	n.pending = append(n.pending, b)
	if s.Break == BreakSkipFsync {
		n.fsynced(b)
	}
	if n.dead {
		return
	}
	s.after(300*protocol.Millisecond/1000+s.upTo(2*protocol.Millisecond)+n.slow, func() {
		if n.up && n.process == process && !n.dead {
			n.flush(slices.Index(n.pending, b) + 1)
		}
	})
}

// flush has the first batches reach the disk.
func (n *node) flush(count int) {
	s, process := n.s, n.process
	for _, b := range n.pending[:count] {
		b.write(n.disk)
		if s.Break != BreakSkipFsync {
			s.after(0, func() {
				if n.up && n.process == process {
					n.fsynced(b)
				}
			})
		}
	}
	n.pending = n.pending[count:]
}

// fsynced tells that a batch is on disk. A doomed node gets no further.
func (n *node) fsynced(b *batch) {
	doomed := n.doomed
	if b.life == 0 || b.life == n.life {
		b.done()
	}
	if doomed {
		n.s.kill(n)
	}
}

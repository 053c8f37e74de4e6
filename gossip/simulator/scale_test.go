package simulator

import (
	"container/heap"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/edgecache/edgecache/gossip/protocol"
)

var (
	scaled = flag.Bool("scale", false, "measure clusters of many nodes")
	most   = flag.Int("scale.most", 256, "nodes of the greatest of them; 1024 take five minutes and 2 GiB")
)

const (
	scaleLink  = 500 * protocol.Millisecond / 1000
	scaleFsync = 300 * protocol.Millisecond / 1000
	scaleIdle  = 2 * protocol.Second
	scaleAlone = 3  // invalidations, one a second
	scaleTimes = 40 // invalidations, one each 50 ms
	scaleFrom  = 8  // nodes which issue them in turn: what all know of all grows with their number
)

// A fleet is a cluster on a network and disks that are always alike. A core's
// own time costs nothing there; it is measured apart.
type fleet struct {
	now   protocol.Time
	queue queue
	order uint64
	nodes []*fleetNode
	conns uint64

	counting      bool // bytes and frames
	bytes, frames int
	cpu           time.Duration
	frame         []byte
	news          map[protocol.RecordID]*news
}

// news is what became of a record.
type news struct {
	record          protocol.Record
	issued          protocol.Time
	applied, logged int           // nodes
	lastApplied     protocol.Time // after it was issued
	lastLogged      protocol.Time
	confirmed       protocol.Time
	mostApplied     protocol.Time // when 99 % had
}

type fleetNode struct {
	f       *fleet
	core    *protocol.Core
	hello   protocol.Hello
	streams map[protocol.Conn]*fleetStream
	synced  protocol.Time
	seq     uint64
	cpu     time.Duration
	bytes   int
}

type fleetStream struct {
	to     *fleetNode
	number protocol.Conn
}

func (f *fleet) after(d protocol.Time, run func()) {
	f.order++
	heap.Push(&f.queue, scheduled{f.now + d, f.order, run})
}

func (f *fleet) run(span protocol.Time) {
	for end := f.now + span; ; {
		if len(f.queue) == 0 || f.queue[0].at > end {
			f.now = end
			return
		}
		next := heap.Pop(&f.queue).(scheduled)
		f.now = next.at
		next.run()
	}
}

// newFleet returns a cluster whose nodes are all members, connected within a
// second.
func newFleet(size int) *fleet {
	f := &fleet{now: protocol.Second, news: map[protocol.RecordID]*news{}}
	rng := rand.New(rand.NewPCG(uint64(size), 1))
	var members []protocol.Member
	for i := range size {
		id := protocol.NodeID(rng.Uint64())
		h := protocol.Hello{Major: protocol.Major, Minor: protocol.Minor, Node: id, Epoch: rng.Uint64(),
			Name: fmt.Sprintf("edge-%d", i), Address: fmt.Sprintf("10.0.%d.%d:7946", i/250, i%250)}
		members = append(members, protocol.Member{ID: id, Entry: 1, In: true, Name: h.Name, Address: h.Address})
		f.nodes = append(f.nodes, &fleetNode{f: f, hello: h, streams: map[protocol.Conn]*fleetStream{}})
	}
	for i, n := range f.nodes {
		n.core = protocol.New(f.now, protocol.Config{Self: n.hello, Members: members})
		var tick func()
		tick = func() { n.step(protocol.Tick{}); f.after(10*protocol.Millisecond, tick) }
		f.after(protocol.Time(rng.Int64N(int64(10*protocol.Millisecond))), tick)
		for _, o := range f.nodes[:i] {
			f.after(protocol.Time(rng.Int64N(int64(protocol.Second))), func() { f.connect(n, o) })
		}
	}
	return f
}

func (f *fleet) connect(a, b *fleetNode) {
	f.conns += 2
	x, y := protocol.Conn(f.conns), protocol.Conn(f.conns+1)
	a.streams[x], b.streams[y] = &fleetStream{b, y}, &fleetStream{a, x}
	a.step(protocol.Connected{Conn: x, Peer: b.hello, Dialed: true})
	b.step(protocol.Connected{Conn: y, Peer: a.hello})
}

func (n *fleetNode) step(e protocol.Event) {
	began := time.Now()
	effects := n.core.Step(n.f.now, e)
	took := time.Since(began)
	n.cpu, n.f.cpu = n.cpu+took, n.f.cpu+took
	for _, e := range effects {
		n.do(e)
	}
}

func (n *fleetNode) do(e protocol.Effect) {
	f := n.f
	switch e := e.(type) {
	case protocol.Send:
		if f.counting {
			f.frame = protocol.AppendFrame(f.frame[:0], e.Frame)
			n.bytes, f.bytes, f.frames = n.bytes+len(f.frame), f.bytes+len(f.frame), f.frames+1
		}
		if s := n.streams[e.Conn]; s != nil {
			f.after(scaleLink, func() { s.to.step(protocol.Received{Conn: s.number, Frame: e.Frame}) })
		}
	case protocol.Log:
		n.log(e.Records)
	case protocol.Serve:
		out := protocol.Pulled{EpochID: e.EpochID, Range: e.Range, Start: 1}
		for seq := e.From; seq <= e.To; seq++ {
			if r := f.news[protocol.RecordID{EpochID: e.EpochID, Seq: seq}]; r != nil && n.core.Has(r.record.ID) {
				out.Records = append(out.Records, r.record)
			}
		}
		n.do(protocol.Send{Conn: e.Conn, Frame: out})
	case protocol.Synced:
		n.synced = e.Until
	case protocol.Reached:
		r := f.news[protocol.RecordID{EpochID: protocol.EpochID{Origin: n.hello.Node, Epoch: n.hello.Epoch}, Seq: e.Token}]
		r.confirmed = f.now - r.issued
	}
}

func (n *fleetNode) log(records []protocol.Record) {
	f := n.f
	ids := make([]protocol.RecordID, 0, len(records))
	for _, r := range records {
		ids = append(ids, r.ID)
		news := f.news[r.ID]
		news.applied++
		news.lastApplied = f.now - news.issued
		if news.applied*100 <= len(f.nodes)*99 {
			news.mostApplied = news.lastApplied
		}
	}
	f.after(scaleFsync, func() {
		for _, id := range ids {
			f.news[id].logged++
			f.news[id].lastLogged = f.now - f.news[id].issued
		}
		n.step(protocol.Logged{Records: ids})
	})
}

// invalidate issues one, of a usual length.
func (n *fleetNode) invalidate() {
	n.seq++
	id := protocol.RecordID{EpochID: protocol.EpochID{Origin: n.hello.Node, Epoch: n.hello.Epoch}, Seq: n.seq}
	r := protocol.Record{ID: id, Raw: make([]byte, 80)}
	n.f.news[id] = &news{record: r, issued: n.f.now}
	n.f.after(scaleFsync, func() {
		n.step(protocol.Issued{Records: []protocol.Record{r}, Durable: true})
		n.step(protocol.Await{Token: n.seq, ID: id, Level: protocol.LevelAll})
	})
}

// TestScale measures how the cost of a cluster grows with its nodes.
func TestScale(t *testing.T) {
	if !*scaled {
		t.Skip("it takes a minute: -scale")
	}
	for _, size := range []int{4, 16, 64, 128, 256, 512, 1024} {
		if size > *most {
			continue
		}
		began := time.Now()
		f := newFleet(size)
		f.run(2500 * protocol.Millisecond)
		for _, n := range f.nodes {
			if n.synced <= f.now {
				t.Fatalf("%d nodes: %s is not synced", size, n.hello.Name)
			}
		}
		f.counting, f.bytes, f.frames, f.cpu = true, 0, 0, 0
		f.run(scaleIdle)
		perSecond := float64(size) * float64(scaleIdle) / float64(protocol.Second)
		idle := float64(f.bytes) / perSecond
		t.Logf("%4d nodes idle, each: %.0f frames/s, %.0f B/s, %.2f %% CPU", size,
			float64(f.frames)/perSecond, idle, f.cpu.Seconds()/perSecond*100)
		sent, all, busy := f.alone(idle)
		t.Logf("%4d nodes, per invalidation: its origin sends %.0f B, all %.0f B, core at the origin %s", size, sent, all, busy)
		f.measure(t)
		t.Logf("%4d nodes: ran %s", size, time.Since(began).Round(time.Millisecond))
	}
}

// origin returns the node that issues the i-th invalidation.
func (f *fleet) origin(i int) *fleetNode { return f.nodes[i%scaleFrom*len(f.nodes)/scaleFrom] }

// alone returns what one invalidation costs in bytes, and in time of the core
// of its origin.
func (f *fleet) alone(idle float64) (sent, all float64, busy time.Duration) {
	for i := range scaleAlone {
		n := f.origin(i)
		f.bytes, n.bytes, n.cpu = 0, 0, 0
		n.invalidate()
		f.run(10 * protocol.Millisecond)
		busy += n.cpu / scaleAlone
		f.run(protocol.Second - 10*protocol.Millisecond)
		sent += (float64(n.bytes) - idle) / scaleAlone
		all += (float64(f.bytes) - idle*float64(len(f.nodes))) / scaleAlone
	}
	return sent, all, busy
}

// measure issues some invalidations after each other and tells how long each
// took to reach all.
func (f *fleet) measure(t *testing.T) {
	clear(f.news)
	for i := range scaleTimes {
		f.origin(i).invalidate()
		f.run(50 * protocol.Millisecond)
	}
	f.run(protocol.Second)
	var most, applied, logged, confirmed []protocol.Time
	for id, r := range f.news {
		if r.applied != len(f.nodes)-1 || r.logged != r.applied || r.confirmed == 0 {
			t.Errorf("%d nodes: %s is applied by %d, logged by %d, confirmed after %d", len(f.nodes), id, r.applied, r.logged, r.confirmed)
		}
		most, applied = append(most, r.mostApplied), append(applied, r.lastApplied)
		logged, confirmed = append(logged, r.lastLogged), append(confirmed, r.confirmed)
	}
	for _, row := range []struct {
		what string
		list []protocol.Time
	}{{"applied by 99 %", most}, {"applied by all", applied}, {"logged by all", logged}, {"confirmed by all", confirmed}} {
		slices.Sort(row.list)
		n := len(row.list)
		t.Logf("%4d nodes, %s: median %.1f ms, worst %.1f ms", len(f.nodes), row.what, float64(row.list[n/2])/1e6, float64(row.list[n-1])/1e6)
	}
}

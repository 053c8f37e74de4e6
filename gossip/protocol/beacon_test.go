package protocol_test

import (
	"fmt"
	"testing"

	"github.com/edgecache/edgecache/gossip/protocol"
)

// A crowd is a member, and peers that answer it at once. Each step is a
// millisecond.
type crowd struct {
	core   *protocol.Core
	now    protocol.Time
	synced protocol.Time
	asked  []uint64 // the newest beacon to each peer
	beacon uint64   // the newest of a peer
}

func newCrowd(peers int) *crowd {
	c := &crowd{now: second, asked: make([]uint64, peers)}
	hello := func(i int) protocol.Hello {
		name := fmt.Sprintf("edge-%d", i)
		return protocol.Hello{Major: protocol.Major, Minor: protocol.Minor, Node: protocol.NodeID(i + 1), Epoch: 5, Name: name, Address: name + ":7402"}
	}
	var members []protocol.Member
	for i := range peers + 1 {
		h := hello(i)
		members = append(members, protocol.Member{ID: h.Node, Entry: 1, In: true, Name: h.Name, Address: h.Address})
	}
	c.core = protocol.New(c.now, protocol.Config{Self: hello(0), Members: members})
	for i := range peers {
		c.step(protocol.Connected{Conn: protocol.Conn(i + 1), Peer: hello(i + 1)})
		c.state(i, protocol.State{Full: true})
	}
	return c
}

func (c *crowd) step(e protocol.Event) (states int) {
	for _, e := range c.core.Step(c.now, e) {
		switch e := e.(type) {
		case protocol.Send:
			if s, ok := e.Frame.(protocol.State); ok {
				states++
				if s.Beacon != 0 {
					c.asked[e.Conn-1] = s.Beacon
				}
			}
		case protocol.Synced:
			c.synced = e.Until
		}
	}
	return states
}

// state has a peer send a state that answers what it was asked last.
func (c *crowd) state(peer int, s protocol.State) (answers int) {
	s.Entered, s.Echo = true, c.asked[peer]
	return c.step(protocol.Received{Conn: protocol.Conn(peer + 1), Frame: s})
}

// next has the next peer send a beacon, so that each sends one a second, while
// the core's clock ticks.
func (c *crowd) next(i int) {
	before := c.now / (10 * millisecond)
	c.now += second / protocol.Time(len(c.asked))
	if c.now/(10*millisecond) > before {
		c.step(protocol.Tick{})
	}
	c.beacon++
	c.state(i%len(c.asked), protocol.State{Beacon: c.beacon})
}

// An answer asks too if half of the time to the next beacon is over: then one
// frame does for two.
func TestAnAnswerAsksAlong(t *testing.T) {
	c := newCrowd(1)
	for _, row := range []struct {
		after protocol.Time
		asks  bool
	}{{100 * millisecond, false}, {200 * millisecond, false}, {300 * millisecond, true}, {100 * millisecond, false}, {500 * millisecond, true}} {
		c.now += row.after
		c.beacon++
		before := c.asked[0]
		if n := c.state(0, protocol.State{Beacon: c.beacon}); n != 1 || (c.asked[0] != before) != row.asks {
			t.Errorf("%d ms on: %d answers, asks %t; want one, %t", row.after/millisecond, n, c.asked[0] != before, row.asks)
		}
		if n := c.state(0, protocol.State{}); n != 0 {
			t.Errorf("%d frames answer what asked for nothing", n)
		}
	}
}

// Until when a node is synced is that of a majority, whoever answers when.
func TestSyncedAsOfTheMajority(t *testing.T) {
	for _, peers := range []int{2, 3, 10, 101} {
		c := newCrowd(peers)
		need := (peers + 1) / 2
		first := c.now
		for c.now < first+2*second { // all but need-1 are silent from now on
			c.now += 10 * millisecond
			for i := range need - 1 {
				c.state(i, protocol.State{})
			}
			c.step(protocol.Tick{})
		}
		if want := first + 3800*millisecond; c.synced != want {
			t.Errorf("%d peers: without a majority synced until %d ms, want %d", peers, c.synced/millisecond, want/millisecond)
		}
		c.now += 10 * millisecond
		c.state(need, protocol.State{}) // it answers what it was asked a second ago, or less
		c.step(protocol.Tick{})
		if c.synced <= first+4*second {
			t.Errorf("%d peers: with a majority synced until %d ms", peers, c.synced/millisecond)
		}
	}
}

// What comes of a beacon allocates a few times, however many peers there are.
func TestABeaconCostsAlikeAmongMany(t *testing.T) {
	const peers = 500
	c := newCrowd(peers)
	i := 0
	once := func() { c.next(i); i++ }
	for i < 3*peers {
		once()
	}
	if n := testing.AllocsPerRun(2*peers, once); n > 8 {
		t.Errorf("%.0f allocations, at most 8 expected", n)
	}
	if c.synced <= c.now {
		t.Error("not synced")
	}
}

// BenchmarkBeacon has a core that is asked, and asks, all its peers each second:
// an iteration is what comes of one of them.
func BenchmarkBeacon(b *testing.B) {
	for _, peers := range []int{2, 64, 255, 1023} {
		b.Run(fmt.Sprint(peers), func(b *testing.B) {
			c := newCrowd(peers)
			for i := range 3 * peers {
				c.next(i)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				c.next(i)
				i++
			}
			if c.synced <= c.now {
				b.Error("not synced")
			}
		})
	}
}

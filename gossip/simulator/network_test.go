package simulator

import (
	"math/rand/v2"
	"testing"

	"github.com/edgecache/edgecache/gossip/protocol"
)

// What a simulated stream carries arrives in its order, or the simulator finds
// what cannot be.
func TestNothingOvertakesOnAStream(t *testing.T) {
	for seed := range uint64(50) {
		s := &sim{rng: rand.New(rand.NewPCG(seed, 0)), links: map[[2]int]*link{}, result: Result{Faults: map[string]int{}}}
		from, to := &node{s: s, number: 1, streams: map[protocol.Conn]*stream{}}, &node{s: s, number: 2}
		a := &stream{number: 1, from: from, peer: &stream{from: to}}
		from.streams[a.number] = a
		l := s.link(from, to)
		var arrived []int
		const frames = 100
		for i := range frames {
			s.after(s.upTo(protocol.Second), func() { l.cut, l.slow = true, s.upTo(protocol.Second) })
			s.after(s.upTo(protocol.Second), func() { l.cut = false; s.healed(from, to) })
			s.after(protocol.Time(i)*protocol.Second/frames, func() { s.transmit(a, func() { arrived = append(arrived, i) }) })
		}
		s.runUntil(2 * protocol.Second)
		l.cut = false
		s.healed(from, to)
		s.runUntil(10 * protocol.Second)
		if len(arrived) != frames {
			t.Fatalf("seed %d: %d of %d arrived", seed, len(arrived), frames)
		}
		for i, got := range arrived {
			if got != i {
				t.Fatalf("seed %d: %d arrived in place of %d, in %v", seed, got, i, arrived)
			}
		}
	}
}

package protocol_test

import (
	"math/rand/v2"
	"testing"

	"github.com/edgecache/edgecache/gossip/protocol"
)

// Whatever peers confirm in which order, each record is answered when the last
// that it takes has.
func TestEachRecordIsAnsweredWhenEnoughConfirmed(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		c := newCrowd(1 + rng.IntN(8))
		own := protocol.EpochID{Origin: 1, Epoch: 5}
		upto := make([]uint64, len(c.asked)) // what each peer has confirmed
		reached := map[uint64]bool{}
		for issued := uint64(0); issued < 20; {
			event := protocol.Event(protocol.Await{Token: issued, ID: protocol.RecordID{EpochID: own, Seq: issued/2 + 1}, Level: protocol.Level(issued%2) + protocol.LevelQuorum})
			switch peer := rng.IntN(2 * len(upto)); {
			case peer >= len(upto):
				if issued%2 == 0 {
					c.note(protocol.Issued{Records: []protocol.Record{{ID: protocol.RecordID{EpochID: own, Seq: issued/2 + 1}}}, Durable: true}, reached)
				}
				issued++
			default:
				upto[peer] += rng.Uint64N((issued+1)/2 - upto[peer] + 1)
				mark := protocol.Mark{EpochID: own, Start: 1}
				mark.Logged.Add(1, upto[peer])
				event = protocol.Received{Conn: protocol.Conn(peer + 1), Frame: protocol.State{Entered: true, Marks: []protocol.Mark{mark}}}
			}
			c.note(event, reached)
			for token := range issued {
				have := 1
				for _, u := range upto {
					if u > token/2 {
						have++
					}
				}
				want := have > (len(upto)+1)/2 && (token%2 == 0 || have == len(upto)+1)
				if reached[token] != want {
					t.Fatalf("seed %d, %d peers have confirmed %d: record %d, level %d is answered: %t", seed, len(upto), upto, token/2+1, token%2, !want)
				}
			}
		}
	}
}

// note has the core take an event, and notes who is answered.
func (c *crowd) note(e protocol.Event, reached map[uint64]bool) {
	for _, e := range c.core.Step(c.now, e) {
		if r, ok := e.(protocol.Reached); ok {
			reached[r.Token] = true
		}
	}
}

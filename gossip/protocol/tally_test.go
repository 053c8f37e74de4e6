package protocol_test

import (
	"math/rand/v2"
	"testing"

	"github.com/edgecache/edgecache/gossip/protocol"
)

// A voter is a node that is or was a member.
type voter struct {
	member protocol.Member
	upto   uint64 // the last record that it confirmed, with all before
	parts  bool   // it went out by another's word
}

// voters are the core of a crowd, its peers, and members without a stream, by id.
type voters []voter

func votersOf(peers int) (list voters) {
	for i := range peers + 1 {
		list = append(list, voter{member: protocol.Member{ID: protocol.NodeID(i + 1), Entry: 1, In: true}})
	}
	return list
}

// enough reports whether enough have confirmed a record, no time having passed
// since somebody went out.
func (list voters) enough(seq uint64, level protocol.Level) bool {
	members, have, lack := 0, 0, 0
	for _, v := range list {
		switch {
		case v.member.Out:
			if v.parts && v.upto < seq {
				lack++
			}
			continue
		case v.upto < seq:
			lack++
		case v.member.In:
			have++
		}
		members++
	}
	return have > members/2 && (level == protocol.LevelQuorum || lack == 0)
}

// confirm has a peer confirm more of the records up to one, and perhaps say that
// it has entered. It returns what it shows.
func (list voters) confirm(peer int, last uint64, rng *rand.Rand) protocol.State {
	v := &list[peer]
	v.upto += rng.Uint64N(last - v.upto + 1)
	v.member.In = v.member.In || rng.IntN(2) == 0
	mark := protocol.Mark{EpochID: record(5, 1).EpochID, Start: 1}
	mark.Logged.Add(1, v.upto)
	return protocol.State{Entered: v.member.In, Marks: []protocol.Mark{mark}}
}

// change has a member go or come: a peer, or one without a stream, who may still
// be entering. It returns what the first peer shows of that.
func (list *voters) change(peers int, rng *rand.Rand) protocol.State {
	i := 1 + rng.IntN(peers+2)
	for len(*list) <= i {
		*list = append(*list, voter{member: protocol.Member{ID: protocol.NodeID(len(*list) + 1), Out: true}})
	}
	m := &(*list)[i].member
	if m.Out = !m.Out; m.Out {
		(*list)[i].parts = true
	} else {
		m.Entry, m.In = m.Entry+1, i == 1 || rng.IntN(2) == 0
	}
	return protocol.State{Entered: true, Members: []protocol.Member{*m}}
}

// Whatever peers confirm in which order, and whoever comes or goes, each record is
// answered when the last that it takes has confirmed it.
func TestEachRecordIsAnsweredWhenEnoughConfirmed(t *testing.T) {
	const records = 10
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		peers := 1 + rng.IntN(6)
		c, list := newCrowd(peers), votersOf(peers)
		self := &list[0].upto
		want := map[uint64]bool{}
		reached := map[uint64]bool{}
		for *self < records {
			switch peer := 1 + rng.IntN(2*peers+2); {
			case peer <= peers:
				c.note(protocol.Received{Conn: protocol.Conn(peer), Frame: list.confirm(peer, *self, rng)}, reached)
			case peer <= 2*peers:
				*self++
				id := record(5, *self)
				c.note(protocol.Issued{Records: []protocol.Record{{ID: id}}, Durable: true}, reached)
				for _, level := range []protocol.Level{protocol.LevelQuorum, protocol.LevelAll} {
					c.note(protocol.Await{Token: 2**self + uint64(level), ID: id, Level: level}, reached)
				}
			default:
				state := list.change(peers, rng)
				self = &list[0].upto
				c.note(protocol.Received{Conn: 1, Frame: state}, reached)
			}
			for seq := uint64(1); seq <= *self; seq++ {
				for _, level := range []protocol.Level{protocol.LevelQuorum, protocol.LevelAll} {
					token := 2*seq + uint64(level)
					want[token] = want[token] || list.enough(seq, level)
					if reached[token] != want[token] {
						t.Fatalf("seed %d: of %+v, record %d, level %d is answered: %t", seed, list, seq, level, reached[token])
					}
				}
			}
		}
	}
}

// note has the core take an event, and notes who is answered.
func (c *crowd) note(e protocol.Event, reached map[uint64]bool) {
	for _, r := range c.reached(e) {
		reached[r.Token] = true
	}
}

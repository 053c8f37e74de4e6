package protocol_test

import (
	"reflect"
	"testing"

	"github.com/edgecache/edgecache/gossip/protocol"
)

// record returns the id of a record of the crowd's core.
func record(epoch, seq uint64) protocol.RecordID {
	return protocol.RecordID{EpochID: protocol.EpochID{Origin: 1, Epoch: epoch}, Seq: seq}
}

// logs has a peer show that it has logged the first record of an epoch of the
// core.
func (c *crowd) logs(peer int, epoch uint64) []protocol.Reached {
	mark := protocol.Mark{EpochID: record(epoch, 1).EpochID, Start: 1, Logged: protocol.Ranges{{From: 1, To: 1}}}
	return c.reached(protocol.Received{Conn: protocol.Conn(peer + 1), Frame: protocol.State{Entered: true, Marks: []protocol.Mark{mark}}})
}

// reached has the core take an event, and returns who is answered.
func (c *crowd) reached(e protocol.Event) (list []protocol.Reached) {
	for _, e := range c.core.Step(c.now, e) {
		if r, ok := e.(protocol.Reached); ok {
			list = append(list, r)
		}
	}
	return list
}

// issues has the core issue its first record.
func (c *crowd) issues() {
	c.step(protocol.Issued{Records: []protocol.Record{{ID: record(5, 1)}}, Durable: true})
}

func TestWhoGaveUpIsNotAnswered(t *testing.T) {
	c := newCrowd(2)
	c.issues()
	for token := range uint64(1000) {
		c.step(protocol.Await{Token: token + 1, ID: record(5, 1), Level: protocol.LevelQuorum})
	}
	for token := range uint64(999) {
		c.step(protocol.Unawait{Tokens: []uint64{token + 1, token + 1, token + 1001}}) // again, and unknown ones
	}
	if n := c.core.Waiting(); n != 1 {
		t.Errorf("%d wait, want one", n)
	}
	if list := c.logs(0, 5); len(list) != 1 || list[0].Token != 1000 {
		t.Errorf("answered are %+v, want the one who waits", list)
	}
	if n := c.core.Waiting(); n != 0 {
		t.Errorf("%d wait still", n)
	}
}

// Those who stay are answered in their order, whoever else gave up, and whenever
// they came.
func TestWhoStaysIsAnswered(t *testing.T) {
	c := newCrowd(2)
	c.issues()
	for _, token := range []uint64{4, 2, 8, 6, 1, 3, 9, 7, 5} {
		c.step(protocol.Await{Token: token, ID: record(5, 1), Level: protocol.LevelQuorum})
	}
	var tokens []uint64
	c.step(protocol.Unawait{Tokens: []uint64{1, 5}})
	c.step(protocol.Unawait{Tokens: []uint64{9}})
	for _, r := range c.logs(0, 5) {
		tokens = append(tokens, r.Token)
	}
	if want := []uint64{2, 3, 4, 6, 7, 8}; !reflect.DeepEqual(tokens, want) {
		t.Errorf("answered are %d, want %d", tokens, want)
	}
}

// What no confirmation answers, time does: a fence, and records of a life that
// the core does not count.
func TestATickAnswersWhatTheTallyDoesNot(t *testing.T) {
	c := newCrowd(2)
	c.step(protocol.Await{Token: 1, ID: record(4, 1), Level: protocol.LevelQuorum})
	c.logs(0, 4)
	c.logs(1, 4)
	if list := c.reached(protocol.Tick{}); len(list) != 1 {
		t.Errorf("answered are %+v, want the one who waits for a record of an earlier life", list)
	}
	c.issues()
	c.step(protocol.Await{Token: 2, ID: record(5, 1), Level: protocol.LevelAll})
	c.logs(0, 5)
	c.now += 3990 * millisecond
	if list := c.reached(protocol.Tick{}); len(list) != 0 {
		t.Errorf("answered before the fence: %+v", list)
	}
	c.now += 10 * millisecond
	want := protocol.Reached{Token: 2, Confirmation: protocol.Confirmation{Confirmed: []protocol.NodeID{1, 2}, Fenced: []protocol.NodeID{3}}}
	if list := c.reached(protocol.Tick{}); len(list) != 1 || !reflect.DeepEqual(list[0], want) {
		t.Errorf("answered are %+v, want %+v", list, want)
	}
}

// BenchmarkTickAmongWaits has a core tick that has no majority, while many wait.
func BenchmarkTickAmongWaits(b *testing.B) {
	c := newCrowd(2)
	c.issues()
	for token := range uint64(300_000) {
		c.step(protocol.Await{Token: token, ID: record(5, 1), Level: protocol.LevelQuorum})
	}
	for b.Loop() {
		c.now += 10 * millisecond
		c.step(protocol.Tick{})
	}
}

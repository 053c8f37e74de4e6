package protocol_test

import (
	"fmt"
	"testing"

	"github.com/edgecache/edgecache/gossip/protocol"
)

// crowded returns a core with streams to so many peers.
func crowded(peers int) *protocol.Core {
	self := protocol.Hello{Major: protocol.Major, Minor: protocol.Minor, Node: 1, Epoch: 5, Name: "edge-1", Address: "edge-1:7402"}
	core := protocol.New(second, protocol.Config{Self: self, Join: true, Alone: protocol.Forever})
	for i := range peers {
		name := fmt.Sprintf("edge-%d", i+2)
		h := protocol.Hello{Major: protocol.Major, Minor: protocol.Minor, Node: protocol.NodeID(i + 2), Epoch: 5, Name: name, Address: name + ":7402"}
		core.Step(second, protocol.Connected{Conn: protocol.Conn(i + 1), Peer: h})
	}
	return core
}

// receivers returns the streams on which a record is sent.
func receivers(effects []protocol.Effect, id protocol.RecordID) map[protocol.Conn]int {
	to := map[protocol.Conn]int{}
	for _, e := range effects {
		if s, ok := e.(protocol.Send); ok {
			if f, ok := s.Frame.(protocol.Records); ok && f.Records[0].ID == id {
				to[s.Conn]++
			}
		}
	}
	return to
}

// A second stream of a peer, which is not in use, is no reason to send records on.
func TestPeersAreCountedOnce(t *testing.T) {
	theirs := protocol.Record{ID: protocol.RecordID{EpochID: protocol.EpochID{Origin: 2, Epoch: 5}, Seq: 1}, Raw: []byte("r")}
	core := crowded(64)
	restarted := protocol.Hello{Major: protocol.Major, Minor: protocol.Minor, Node: 3, Epoch: 6, Name: "edge-3", Address: "edge-3:7402"}
	core.Step(second, protocol.Connected{Conn: 65, Peer: restarted})
	to := receivers(core.Step(second, protocol.Received{Conn: 1, Frame: protocol.Records{Records: []protocol.Record{theirs}}}), theirs.ID)
	if len(to) != 0 {
		t.Errorf("of 64 peers %d get another's record", len(to))
	}
}

func TestAboveSixtyFourPeersRecordsAreSentOn(t *testing.T) {
	own := protocol.Record{ID: protocol.RecordID{EpochID: protocol.EpochID{Origin: 1, Epoch: 5}, Seq: 1}, Raw: []byte("r")}
	theirs := protocol.Record{ID: protocol.RecordID{EpochID: protocol.EpochID{Origin: 2, Epoch: 5}, Seq: 1}, Raw: []byte("r")}
	for peers, want := range map[int][2]int{3: {3, 0}, 64: {64, 0}, 65: {8, 8}, 1000: {8, 8}} {
		core := crowded(peers)
		if to := receivers(core.Step(second, protocol.Issued{Records: []protocol.Record{own}, Durable: true}), own.ID); len(to) != want[0] {
			t.Errorf("of %d peers %d get an own record, want %d", peers, len(to), want[0])
		}
		came := protocol.Received{Conn: 1, Frame: protocol.Records{Records: []protocol.Record{theirs}}}
		to := receivers(core.Step(second, came), theirs.ID)
		if len(to) != want[1] || to[1] > 0 {
			t.Errorf("of %d peers %d get another's record, its sender %d times; want %d and none", peers, len(to), to[1], want[1])
		}
		if again := receivers(core.Step(second, came), theirs.ID); len(again) != 0 {
			t.Errorf("of %d peers %d get a record that came before", peers, len(again))
		}
	}
}

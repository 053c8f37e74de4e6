package protocol

import "fmt"

// A NodeID names a node's life in the cluster: drawn at random, kept with its
// disk.
type NodeID uint64

func (id NodeID) String() string { return fmt.Sprintf("%x", uint64(id)) }

// An EpochID names one life of a process: it is drawn anew at each start.
type EpochID struct {
	Origin NodeID
	Epoch  uint64
}

// A RecordID names a record.
type RecordID struct {
	EpochID
	Seq uint64 // from 1 on
}

func (id RecordID) String() string {
	return fmt.Sprintf("%x/%x/%d", uint64(id.Origin), id.Epoch, id.Seq)
}

// A Record is what a journal keeps and nodes send: an invalidation, or a change
// of the members.
type Record struct {
	ID     RecordID
	Change *Member // the member as it is from now on; nil: an invalidation
	Raw    []byte  // its binary form, as received
}

// A Member is one node of the cluster. Of two that differ, the one with the
// greater Entry is right; of the same entry, Out and In win.
type Member struct {
	ID      NodeID
	Entry   uint64 // rises each time that the node enters, or has another name or address
	In      bool   // it has entered: it counts in majorities
	Out     bool   // it left or was forgotten
	Name    string
	Address string // host:port of its peer streams
}

// merge returns what is right of two states of one member, and whether that is
// not a.
func (a Member) merge(b Member) (Member, bool) {
	if b.Entry < a.Entry {
		return a, false
	}
	if b.Entry > a.Entry {
		return b, true
	}
	m := a
	m.In, m.Out = a.In || b.In, a.Out || b.Out
	if a.Name == "" {
		m.Name, m.Address = b.Name, b.Address
	}
	return m, m != a
}

// A Mark is what a node has logged of one epoch.
type Mark struct {
	EpochID
	Start  uint64 // records below were truncated, or everything was raised in their place
	Hard   uint64 // the greatest sequence below Start of a hard invalidation; 0: none known
	Logged Ranges // with all below Start
	Newest uint64 // the greatest sequence of Logged that may be hard; 0: none
}

// A Mode says how everything is raised in place of records that are gone.
type Mode uint8

// The modes, as in package registry.
const (
	ModeVerify Mode = 2
	ModeHard   Mode = 3
)

// A Level says who must have an invalidation before its caller is answered.
type Level uint8

// The levels. Local is the business of the journal.
const (
	LevelQuorum Level = iota + 1
	LevelAll
)

// A Confirmation says which members have a record.
type Confirmation struct {
	Confirmed []NodeID // it is on their disks
	Fenced    []NodeID // they cannot be synced without it
	Pending   []NodeID
}

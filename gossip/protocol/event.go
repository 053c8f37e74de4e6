package protocol

// Time is in nanoseconds of a clock that never goes back and is greater than 0.
// It goes on while the node is suspended.
type Time int64

// Spans of Time.
const (
	Millisecond Time = 1e6
	Second      Time = 1e9
	Forever     Time = 1<<63 - 1
)

// A Conn numbers a stream to a peer, from 1 on; each has another.
type Conn uint64

// An Event is what happens to a node.
type Event interface{ event() }

type (
	// Tick comes every 10 to 20 ms.
	Tick struct{}

	// Connected comes when a stream is up and its peer said hello.
	Connected struct {
		Conn   Conn
		Peer   Hello
		Dialed bool // by this node
	}

	// Disconnected says that nothing more will be received on a stream.
	Disconnected struct{ Conn Conn }

	// Overflowed says that frames sent to a peer were dropped.
	Overflowed struct{ Conn Conn }

	// Received brings a frame of a peer, in the order it sent them.
	Received struct {
		Conn  Conn
		Frame Frame
	}

	// Shown says that a record of another node exists. Its sender need not be
	// known.
	Shown struct{ ID RecordID }

	// Issued says that this node's journal gave records their ids, and whether
	// they are on disk.
	Issued struct {
		Records []Record
		Durable bool
	}

	// Logged says that records of a Log effect are on disk.
	Logged struct{ Records []RecordID }

	// Raised says that what a Raise effect adopts is on disk.
	Raised struct{ Adopted []Adoption }

	// Truncated says that the journal's records of an epoch begin at Start now.
	Truncated struct {
		EpochID
		Start, Hard uint64
	}

	// Await asks for an effect Reached once a record has reached a level.
	Await struct {
		Token uint64
		ID    RecordID
		Level Level
	}

	// Unawait says that nobody waits any more for what was to be answered under
	// some tokens.
	Unawait struct{ Tokens []uint64 }

	// Searched says whether all who could know of a cluster are connected:
	// whoever answers at an address to ask.
	Searched struct{ All bool }

	// Show asks for what changed in what this node has logged to be sent on a
	// stream now: before what is valid under that.
	Show struct{ Conn Conn }

	// Forget removes a dead member: the operator's word that it is gone.
	Forget struct{ Node NodeID }

	// Leave ends the membership. No record is issued any more.
	Leave struct{}
)

func (Tick) event()         {}
func (Connected) event()    {}
func (Disconnected) event() {}
func (Overflowed) event()   {}
func (Received) event()     {}
func (Shown) event()        {}
func (Issued) event()       {}
func (Logged) event()       {}
func (Raised) event()       {}
func (Truncated) event()    {}
func (Await) event()        {}
func (Unawait) event()      {}
func (Searched) event()     {}
func (Show) event()         {}
func (Forget) event()       {}
func (Leave) event()        {}

// An Effect is what is to be done now, in the order given. Nothing in it may be
// changed.
type Effect interface{ effect() }

type (
	// Send sends a frame, or drops it and says Overflowed.
	Send struct {
		Conn  Conn
		Frame Frame
	}

	// Close ends a stream after what was sent on it.
	Close struct {
		Conn   Conn
		Reason Reason
	}

	// Gossip spreads a record by another way than streams, as far as it goes.
	Gossip struct{ Record Record }

	// Log applies records at once, then keeps them on disk, together with the
	// members, if any are given. Then come Logged.
	Log struct {
		Records []Record
		Members []Member
	}

	// Serve reads records of an epoch and sends a Pulled with at most so many,
	// and in it what range they answer for.
	Serve struct {
		Conn Conn
		EpochID
		Range
		Most int
	}

	// Raise covers everything that was fetched before now, and keeps on disk
	// that it stands for the records it adopts. Then comes Raised.
	Raise struct {
		Mode  Mode
		Adopt []Adoption
	}

	// Synced says until when the node may call itself synced, unless another
	// Synced comes. 0: it may not.
	Synced struct{ Until Time }

	// Reached answers an Await.
	Reached struct {
		Token uint64
		Confirmation
	}

	// Delayed says that a peer has logged a record of this node, so long after it
	// was sent.
	Delayed struct {
		Peer NodeID
		By   Time
	}

	// Truncate lets go of records that every member has.
	Truncate struct {
		EpochID
		Below uint64
	}

	// Save keeps the members on disk, in time.
	Save struct{ Members []Member }

	// Issue has the journal issue a change of the members. Then comes Issued.
	Issue struct{ Change Member }

	// Renew has the node begin anew: with another id and no members, or with
	// another epoch only.
	Renew struct {
		Identity bool
		Reason   Reason
	}

	// Left says that leaving ended; Done is false if it is still a member.
	Left struct{ Done bool }
)

// An Adoption is the sequences of an epoch, up to one, for which everything was
// raised.
type Adoption struct {
	EpochID
	Upto uint64
	Hard uint64 // the greatest of them that may be hard
}

func (Send) effect()     {}
func (Close) effect()    {}
func (Gossip) effect()   {}
func (Log) effect()      {}
func (Serve) effect()    {}
func (Raise) effect()    {}
func (Synced) effect()   {}
func (Reached) effect()  {}
func (Delayed) effect()  {}
func (Truncate) effect() {}
func (Save) effect()     {}
func (Issue) effect()    {}
func (Renew) effect()    {}
func (Left) effect()     {}

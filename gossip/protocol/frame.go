package protocol

// The version of the protocol. Nodes of one major version understand each
// other; what a newer minor one adds, an older one skips.
const (
	Major = 1
	Minor = 2
)

// A Hello is what the two ends of a stream tell each other first.
type Hello struct {
	Major, Minor uint16
	Node         NodeID
	Epoch        uint64 // of its present life
	Name         string
	Address      string

	// Since minor version 1.
	Gossip  string // host:port of its gossip; "": it has none
	Zone    string
	Version string // of its program
}

// A Frame is what peers send each other afterwards.
type Frame interface{ frame() }

// Records carries records as their origin issues them.
type Records struct{ Records []Record }

// A State shows what the sender has logged, and that it is alive.
type State struct {
	Beacon  uint64 // rises; 0: asks for no answer
	Echo    uint64 // the newest beacon received from the receiver
	Full    bool   // the first on this stream: Marks are all there are
	Entered bool   // the sender counts itself among the members
	Marks   []Mark // all that changed since the last state on this stream; Newest since minor version 2
	Members []Member
}

// A Pull asks for records of an epoch.
type Pull struct {
	EpochID
	Range
}

// A Pulled answers a Pull: what the sender has of the range, in order.
type Pulled struct {
	EpochID
	Range   // what it answers for: all that is not in Records, the sender lacks
	Start   uint64
	Hard    uint64
	Records []Record
}

// A Refused ends a stream and says why.
type Refused struct{ Reason Reason }

func (Records) frame() {}
func (State) frame()   {}
func (Pull) frame()    {}
func (Pulled) frame()  {}
func (Refused) frame() {}

// A Reason is why a stream is refused.
type Reason uint8

// The reasons.
const (
	ReasonVersion   Reason = iota + 1 // the major version is newer
	ReasonSelf                        // both ends are one node
	ReasonDuplicate                   // another node with this id answers
	ReasonRestored                    // the node lacks what it once confirmed: its disk was restored
	ReasonReplaced                    // a newer stream of this node is in use
	ReasonProtocol                    // what it sent cannot be
	ReasonSilent                      // nothing came for too long
)

func (r Reason) String() string {
	switch r {
	case ReasonVersion:
		return "its major version is newer"
	case ReasonSelf:
		return "it is this node itself"
	case ReasonDuplicate:
		return "another node with its id answers"
	case ReasonRestored:
		return "it lacks what it once confirmed"
	case ReasonReplaced:
		return "a newer stream of it is in use"
	case ReasonProtocol:
		return "it broke the protocol"
	case ReasonSilent:
		return "it is silent"
	}
	return "unknown"
}

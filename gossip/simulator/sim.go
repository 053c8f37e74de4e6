package simulator

import (
	"container/heap"
	"fmt"
	"math/rand/v2"

	"github.com/edgecache/edgecache/gossip/protocol"
)

// Options say what is simulated.
type Options struct {
	Seed   uint64
	Nodes  int           // at the start
	Length protocol.Time // with faults; healing and checking follows
	Faults Faults
	Break  Break // for tests of the simulator itself
	Trace  func(format string, args ...any)
}

// A Break is a deliberate violation of the protocol.
type Break uint8

// The breaks.
const (
	BreakNothing          Break = iota
	BreakSkipFsync              // records are called durable before they are
	BreakDropHole               // a hole is called filled without its record
	BreakApplyAfterInsert       // a fill is stored though an invalidation came while it was fetched
	BreakReuseEpoch             // a restart goes on in the epoch before
	BreakIgnoreGeneration       // a hit is not held against what was invalidated
	BreakCopyUnchecked          // a peer's record is taken for fetched here and now
)

// A Result tells what a run did.
type Result struct {
	Events     int
	Faults     map[string]int // by kind
	Acked      map[string]int // invalidations by level
	Reads      int            // checked on synced nodes
	Heals      []protocol.Time
	Violations []string
}

// A sim is one run.
type sim struct {
	Options
	rng   *rand.Rand
	now   protocol.Time
	queue queue
	order uint64

	nodes    []*node // all there ever were
	links    map[[2]int]*link
	conns    uint64
	registry map[string]int // the present version of each name
	acks     []*ack
	tokens   uint64
	written  map[protocol.RecordID][]byte // the bytes of each record, as issued
	frames   uint64
	oldUntil protocol.Time // the registry may answer old until then
	calm     bool          // no faults any more
	result   Result
}

type scheduled struct {
	at    protocol.Time
	order uint64
	run   func()
}

type queue []scheduled

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(scheduled)) }
func (q *queue) Pop() any {
	old := *q
	x := old[len(old)-1]
	old[len(old)-1].run = nil
	*q = old[:len(old)-1]
	return x
}

// after has run called later.
func (s *sim) after(d protocol.Time, run func()) {
	s.order++
	heap.Push(&s.queue, scheduled{s.now + max(d, 0), s.order, run})
}

// upTo returns a time from 0 to d.
func (s *sim) upTo(d protocol.Time) protocol.Time { return protocol.Time(s.rng.Int64N(int64(d) + 1)) }

func (s *sim) chance(percent float64) bool { return s.rng.Float64()*100 < percent }

func (s *sim) trace(format string, args ...any) {
	if s.Trace != nil {
		s.Trace("%10.4f "+format, append([]any{float64(s.now) / 1e9}, args...)...)
	}
}

func (s *sim) violated(format string, args ...any) {
	text := fmt.Sprintf("at %.4f s: ", float64(s.now)/1e9) + fmt.Sprintf(format, args...)
	s.trace("VIOLATION %s", text)
	s.result.Violations = append(s.result.Violations, text)
}

// healLength is how long a run goes on without faults. What nobody has any more
// is waited for half a minute.
const healLength = 45 * protocol.Second

// Run simulates until everything is checked, or something is violated.
func Run(o Options) Result {
	s := &sim{Options: o, rng: rand.New(rand.NewPCG(o.Seed, 0x65646765)), now: protocol.Second,
		links: map[[2]int]*link{}, registry: map[string]int{}, written: map[protocol.RecordID][]byte{},
		result: Result{Faults: map[string]int{}, Acked: map[string]int{}}}
	(o.Faults & standing &^ PeerCopies).Each(func(_ Faults, name string) { s.result.Faults[name]++ })
	for range o.Nodes {
		s.addNode()
	}
	for _, n := range s.nodes {
		s.after(s.upTo(protocol.Second), func() { s.boot(n) })
	}
	s.after(8*protocol.Second, s.work)
	s.after(10*protocol.Second, s.trouble)
	s.after(10*protocol.Second, s.audit)
	s.after(10*protocol.Second, s.operate)
	s.runUntil(o.Length)
	s.calmDown()
	s.runUntil(s.now + healLength)
	if len(s.result.Violations) == 0 {
		s.checkHealed()
	}
	return s.result
}

func (s *sim) runUntil(end protocol.Time) {
	for len(s.queue) > 0 && s.queue[0].at <= end && len(s.result.Violations) == 0 {
		next := heap.Pop(&s.queue).(scheduled)
		s.now = next.at
		s.result.Events++
		next.run()
	}
	s.now = max(s.now, end)
}

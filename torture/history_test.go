package torture

import (
	"fmt"
	"maps"
	"slices"

	"github.com/edgecache/edgecache/registry"
)

// An op is one call that changes a store, or several Appends at once. It is not
// changed once it was made.
type op struct {
	put     []*registry.Stored
	confirm []registry.Confirmed
	del     []registry.Key

	changes []change // appended, all at once; or received from a peer
	peer    bool

	marked []registry.Key // by mode and position below
	mode   registry.Mode
	at     uint64
	forget []registry.Selector // not raised above at

	truncated epoch  // this one's records below
	below     uint64 // go

	identity [2]string // registry and what it was set to
	reopened bool      // closed and opened again
}

type epoch struct{ origin, epoch uint64 }

// A change is an invalidation and what it came to. Its At is unique, so that a
// record in the journal tells which it is.
type change struct {
	inv     registry.Invalidation
	applied registry.Applied
}

// durable reports whether the return of the call says that it, and all before
// it, outlives a crash.
func (o *op) durable() bool { return len(o.changes) > 0 || o.reopened }

func (o *op) String() string {
	switch {
	case o.reopened:
		return "reopen"
	case len(o.changes) > 0:
		s := "append"
		for i := range o.changes {
			c := &o.changes[i]
			s += fmt.Sprintf(" %s@%d keys %v wide %+v", c.inv.Mode, c.applied.Position, c.applied.Keys, c.applied.Wide)
		}
		return s
	case len(o.marked) > 0:
		return fmt.Sprintf("mark %s@%d %v", o.mode, o.at, o.marked)
	case len(o.forget) > 0:
		return fmt.Sprintf("forget up to %d %+v", o.at, o.forget)
	case o.below > 0:
		return fmt.Sprintf("truncate %x below %d", o.truncated, o.below)
	case o.identity[0] != "":
		return fmt.Sprintf("identity %q", o.identity)
	}
	s := "write"
	for _, e := range o.put {
		s += fmt.Sprintf(" put %s began %d mode %s", e.Key, e.Began, e.Mode)
	}
	for i := range o.confirm {
		c := &o.confirm[i]
		s += fmt.Sprintf(" confirm %s index %d began %d mode %s", c.Key, c.Index, c.Began, c.Mode)
	}
	return s + fmt.Sprintf(" delete %v", o.del)
}

// raised are, by mode, the newest positions of a mark or generation.
type raised [registry.ModeHard + 1]uint64

func (r *raised) raise(m registry.Mode, position uint64) { r[m] = max(r[m], position) }

// over returns the strictest mode raised above began.
func (r *raised) over(began uint64) registry.Mode {
	for m := registry.ModeHard; m > registry.ModeNone; m-- {
		if r[m] > began {
			return m
		}
	}
	return registry.ModeNone
}

// A state is what a store holds after some ops.
type state struct {
	entries   map[registry.Key]*registry.Stored // as Get returns them, but for marks
	marks     map[registry.Key]raised
	wide      map[registry.Selector]raised
	forgotten map[registry.Selector]uint64 // up to here it may be gone
	journal   map[int64]*change            // by At
	truncated map[epoch]uint64             // below here records may be gone
	identity  map[string]string
}

func newState() *state {
	return &state{
		entries: map[registry.Key]*registry.Stored{}, marks: map[registry.Key]raised{},
		wide: map[registry.Selector]raised{}, forgotten: map[registry.Selector]uint64{},
		journal: map[int64]*change{}, truncated: map[epoch]uint64{}, identity: map[string]string{},
	}
}

// apply does what the op does; of several changes those that there reports.
func (s *state) apply(o *op, there func(*change) bool) {
	for _, e := range o.put {
		s.entries[e.Key] = e
	}
	for i := range o.confirm {
		s.confirm(&o.confirm[i])
	}
	for _, k := range o.del {
		delete(s.entries, k)
	}
	for i := range o.changes {
		if c := &o.changes[i]; there == nil || there(c) {
			s.journal[c.inv.At] = c
			s.raise(c)
		}
	}
	for _, k := range o.marked {
		m := s.marks[k]
		m.raise(o.mode, o.at)
		s.marks[k] = m
	}
	for _, w := range o.forget {
		s.forgotten[w] = max(s.forgotten[w], o.at)
	}
	if o.below > 0 {
		s.truncated[o.truncated] = max(s.truncated[o.truncated], o.below)
	}
	if o.identity[0] != "" {
		s.identity[o.identity[0]] = o.identity[1]
	}
}

func (s *state) raise(c *change) {
	for _, k := range c.applied.Keys {
		m := s.marks[k]
		m.raise(c.inv.Mode, c.applied.Position)
		s.marks[k] = m
	}
	for _, w := range c.applied.Wide {
		m := s.wide[w]
		m.raise(c.inv.Mode, c.applied.Position)
		s.wide[w] = m
	}
}

func (s *state) confirm(c *registry.Confirmed) {
	e := s.entries[c.Key]
	if e == nil || indexOf(e) != c.Index {
		return
	}
	n := *e
	n.Began, n.Verified, n.Empties, n.Mode, n.Used, n.Expires = c.Began, c.Verified, c.Empties, c.Mode, c.Used, c.Expires
	s.entries[c.Key] = &n
}

// indexOf returns what a confirmation of an entry carries.
func indexOf(e *registry.Stored) uint64 {
	if e.Record == nil {
		return 0
	}
	return e.Record.Index
}

// mode returns the mode that Get must return for what is held of a key.
func (s *state) mode(k registry.Key) registry.Mode {
	e, m := s.entries[k], s.marks[k]
	return max(e.Mode, m.over(e.Began))
}

// A history is what a test did to a store, in order.
type history struct {
	ops     []*op
	durable int // so many of ops are on disk, come what may
}

// after returns the state once n ops were done.
func (h history) after(n int) *state {
	s := newState()
	for _, o := range h.ops[:n] {
		s.apply(o, nil)
	}
	return s
}

// match looks for a state that the history may have led to, given that the
// store was cut off: what came before some op, all of it. It returns the
// history up to there, or says how what was seen differs from what had to
// outlive the crash.
func (h history) match(seen *observed) (history, string) {
	s := h.after(h.durable)
	first := ""
	for n := h.durable; ; n++ {
		diff := seen.differs(s)
		if diff == "" {
			return history{ops: slices.Clone(h.ops[:n]), durable: n}, ""
		}
		if n == h.durable {
			first = diff
		}
		if n == len(h.ops) {
			break
		}
		if o := h.ops[n]; n == len(h.ops)-1 && len(o.changes) > 1 {
			if part := o.part(seen); part != nil {
				some := s.clone()
				some.apply(part, nil)
				if seen.differs(some) == "" {
					return history{ops: append(slices.Clone(h.ops[:n]), part), durable: n + 1}, ""
				}
			}
		}
		s.apply(h.ops[n], nil)
	}
	return history{}, fmt.Sprintf("after the %d ops that were durable of %d: %s", h.durable, len(h.ops), first)
}

// part returns those of several changes that the journal has; nil if it has
// none or all.
func (o *op) part(seen *observed) *op {
	p := &op{}
	for i := range o.changes {
		if seen.journal[o.changes[i].inv.At] != nil {
			p.changes = append(p.changes, o.changes[i])
		}
	}
	if len(p.changes) == 0 || len(p.changes) == len(o.changes) {
		return nil
	}
	return p
}

func (s *state) clone() *state {
	return &state{maps.Clone(s.entries), maps.Clone(s.marks), maps.Clone(s.wide), maps.Clone(s.forgotten),
		maps.Clone(s.journal), maps.Clone(s.truncated), maps.Clone(s.identity)}
}

// tail describes the last ops.
func (h history) tail(n int) string {
	s := ""
	for i := max(0, len(h.ops)-n); i < len(h.ops); i++ {
		s += fmt.Sprintf("\n  %d: %s", i, h.ops[i])
	}
	return s
}

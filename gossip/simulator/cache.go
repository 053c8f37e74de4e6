package simulator

import "github.com/edgecache/edgecache/gossip/protocol"

// A cache is the part of a node's cache that the protocol is for.
type cache struct {
	position uint64
	entries  map[string]entry
	keys     map[string]uint64 // position of the newest invalidation
	all      uint64            // likewise of everything
	history  []application
	gone     map[protocol.EpochID]uint64 // applied up to here before history began
	applied  *applied
}

// An entry is what a fetch brought that began at a position.
type entry struct {
	version int
	old     bool // the registry answered as it was before its last change
	began   uint64

	applied *applied // by whom it was fetched, and at which position of his
	fetched uint64
}

// An application is a record that was applied at a position.
type application struct {
	position uint64
	id       protocol.RecordID
}

// applied is what a process applied, for the checks alone: at which positions.
type applied struct {
	at      map[protocol.RecordID]uint64
	raised  map[protocol.EpochID][]raised
	instead map[protocol.RecordID]uint64 // not applied, but all fetched from then on is newer
}

// raised says that everything was raised for an epoch's records up to one.
type raised struct{ upto, position uint64 }

func (a *applied) note(id protocol.RecordID, position uint64) {
	if _, ok := a.at[id]; !ok {
		a.at[id] = position
	}
}

// start notes what was on disk before the process began.
func (a *applied) start(d *disk) {
	for id, k := range d.epochs {
		a.raised[id] = append(a.raised[id], raised{k.start - 1, 0})
		for seq := range k.records {
			a.note(protocol.RecordID{EpochID: id, Seq: seq}, 0)
		}
	}
}

// had reports whether a record, or something in its place, was applied by a
// position.
func (a *applied) had(id protocol.RecordID, position uint64) bool {
	if at, ok := a.instead[id]; ok && at <= position {
		return true
	}
	return a.really(id, position)
}

// really is had without what is only newer.
func (a *applied) really(id protocol.RecordID, position uint64) bool {
	if at, ok := a.at[id]; ok && at <= position {
		return true
	}
	for _, r := range a.raised[id.EpochID] {
		if id.Seq <= r.upto && r.position <= position {
			return true
		}
	}
	return false
}

func newCache() cache {
	return cache{position: 1, entries: map[string]entry{}, keys: map[string]uint64{}, gone: map[protocol.EpochID]uint64{},
		applied: &applied{at: map[protocol.RecordID]uint64{}, raised: map[protocol.EpochID][]raised{}, instead: map[protocol.RecordID]uint64{}}}
}

// before notes what a new core begins with.
func (c *cache) before(d *disk) {
	for id, k := range d.epochs {
		c.gone[id] = max(c.gone[id], k.start-1)
		for seq := range k.records {
			c.gone[id] = max(c.gone[id], seq)
		}
	}
}

// hint applies an invalidation, which may come again.
func (c *cache) hint(r protocol.Record) {
	c.position++
	c.keys[nameOf(r)] = c.position
	c.history = append(c.history, application{c.position, r.ID})
}

func (c *cache) raiseAll(adopt []protocol.Adoption) {
	c.position++
	c.all = c.position
	for _, a := range adopt {
		c.gone[a.EpochID] = max(c.gone[a.EpochID], a.Upto)
		c.applied.raised[a.EpochID] = append(c.applied.raised[a.EpochID], raised{a.Upto, c.position})
	}
}

// fresh reports whether what was fetched from a position on may be served as
// fresh.
func (c *cache) fresh(name string, began uint64) bool {
	return began >= c.keys[name] && began >= c.all
}

// read looks a name up on a node, at a peer or in the registry if need be, and
// checks the answer.
func (s *sim) read(n *node, name string) {
	began := s.now
	e, ok := n.cache.entries[name]
	if ok && (n.cache.fresh(name, e.began) || s.Break == BreakIgnoreGeneration && s.chance(20)) {
		s.check(n, name, e, began)
		return
	}
	if s.Faults&PeerCopies == 0 || !s.chance(60) || !s.ask(n, name, began) {
		s.fetch(n, name, began)
	}
}

// fetch asks the registry.
func (s *sim) fetch(n *node, name string, began protocol.Time) {
	process, position := n.process, n.cache.position
	s.after(s.upTo(20*protocol.Millisecond), func() {
		e := entry{version: s.registry[name], applied: n.cache.applied, fetched: position}
		if s.now < s.oldUntil && e.version > 0 && s.chance(50) {
			e.version, e.old = e.version-1, true
			s.result.Faults["answered old"]++
		}
		s.after(s.upTo(20*protocol.Millisecond), func() {
			if !n.up || n.paused || n.process != process {
				return
			}
			if s.Break == BreakApplyAfterInsert {
				position = n.cache.position
			}
			if n.cache.fresh(name, position) {
				e.began = position
				n.cache.entries[name] = e
				s.check(n, name, e, began)
			}
		})
	})
}

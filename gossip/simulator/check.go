package simulator

import (
	"fmt"
	"slices"

	"github.com/edgecache/edgecache/gossip/protocol"
)

// An ack is an invalidation and what became of it.
type ack struct {
	id      protocol.RecordID
	name    string
	version int            // of the registry when it was asked for
	level   protocol.Level // 0: local
	at      protocol.Time  // when it was acknowledged; 0: not yet
	origin  *node
	disk    *disk // of its origin
}

const names = 12

// work has clients change, invalidate and read.
func (s *sim) work() {
	if s.calm {
		return
	}
	s.after(s.upTo(20*protocol.Millisecond), s.work)
	n := s.nodes[s.rng.IntN(len(s.nodes))]
	if !n.up || n.paused {
		return
	}
	name := fmt.Sprintf("service-%d", s.rng.IntN(names))
	if s.chance(75) {
		s.read(n, name)
		return
	}
	s.registry[name]++
	s.invalidate(n, name, protocol.Level(s.rng.IntN(3)))
}

func (s *sim) invalidate(n *node, name string, level protocol.Level) {
	if n.dead {
		level = protocol.LevelQuorum
	}
	a := &ack{name: name, version: s.registry[name], level: level, origin: n, disk: n.disk}
	r := &protocol.Record{Raw: invalidation(name, s.chance(20))}
	n.issue(r, func() {
		a.id = r.ID
		if level == 0 {
			s.acknowledged(a)
			return
		}
		s.tokens++
		token := s.tokens
		n.confirms[token] = a
		n.step(protocol.Await{Token: token, ID: a.id, Level: level})
		if token%3 == 0 {
			s.after(protocol.Time(token%5)*protocol.Second, func() { n.giveUp(token) })
		}
	})
	a.id = r.ID
	s.acks = append(s.acks, a)
}

func (s *sim) acknowledged(a *ack) {
	a.at = s.now
	s.result.Acked[[]string{"local", "quorum", "all"}[a.level]]++
}

// giveUp has a client give up.
func (n *node) giveUp(token uint64) {
	if a := n.confirms[token]; a == nil || a.at != 0 || !n.up || n.paused {
		return
	}
	delete(n.confirms, token)
	n.gaveUp[token] = true
	n.step(protocol.Unawait{Tokens: []uint64{token}})
}

// reached is told who confirmed: all of them must have it on disk.
func (n *node) reached(e protocol.Reached) {
	s := n.s
	if n.gaveUp[e.Token] {
		s.violated("%s answers one who gave up, with %v", n.name, e.Confirmed)
	}
	a := n.confirms[e.Token]
	if a == nil || a.at != 0 {
		return
	}
	if len(e.Pending) > 0 && a.level == protocol.LevelAll {
		s.violated("%s calls %s confirmed by all, with %v pending", n.name, a.id, e.Pending)
	}
	for _, o := range s.nodes {
		if slices.Contains(e.Confirmed, o.disk.id) && !o.gone && s.Break == BreakNothing && s.Faults&(Copies|Restores|FreshDirs) == 0 && !o.onDisk(a.id) {
			s.violated("%s says that %s confirmed %s, but it is not on its disk", n.name, o.name, a.id)
		}
	}
	if s.doubtful(e.Confirmed) {
		return
	}
	s.trace("%s: %s has %v, fenced %v, pending %v", n.name, a.id, e.Confirmed, e.Fenced, e.Pending)
	s.acknowledged(a)
}

// doubtful reports whether two disks have the id of one that confirmed: which
// of them it was, nobody can tell until one is refused.
func (s *sim) doubtful(confirmed []protocol.NodeID) bool {
	seen := map[protocol.NodeID]bool{}
	for _, n := range s.nodes {
		if !n.gone && slices.Contains(confirmed, n.disk.id) {
			if seen[n.disk.id] {
				return true
			}
			seen[n.disk.id] = true
		}
	}
	return false
}

func (n *node) onDisk(id protocol.RecordID) bool {
	k := n.disk.epochs[id.EpochID]
	if k == nil {
		return false
	}
	_, ok := k.records[id.Seq]
	return ok || id.Seq < k.start
}

// bound is after how long a synced node has what a majority confirmed.
const bound = 4100 * protocol.Millisecond // of clocks that differ by one in a hundred

// trusted reports whether a node says that it is synced and must be right. Of
// two on copies of one disk, nobody can tell whose confirmation it was, until
// one of them is refused.
func (s *sim) trusted(n *node) bool {
	for _, o := range s.nodes {
		if o != n && o.up && o.disk.id == n.disk.id {
			n.twin, o.twin = s.now, s.now
		}
	}
	return n.synced > n.clock() && (n.twin == 0 || s.now-n.twin > 5*protocol.Second)
}

// check holds a fresh answer, to a read that began at a time, against what was
// acknowledged by then.
func (s *sim) check(n *node, name string, e entry, began protocol.Time) {
	trusted := s.trusted(n)
	if trusted {
		s.result.Reads++
	}
	for _, a := range s.acks {
		if a.name != name {
			continue
		}
		older := !e.applied.had(a.id, e.fetched)
		if older && n.cache.applied.really(a.id, n.cache.position) {
			s.violated("%s has applied %s and answers %s, which was fetched without", n.name, a.id, name)
			return
		}
		due := a.at != 0 && (a.level == protocol.LevelAll && a.at < began || a.level == protocol.LevelQuorum && a.at+bound < began)
		if !due || !trusted {
			continue
		}
		if older || a.version > e.version && !e.old {
			s.violated("%s, synced, answers %s of version %d; version %d was acknowledged by %s at %.4f s, level %d",
				n.name, name, e.version, a.version, a.id, float64(a.at)/1e9, a.level)
			return
		}
	}
}

// checkRaise checks that everything is raised hard in place of a hard record.
func (n *node) checkRaise(e protocol.Raise) {
	if e.Mode == protocol.ModeHard || n.s.Break != BreakNothing {
		return
	}
	for _, a := range e.Adopt {
		for seq := n.disk.epochOf(a.EpochID).start; seq <= a.Upto; seq++ {
			id := protocol.RecordID{EpochID: a.EpochID, Seq: seq}
			if raw := n.s.written[id]; raw != nil && isHard(protocol.Record{ID: id, Raw: raw}) && !n.has(id) {
				n.s.violated("%s lacks %s, which is hard, and does not raise everything hard", n.name, id)
				return
			}
		}
	}
}

// audit checks now and then that synced nodes have what they must.
func (s *sim) audit() {
	if s.calm {
		return
	}
	s.after(50*protocol.Millisecond, s.audit)
	s.acks = slices.DeleteFunc(s.acks, func(a *ack) bool {
		return a.at != 0 && s.now-a.at > 60*protocol.Second && s.everyoneHas(a)
	})
	for _, n := range s.nodes {
		if !n.up || !s.trusted(n) || n.paused {
			continue
		}
		for _, a := range s.acks {
			must := a.level == protocol.LevelAll || a.level == protocol.LevelQuorum && a.at+bound < s.now
			if a.at != 0 && a.at < s.now && must && !n.has(a.id) {
				s.violated("%s is synced without %s, acknowledged at %.4f s, level %d", n.name, a.id, float64(a.at)/1e9, a.level)
				return
			}
		}
	}
}

func (s *sim) everyoneHas(a *ack) bool {
	for _, n := range s.nodes {
		if !n.gone && (!n.up || !n.has(a.id)) {
			return false
		}
	}
	return true
}

// checkHealed checks that in the end all are synced and nothing is lost.
func (s *sim) checkHealed() {
	s.checkBytes()
	for _, n := range s.nodes {
		if n.gone {
			continue
		}
		if !n.up || n.synced <= n.clock() {
			s.violated("%s is not synced long after the last fault (up %t)", n.name, n.up)
			return
		}
		for _, a := range s.acks {
			lost := a.level == 0 && a.origin.disk != a.disk || a.origin.gone && a.level == 0
			if a.at != 0 && !lost && !n.has(a.id) {
				s.violated("%s never got %s, acknowledged at %.4f s, level %d", n.name, a.id, float64(a.at)/1e9, a.level)
				return
			}
			e, held := n.cache.entries[a.name]
			if a.at != 0 && !lost && held && n.cache.fresh(a.name, e.began) && !e.applied.had(a.id, e.fetched) {
				s.violated("%s holds %s as fresh, which was fetched without %s, acknowledged at %.4f s", n.name, a.name, a.id, float64(a.at)/1e9)
				return
			}
		}
	}
}

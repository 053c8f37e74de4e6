package protocol

import (
	"cmp"
	"slices"
)

// An epoch is what the node knows of one epoch's records.
type epoch struct {
	EpochID
	start, hard uint64 // of this node's journal, as in Mark
	newest      uint64 // of have, as in Mark
	logged      Ranges // on disk here, or everything was raised in their place
	have        Ranges // logged, or applied
	excused     Ranges // nobody shows them: everything was raised for them
	most        uint64 // the greatest sequence that anybody showed
	marks       []mark // when it was which
	pulling     pull
	open        bool // it has holes

	change       uint64 // of all changes, the number of its last one
	older, newer *epoch // changed last before and after it
	shown        *Mark  // as it is since then; nil: not made yet
}

// A mark says since when sequences up to one are known to exist.
type mark struct {
	seq  uint64
	time Time
}

// A pull is the last request for an epoch's records.
type pull struct {
	conn  Conn // 0: none under way
	time  Time
	tries int
}

const (
	markEvery = 100 * Millisecond
	mostMarks = 32
)

func (c *Core) epoch(id EpochID) *epoch {
	e := c.epochs[id]
	if e == nil {
		e = &epoch{EpochID: id, start: 1}
		c.epochs[id] = e
	}
	return e
}

// know notes that sequences up to seq exist.
func (e *epoch) know(seq uint64, now Time) {
	if seq <= e.most {
		return
	}
	e.most = seq
	if n := len(e.marks); n > 0 && (now-e.marks[n-1].time < markEvery || n == mostMarks) {
		e.marks[n-1].seq = seq // dated too early: a hole counts as older than it is
		return
	}
	e.marks = append(e.marks, mark{seq, now})
}

// add notes that the node has a record.
func (e *epoch) add(r Record) {
	e.have.Add(r.ID.Seq, r.ID.Seq)
	if r.ID.Seq > e.newest && r.mayBeHard() {
		e.newest = r.ID.Seq
	}
}

// found notes that somebody has logged records, perhaps such as were given up.
func (c *Core) found(e *epoch, logged Ranges) {
	if len(e.excused) == 0 {
		return
	}
	left := e.excused.Minus(logged)
	if slices.Equal(left, e.excused) {
		return
	}
	e.excused = left
	c.lackAgain(e)
	if len(e.marks) == 0 {
		e.marks = append(e.marks, mark{e.most, c.now})
	}
}

// since returns since when a sequence is known to exist, or longer.
func (e *epoch) since(seq uint64) Time {
	for _, m := range e.marks {
		if m.seq >= seq {
			return m.time
		}
	}
	return 0
}

// hole returns the first sequences that are missing.
func (e *epoch) hole() (Range, bool) {
	r := e.have.Missing(e.excused, e.most)
	return r, r.From <= r.To
}

// look notes whether the epoch has holes, and lets go of marks that no hole
// needs.
func (c *Core) look(e *epoch) {
	hole, ok := e.hole()
	c.reckon = c.reckon || ok || e.open
	if !ok {
		e.marks = e.marks[:0]
		if e.open {
			e.open = false
			delete(c.open, e.EpochID)
		}
		return
	}
	for len(e.marks) > 0 && e.marks[0].seq < hole.From {
		e.marks = e.marks[1:]
	}
	if !e.open {
		e.open = true
		c.open[e.EpochID] = e
	}
}

// changed notes that peers are to be shown the epoch again.
func (c *Core) changed(e *epoch) {
	number := c.changes() + 1
	if e != c.newest {
		if e.older != nil {
			e.older.newer = e.newer
		}
		if e.newer != nil {
			e.newer.older = e.older
		}
		if e.older, e.newer = c.newest, nil; c.newest != nil {
			c.newest.newer = e
		}
		c.newest = e
	}
	e.change, e.shown = number, nil
	if e == c.own {
		c.countSelf()
	}
}

// changes returns how many changes there were.
func (c *Core) changes() uint64 {
	if c.newest == nil {
		return 0
	}
	return c.newest.change
}

// mark returns what the node has of the epoch, for whoever asks until that
// changes: peers are shown the same.
func (e *epoch) mark() Mark {
	if e.shown == nil {
		e.shown = &Mark{EpochID: e.EpochID, Start: e.start, Hard: e.hard, Logged: e.logged.Clone(), Newest: min(e.newest, e.logged.Max())}
	}
	return *e.shown
}

// marks returns the marks, by epoch, of what changed after a change.
func (c *Core) marks(after uint64) []Mark {
	var list []Mark
	for e := c.newest; e != nil && e.change > after; e = e.older {
		list = append(list, e.mark())
	}
	slices.SortFunc(list, func(a, b Mark) int { return a.compare(b.EpochID) })
	return list
}

// learn notes that a record exists: it is a hole until it comes.
func (c *Core) learn(id RecordID) {
	if c.leave.frozen() || id.Seq == 0 || id.EpochID == c.own.EpochID {
		return
	}
	e := c.epoch(id.EpochID)
	e.know(id.Seq, c.now)
	c.look(e)
}

// take applies records that are new, and returns them.
func (c *Core) take(records []Record) (fresh []Record) {
	if c.leave.frozen() {
		return nil
	}
	for _, r := range records {
		if r.ID.Seq == 0 {
			continue
		}
		if r.ID.EpochID == c.own.EpochID {
			if r.ID.Seq > c.issued {
				c.renew(false, ReasonRestored) // a machine that was copied, or set back
				return nil
			}
			continue
		}
		e := c.epoch(r.ID.EpochID)
		e.know(r.ID.Seq, c.now)
		if !e.have.Contains(r.ID.Seq) {
			e.add(r)
			c.found(e, Ranges{{r.ID.Seq, r.ID.Seq}})
			fresh = append(fresh, r)
		}
		c.look(e)
	}
	if len(fresh) == 0 {
		return nil
	}
	for _, r := range fresh {
		if r.Change != nil {
			c.unite(*r.Change)
			if m := *r.Change; m.Out && m.ID == r.ID.Origin && m.Entry == c.members[m.ID].Entry {
				c.endParting(m.ID)
			}
		}
	}
	fresh = inSequence(fresh)
	c.do(Log{Records: fresh, Members: c.unsaved()})
	c.advance()
	return fresh
}

// inSequence returns records in order: journals are written faster in that.
func inSequence(list []Record) []Record {
	byID := func(a, b Record) int { return cmp.Or(a.ID.compare(b.ID.EpochID), cmp.Compare(a.ID.Seq, b.ID.Seq)) }
	if slices.IsSortedFunc(list, byID) {
		return list
	}
	list = slices.Clone(list)
	slices.SortFunc(list, byID)
	return list
}

// issue sends records of this node.
func (c *Core) issue(e Issued) {
	e.Records = inSequence(e.Records)
	for _, r := range e.Records {
		if r.ID.EpochID != c.own.EpochID {
			c.do(Gossip{r}) // of an epoch that ended while it was written
			continue
		}
		c.issued = max(c.issued, r.ID.Seq)
		c.own.know(r.ID.Seq, c.now)
		c.own.add(r)
		if e.Durable {
			c.own.logged.Add(r.ID.Seq, r.ID.Seq)
		}
		c.look(c.own)
		if r.Change != nil {
			c.issuedChange(r)
		}
	}
	c.changed(c.own)
	c.noteSent()
	c.spread(e.Records)
	for _, r := range e.Records {
		c.do(Gossip{r})
	}
}

// log notes what reached the disk, and shows it to those who wait for it.
func (c *Core) log(ids []RecordID) {
	var waiting []*peer
	for _, id := range ids {
		e := c.epoch(id.EpochID)
		e.logged.Add(id.Seq, id.Seq)
		if e == c.own { // it was issued when it was not yet known to be on disk
			if c.issued < id.Seq {
				c.issued, e.newest = id.Seq, max(e.newest, id.Seq) // what it says is not known
			}
			e.know(id.Seq, c.now)
			e.have.Add(id.Seq, id.Seq)
			c.look(e)
		}
		c.changed(e)
		if p := c.streams[id.Origin]; p != nil && !slices.Contains(waiting, p) {
			waiting = append(waiting, p)
		}
	}
	c.admitAll()
	for _, p := range waiting {
		c.show(p, false)
	}
}

package protocol

import "slices"

// An epoch is what the node knows of one epoch's records.
type epoch struct {
	EpochID
	start, hard uint64 // of this node's journal, as in Mark
	logged      Ranges // on disk here, or everything was raised in their place
	have        Ranges // logged, or applied
	excused     Ranges // nobody shows them: everything was raised for them
	most        uint64 // the greatest sequence that anybody showed
	marks       []mark // when it was which
	pulling     pull
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

// found notes that somebody has logged records, perhaps such as were given up.
func (e *epoch) found(logged Ranges, now Time) {
	if len(e.excused) == 0 {
		return
	}
	left := e.excused.Minus(logged)
	if slices.Equal(left, e.excused) {
		return
	}
	e.excused = left
	if len(e.marks) == 0 {
		e.marks = append(e.marks, mark{e.most, now})
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
	if !ok {
		e.marks = e.marks[:0]
		delete(c.open, e.EpochID)
		return
	}
	for len(e.marks) > 0 && e.marks[0].seq < hole.From {
		e.marks = e.marks[1:]
	}
	c.open[e.EpochID] = e
}

// changed notes that peers are to be shown the epoch again.
func (c *Core) changed(e *epoch) {
	for _, p := range c.conns {
		if p.told {
			p.dirty[e.EpochID] = true
		}
	}
	c.recheck = c.recheck || e == c.own
}

func (e *epoch) mark() Mark {
	return Mark{EpochID: e.EpochID, Start: e.start, Hard: e.hard, Logged: e.logged.Clone()}
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
			e.have.Add(r.ID.Seq, r.ID.Seq)
			e.found(Ranges{{r.ID.Seq, r.ID.Seq}}, c.now)
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
		}
	}
	c.do(Log{Records: fresh, Members: c.unsaved()})
	c.advance()
	return fresh
}

// issue sends records of this node.
func (c *Core) issue(e Issued) {
	for _, r := range e.Records {
		if r.ID.EpochID != c.own.EpochID {
			c.do(Gossip{r}) // of an epoch that ended while it was written
			continue
		}
		c.issued = max(c.issued, r.ID.Seq)
		c.own.know(r.ID.Seq, c.now)
		c.own.have.Add(r.ID.Seq, r.ID.Seq)
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
	waiting := map[NodeID]bool{}
	for _, id := range ids {
		e := c.epoch(id.EpochID)
		e.logged.Add(id.Seq, id.Seq)
		if e == c.own { // it was issued when it was not yet known to be on disk
			c.issued = max(c.issued, id.Seq)
			e.know(id.Seq, c.now)
			e.have.Add(id.Seq, id.Seq)
			c.look(e)
		}
		c.changed(e)
		waiting[id.Origin] = true
	}
	c.admitAll()
	for _, p := range c.inOrder() {
		if p.accepted && waiting[p.hello.Node] {
			c.show(p, false)
		}
	}
}

package protocol

import (
	"cmp"
	"slices"
)

// Spans of the protocol. The guarantees rest on reachWindow and fenceAfter.
const (
	beaconEvery = Second
	askAlong    = beaconEvery / 2    // then an answer is a beacon too, and saves the next one
	walkEach    = Millisecond / 20   // for each stream, from one look at all to the next
	silentAfter = 2500 * Millisecond // a stream on which nothing came is closed
	heardWithin = 3 * Second

	// A node is synced for so long after it asked those whom it reached, by its
	// own clock; the origin of a record waits longer, by its own. Between lies
	// what two clocks may differ in that time.
	reachWindow = 3800 * Millisecond
	fenceAfter  = 4 * Second

	pullAfter   = 50 * Millisecond  // a hole is asked for
	pullAgain   = 500 * Millisecond // of somebody else
	pullMost    = 4096              // records at once
	holeAllowed = Second            // then the node is unsynced
	goneAfter   = Second            // everything is raised for what was truncated
	lostAfter   = 30 * Second       // likewise for what nobody has

	truncateEvery = 10 * Second
	truncateLeast = 1024 // records

	gatherFor = Second // nodes that know of no cluster look for each other
	leaveFor  = 5 * Second
)

// A Config says who a node is and what its disk kept.
type Config struct {
	Self    Hello
	Join    bool     // there are addresses to ask for a cluster
	Alone   Time     // with Join, begin alone after this
	Raise   Time     // everything is raised at most once in this time; 0: a second
	Marks   []Mark   // of its journal
	Members []Member // as last saved

	// Applied is what cores before this one applied in the same process, and Marks
	// lack. See Unlogged.
	Applied map[EpochID]Ranges
}

// A Core is the protocol of one node. It is not safe for concurrent use.
type Core struct {
	config Config
	start  Time
	now    Time
	out    []Effect

	own    *epoch
	issued uint64 // the last sequence of own
	epochs map[EpochID]*epoch
	open   map[EpochID]*epoch // that have holes
	newest *epoch             // the one that changed last, see changed

	members  map[NodeID]Member
	partings partings // of some who are out
	version  uint64   // of members
	saved    uint64
	roll     roll

	conns   map[Conn]*peer
	order   []*peer          // conns by number, replaced when one comes or goes: maps have no order, and runs must repeat
	streams map[NodeID]*peer // the one in use with each node
	known   map[NodeID]*known
	beacon  uint64

	entry    entry
	searched bool // all who could know of a cluster are connected
	leave    leave
	synced   Time
	begun    bool // synced was told
	reckon   bool // it may end earlier than that
	reach    reach

	waits       []wait // by token
	left        int    // of them are waited for by nobody
	timed       bool   // one may be answered though the tally has not risen
	tally       tally
	sent        []mark // see noteSent
	recheck     bool   // who waits may be answered
	raisedAt    Time
	raised      bool // raisedAt is set
	truncatedAt Time
	walked      Time // see walk
	renewed     bool // this core has ended
}

// New returns the core of a node that starts now.
func New(now Time, config Config) *Core {
	c := &Core{config: config, start: now, now: now, truncatedAt: now,
		epochs: map[EpochID]*epoch{}, open: map[EpochID]*epoch{}, members: map[NodeID]Member{}, partings: partings{of: map[NodeID]*parting{}},
		conns: map[Conn]*peer{}, streams: map[NodeID]*peer{}, known: map[NodeID]*known{},
		reach: reach{pursuing: map[*known]bool{}}}
	for _, m := range config.Marks {
		e := c.epoch(m.EpochID)
		e.start, e.hard, e.newest = m.Start, m.Hard, m.Newest
		e.logged, e.have = m.Logged.Clone(), m.Logged.Clone()
		e.know(m.Logged.Max(), now)
		c.look(e)
		c.changed(e)
	}
	c.own = c.epoch(EpochID{config.Self.Node, config.Self.Epoch})
	if c.config.Raise == 0 {
		c.config.Raise = Second
	}
	c.issued = c.own.logged.Max()
	for _, m := range config.Members {
		if c.members[m.ID] = m; m.Out && m.ID != config.Self.Node {
			c.part(m.ID, false) // who knows how long ago that was
		}
	}
	me := c.members[config.Self.Node]
	c.entry.done = me.In && !me.Out
	return c
}

// Step tells the core of an event and returns what is to be done. Of two calls
// the later has no earlier time.
func (c *Core) Step(now Time, e Event) []Effect {
	if c.renewed {
		return nil
	}
	c.now, c.out = max(now, c.now), nil
	switch e := e.(type) {
	case Tick:
		c.tick()
	case Connected:
		c.connect(e)
	case Disconnected:
		c.disconnect(e.Conn)
	case Overflowed:
		if p := c.conns[e.Conn]; p != nil {
			p.forgetTold()
		}
	case Received:
		if p := c.conns[e.Conn]; p != nil {
			c.receive(p, e.Frame)
		}
	case Shown:
		c.learn(e.ID)
	case Issued:
		c.issue(e)
	case Logged:
		c.log(e.Records)
	case Raised:
		c.adopted(e.Adopted)
	case Truncated:
		if t := c.epoch(e.EpochID); e.Start > t.start {
			t.start, t.hard = e.Start, max(t.hard, e.Hard)
			c.changed(t)
		}
	case Await:
		c.await(wait{token: e.Token, id: e.ID, level: e.Level})
	case Unawait:
		c.unawait(e.Tokens)
	case Searched:
		c.searched = e.All
	case Show:
		if p := c.conns[e.Conn]; p != nil && p.accepted && (!p.told || c.changes() > p.toldChanges) {
			c.show(p, false)
		}
	case Forget:
		c.forget(e.Node)
	case Leave:
		c.beginLeave()
	}
	c.settle()
	return c.out
}

func (c *Core) do(e Effect) { c.out = append(c.out, e) }

// tick does what is due.
func (c *Core) tick() {
	if c.now-c.walked >= walkEach*Time(len(c.order)) {
		c.walk()
	}
	c.fillHoles()
	c.truncate()
	c.endPartings()
	c.recheck = c.recheck || c.timed
}

// walk does what is due of each stream.
func (c *Core) walk() {
	c.walked = c.now
	for _, p := range c.order {
		switch {
		case c.now-p.received > silentAfter:
			c.close(p, ReasonSilent)
		case p.rival != nil && c.now-p.challenged > Second:
			c.replace(p)
		case p.accepted && c.now-p.asked >= beaconEvery:
			c.show(p, true)
		}
	}
	c.reckon = c.reckon || c.reach.risen
}

// settle follows up what changed.
func (c *Core) settle() {
	if c.renewed {
		return
	}
	c.enter()
	c.goOnLeaving()
	c.confirm()
	if c.saved != c.version {
		c.saved = c.version
		c.do(Save{c.listed()})
	}
	c.tellSynced()
}

// openEpochs returns the epochs with holes, in order.
func (c *Core) openEpochs() []*epoch {
	list := make([]*epoch, 0, len(c.open))
	for _, e := range c.open {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b *epoch) int { return a.compare(b.EpochID) })
	return list
}

func (e EpochID) compare(o EpochID) int {
	return cmp.Or(cmp.Compare(e.Origin, o.Origin), cmp.Compare(e.Epoch, o.Epoch))
}

// renew ends this core.
func (c *Core) renew(identity bool, why Reason) {
	c.renewed = true
	c.out = append(c.out, Synced{0}, Renew{Identity: identity, Reason: why})
}

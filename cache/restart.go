package cache

import (
	"errors"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// loadPatience is how long the first load waits for what is loaded from disk.
const loadPatience = 30 * time.Second

// loadFill is the part of the memory budget that is filled from disk.
const loadFill = 0.95

// begin starts what reads and writes the store. Invalidations from before the
// restart are known by now.
func (d *disk) begin() {
	d.recognise()
	d.c.order.Lock()
	d.open = true
	d.done = make(chan struct{})
	go d.write()
	d.spawn(d.load)
	d.spawn(d.purge)
	d.c.sweepIfFull()
	d.c.order.Unlock()
	d.wakeWriter()
}

// load brings what was kept before the restart into memory, as far as it is
// configured and there is room.
func (d *disk) load() {
	defer close(d.loaded)
	for _, u := range d.c.ups.Load().all {
		if u.merges() || d.store.Directory() == 0 {
			continue
		}
		l := &diskLoad{d: d, u: u, idle: d.reading().wall - u.policy.Idle.Milliseconds()}
		err := l.names()
		if err == nil && (u.WarmAll || u.WarmWatched) {
			err = d.pages(u.Name, l.begin, l.add)
		}
		l.end()
		if err != nil && !errors.Is(err, errNoRoom) && d.c.ctx.Err() == nil {
			d.warn("entries not loaded from disk", err)
		}
	}
}

// A diskLoad loads the entries of one registry.
type diskLoad struct {
	d    *disk
	u    *upstream
	idle int64 // Unix ms: what was used since was in use before the restart
	all  bool  // in use or not

	loaded bool // something was
	// Of the page that is read.
	began     uint64 // as of a promotion
	directory uint32
}

// errNoRoom ends a load: what memory has no room for is read when it is asked
// for.
var errNoRoom = errors.New("no room in memory")

// names loads the names that are configured.
func (l *diskLoad) names() error {
	l.all = true
	for _, name := range l.u.Warm {
		l.begin()
		s, err := l.d.store.Get(registry.Key{Registry: l.u.Name, Name: name})
		if err != nil {
			return err
		}
		if s != nil {
			if err := l.add([]*registry.Stored{s}); err != nil {
				return err
			}
		}
	}
	l.all = l.u.WarmAll
	return l.d.c.ctx.Err()
}

// begin is called before a page is read.
func (l *diskLoad) begin() {
	l.d.c.order.Lock()
	defer l.d.c.order.Unlock()
	l.d.passed = map[registry.Key]struct{}{}
	l.began = l.d.marks.below(l.d.c.gens.position)
	l.directory = l.d.store.Directory()
}

func (l *diskLoad) end() {
	l.d.c.order.Lock()
	l.d.passed = nil
	l.d.c.order.Unlock()
	if l.loaded && !l.u.can.List {
		l.d.c.seen(l.u)
	}
}

// add puts a page into memory.
func (l *diskLoad) add(page []*registry.Stored) error {
	c := l.d.c
	records := c.mem.records
	if float64(records.WeightedSize()) >= loadFill*float64(records.GetMaximum()) {
		return errNoRoom
	}
	var followed []registry.Key
	c.order.Lock()
	for _, s := range page {
		if e := l.addOne(s); e != nil && c.subs.follows(e.key) {
			followed = append(followed, e.key)
		}
	}
	c.order.Unlock()
	for _, k := range followed {
		c.schedule(l.u, k)
		c.subs.notify(k)
	}
	return nil
}

// addOne puts one entry into memory, unless it is not wanted there. The order
// lock is held.
func (l *diskLoad) addOne(s *registry.Stored) *entry {
	c, d := l.d.c, l.d
	inUse := l.u.WarmWatched && s.Used >= l.idle
	key := registry.Key{Registry: l.u.Name, Name: s.Name}
	if _, passed := d.passed[key]; passed || !l.all && !inUse || !l.u.covers("", s.Name) || s.Expires <= d.store.Now() {
		return nil
	}
	held := c.mem.peek(key)
	if held != nil && held.known() || d.find(key) != nil || c.retired(l.u) {
		return nil
	}
	mode, useless := c.judgeStored(l.u, s, l.began)
	if useless {
		d.enqueue(key, nil, 0)
	}
	if mode == registry.ModeHard {
		c.stats.refused.Add(1)
		return nil
	}
	e := c.adopt(l.u, held, s, mode, l.directory)
	if inUse {
		d.inUse = append(d.inUse, e.key)
	}
	l.loaded = true
	c.stats.loaded.Add(1)
	return e
}

// waitLoaded waits, for a bounded time, until what was kept is in memory; it
// reports whether it is.
func (d *disk) waitLoaded() bool {
	timer := time.NewTimer(loadPatience)
	defer timer.Stop()
	select {
	case <-d.loaded:
		return true
	case <-timer.C:
	case <-d.c.ctx.Done():
	}
	return false
}

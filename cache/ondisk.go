package cache

import (
	"strings"
	"time"

	"github.com/edgecache/edgecache/registry"
)

const (
	// maxScanned bounds how many entries of a registry are read for a page.
	maxScanned = 20_000
	// inspectPatience bounds how long a page waits for the disk.
	inspectPatience = 2 * time.Second
)

// A diskPage gathers the rows of entries that are only on disk.
type diskPage struct {
	d    *disk
	q    registry.EntriesQuery
	last string // names above it are not on the page; "": no bound
	rows []registry.EntryRow
	upTo string // names above it were not looked at; "": all were
}

// rows adds what is only on disk to the sorted rows of what is in memory. more
// is not empty if the page ends before its limit: a further one begins there.
func (d *disk) rows(q registry.EntriesQuery, held []registry.EntryRow) (rows []registry.EntryRow, more string) {
	p := &diskPage{d: d, q: q}
	if q.Limit > 0 && len(held) > q.Limit {
		p.last = held[q.Limit].Name
	}
	read := make(chan struct{})
	d.c.order.Lock()
	started := d.open && d.store.Directory() != 0 && d.spawn(func() {
		defer close(read)
		p.read()
	})
	d.c.order.Unlock()
	if !started {
		return held, ""
	}
	timer := time.NewTimer(inspectPatience)
	defer timer.Stop()
	select {
	case <-read:
	case <-timer.C:
		return held, ""
	}
	rows = append(held, p.rows...)
	sortRows(rows)
	if p.upTo == "" || q.Limit > 0 && len(rows) > q.Limit && rows[q.Limit].Name <= p.upTo {
		return rows, ""
	}
	n := 0
	for n < len(rows) && rows[n].Name <= p.upTo {
		n++
	}
	if n == 0 {
		return rows, ""
	}
	return rows[:n], p.upTo
}

func (p *diskPage) read() {
	for _, u := range p.d.c.ups.Load().all {
		if u.merges() || p.q.Registry != "" && p.q.Registry != u.Name {
			continue
		}
		if err := p.readRegistry(u); err != nil {
			p.d.warn("entries not read from disk", err)
		}
	}
}

// readRegistry reads from the first name on that may be on the page.
func (p *diskPage) readRegistry(u *upstream) error {
	from := max(p.q.Prefix, p.q.After.Name)
	if from != "" {
		s, err := p.d.store.Get(registry.Key{Registry: u.Name, Name: from})
		if err != nil {
			return err
		}
		if s != nil {
			p.add(u, s)
		}
	}
	scanned, found := 0, 0
	return p.d.store.Scan(u.Name, from, func(s *registry.Stored) bool {
		if !strings.HasPrefix(s.Name, p.q.Prefix) || p.last != "" && s.Name > p.last {
			return false
		}
		if p.add(u, s) {
			found++
		}
		scanned++
		if p.q.Limit > 0 && found > p.q.Limit {
			return false
		}
		if scanned == maxScanned && (p.upTo == "" || s.Name < p.upTo) {
			p.upTo = s.Name
		}
		return scanned < maxScanned && p.d.c.ctx.Err() == nil
	})
}

// add adds the row of an entry that may be served and is not in memory.
func (p *diskPage) add(u *upstream, s *registry.Stored) bool {
	c := p.d.c
	key := registry.Key{Registry: u.Name, Name: s.Name}
	if !after(key, p.q.After) {
		return false
	}
	c.order.Lock()
	held := c.mem.peek(key)
	mode, _ := c.judgeStored(u, s, c.gens.position)
	c.order.Unlock()
	if held != nil && held.known() || mode == registry.ModeHard {
		return false
	}
	at := p.d.reading()
	age, w := at.cache-at.at(s.Verified), u.windowsOf(s.Record.Wishes)
	if age > w.sie {
		return false
	}
	p.rows = append(p.rows, registry.EntryRow{Name: s.Name, Registry: u.Name, State: "stale", Tier: "disk",
		AgeMS: age.Milliseconds(), TTLMS: (w.ttl - age).Milliseconds(), Index: s.Record.Index, Bytes: int(charge(key, s.Record))})
	return true
}

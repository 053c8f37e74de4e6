package cache

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// Entries returns a page of what is cached, by name and then registry. Where
// the disk is slow or has more than can be looked through for a page, it leaves
// out what is there only.
func (c *Cache) Entries(q registry.EntriesQuery) (rows []registry.EntryRow, more bool) {
	now := c.now()
	us := c.ups.Load()
	rows = []registry.EntryRow{}
	for e := range c.mem.all() {
		u := us.byName[e.key.Registry]
		if u == nil || q.Registry != "" && q.Registry != u.Name || !strings.HasPrefix(e.key.Name, q.Prefix) || !after(e.key, q.After) {
			continue
		}
		row, ok := c.row(u, e, now)
		if !ok || q.State != "" && q.State != row.State {
			continue
		}
		rows = append(rows, row)
	}
	sortRows(rows)
	if c.disk != nil && (q.State == "" || q.State == "stale") {
		var end string
		if rows, end = c.disk.rows(q, rows); end != "" {
			return rows, true
		}
	}
	if q.Limit > 0 && len(rows) > q.Limit {
		return rows[:q.Limit], true
	}
	return rows, false
}

func sortRows(rows []registry.EntryRow) {
	slices.SortFunc(rows, func(a, b registry.EntryRow) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Registry, b.Registry))
	})
}

func after(k, than registry.Key) bool {
	return k.Name > than.Name || k.Name == than.Name && k.Registry > than.Registry
}

// row describes an entry; false for one that may not be served any more.
func (c *Cache) row(u *upstream, e *entry, now time.Duration) (registry.EntryRow, bool) {
	st, age := c.view(u, e, now)
	row := registry.EntryRow{Name: e.key.Name, Registry: e.key.Registry, State: "fresh", Tier: "memory",
		AgeMS: age.Milliseconds(), TTLMS: (e.ttl - age).Milliseconds(), Index: e.index, Bytes: int(e.size), Hits: e.hits.Load()}
	switch {
	case st == stateExpired:
		return row, false
	case e.rec == nil:
		row.State = "negative"
	case st != stateFresh:
		row.State = "stale"
	}
	return row, true
}

// Registries describes the registries in config order.
func (c *Cache) Registries() []registry.RegistryStatus {
	now := c.now()
	entries := map[string]int{}
	for _, e := range c.mem.records.All() {
		entries[e.key.Registry]++
	}
	all := c.ups.Load().all
	out := make([]registry.RegistryStatus, 0, len(all))
	for _, u := range all {
		g := u.guard.status()
		s := registry.RegistryStatus{Name: u.Name, Type: u.Type, Kind: u.Kind, State: "up", Breaker: g.breaker,
			Services: entries[u.Name], LastError: g.lastErr, Calls: g.calls, Failures: g.failures}
		if g.down() {
			s.State = "down"
		}
		if g.breaker != "closed" {
			next := c.times.wall(g.next).UTC()
			s.NextTry = &next
		}
		if g.lastOK >= 0 {
			ok := c.times.wall(g.lastOK).UTC()
			s.LastOK = &ok
		}
		u.mu.Lock()
		for _, w := range u.watches {
			if w.live(now) {
				s.Watch.Live++
			}
		}
		u.mu.Unlock()
		if s.Watch.Live > 0 {
			s.Watch.Owner = c.opts.Node
		}
		out = append(out, s)
	}
	return out
}

package cache

import (
	"context"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// Names implements [registry.Engine].
func (c *Cache) Names(ctx context.Context, q *registry.NamesQuery) (registry.NamesPage, error) {
	us := c.ups.Load()
	order := us.order
	if q.Registry != "" {
		u := us.byName[q.Registry]
		if u == nil {
			return registry.NamesPage{}, us.unknown(q.Registry)
		}
		order = []*upstream{u}
	}
	until := c.now() + maxLookup
	if d, ok := ctx.Deadline(); ok {
		until = c.now() + time.Until(d)
	}
	page := registry.NamesPage{Complete: true}
	rows := map[string]registry.NameRow{}
	asked, loaded := false, false
	for _, u := range order {
		if q.Kind != "" && q.Kind != u.Kind {
			continue
		}
		asked = true
		sources := u.parts
		if !u.merges() {
			sources = order[:0:0]
			sources = append(sources, u)
		}
		for _, s := range sources {
			names, ok := c.namesOf(ctx, s, &page, until)
			loaded = loaded || ok
			addRows(rows, names, u, q)
		}
	}
	if asked && !loaded { // no registry of that kind is a complete empty list
		return registry.NamesPage{}, registry.ErrNotReady
	}
	for _, r := range rows {
		page.Rows = append(page.Rows, r)
	}
	sort.Slice(page.Rows, func(i, j int) bool { return page.Rows[i].Name < page.Rows[j].Name })
	if len(page.Rows) > q.Limit {
		page.Rows, page.More = page.Rows[:q.Limit], true
	}
	return page, nil
}

// addRows adds the names that q asks for: at most one more than the page, from
// each list.
func addRows(rows map[string]registry.NameRow, names []string, u *upstream, q *registry.NamesQuery) {
	i, _ := slices.BinarySearch(names, max(q.After, q.Prefix))
	for taken := 0; i < len(names) && taken <= q.Limit; i++ {
		n := names[i]
		if !strings.HasPrefix(n, q.Prefix) {
			break
		}
		if n == q.After || !u.covers("", n) {
			continue
		}
		taken++
		if _, ok := rows[n]; !ok {
			rows[n] = registry.NameRow{Name: n, Registry: u.Name, Kind: u.Kind}
		}
	}
}

// namesOf returns what one registry lists, sorted, and adds how good that is
// to the page; ok is false if nothing is known.
func (c *Cache) namesOf(ctx context.Context, u *upstream, page *registry.NamesPage, until time.Duration) (names []string, ok bool) {
	if !u.can.List {
		page.Complete = false
		u.list.mu.Lock()
		page.Index = max(page.Index, u.list.seenIndex)
		u.list.mu.Unlock()
		names = c.seenNames(u)
		return names, len(names) > 0
	}
	l := &u.list
	s := l.snap.Load()
	fresh := false
	if s != nil {
		_, fresh = l.age(s, u.policy.TTL, c.now())
	}
	if !fresh {
		wait := until
		if s != nil {
			wait = min(until, c.now()+u.policy.Verify)
		}
		c.loadList(ctx, u, wait)
		s = l.snap.Load()
	}
	if s != nil {
		if age, fresh := l.age(s, u.policy.TTL, c.now()); !fresh && age > max(u.policy.StaleIfError, u.policy.TTL) {
			s = nil // no answer is older
		}
	}
	if s == nil {
		page.Complete = false
		names = c.seenNames(u)
		return names, len(names) > 0
	}
	age, fresh := l.age(s, u.policy.TTL, c.now())
	page.Index = max(page.Index, s.index)
	page.Age = max(page.Age, age)
	page.Stale = page.Stale || !fresh
	return s.names, true
}

// seenNames returns the names of a registry that are in memory.
func (c *Cache) seenNames(u *upstream) []string {
	var names []string
	for _, e := range c.mem.records.All() {
		if e.key.Registry == u.Name {
			names = append(names, e.key.Name)
		}
	}
	slices.Sort(names)
	return names
}

// seen notes that a name came or went in a registry that cannot list.
func (c *Cache) seen(u *upstream) {
	u.list.mu.Lock()
	u.list.seenIndex = c.clock.Next(0)
	u.list.mu.Unlock()
	c.subs.notifyList(u.Name)
}

package torture

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// A moment is a time in one of a node's lives. Between two lives the wall clock
// may be set back.
type moment struct {
	life int
	time time.Time
}

func (m moment) before(o moment) bool {
	return m.life < o.life || m.life == o.life && m.time.Before(o.time)
}

// A witness is what a test knows of one node: when the registry answered it,
// and what it acknowledged. It is the node's source.
type witness struct {
	said   *said
	policy policy

	mu      sync.Mutex // protects the fields below
	life    int        // from 1 on
	asked   map[string]moment
	covered map[string]moment    // the newest invalidation applied
	hard    map[string]moment    // likewise of those that are hard
	durable [2]map[string]moment // of covered and hard, what was acknowledged
	settled map[string]moment    // when the newest hard invalidation had returned
	found   map[string]bool      // whether the registry had the name when last asked
	last    map[string]seen
}

// A seen is the answer that was last seen of a name.
type seen struct {
	id    string
	index uint64
}

func newWitness(s *said, p policy) *witness {
	return &witness{said: s, policy: p, life: 1, asked: map[string]moment{}, covered: map[string]moment{}, hard: map[string]moment{},
		durable: [2]map[string]moment{{}, {}}, settled: map[string]moment{}, found: map[string]bool{}, last: map[string]seen{}}
}

// Can implements registry.Source.
func (w *witness) Can() registry.Capabilities { return w.said.fake.Caps }

// Lookup implements registry.Source. It notes when the registry was asked.
func (w *witness) Lookup(ctx context.Context, name string, have *registry.Record) (*registry.Record, error) {
	w.said.changing.RLock()
	began := time.Now()
	rec, err := w.said.fake.Lookup(ctx, name, have)
	w.said.changing.RUnlock()
	if err == nil || errors.Is(err, registry.ErrNotFound) || errors.Is(err, registry.ErrNotModified) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if m := (moment{w.life, began}); !m.before(w.asked[name]) {
			w.asked[name], w.found[name] = m, !errors.Is(err, registry.ErrNotFound)
		}
	}
	return rec, err
}

// has reports whether the registry's last answer is a record that may still be
// served, stale at least.
func (w *witness) has(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.asked[name]
	hard := w.settled[name]
	after := hard.life == 0 || hard.before(m)
	return w.found[name] && after && time.Since(m.time) < w.policy.sie-time.Second
}

// fetched reports whether the registry answered since the node started.
func (w *witness) fetched(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[name].life == w.life
}

// invalidated notes an invalidation that the node applied, at the earliest at a
// time, and whether it acknowledged it as durable.
func (w *witness) invalidated(inv *registry.Invalidation, at time.Time, durable bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range names {
		if !covers(inv, name) {
			continue
		}
		m := moment{w.life, at}
		w.covered[name] = m
		if durable {
			w.durable[0][name] = m
		}
		if inv.Mode == registry.ModeHard {
			w.hard[name], w.settled[name] = m, moment{w.life, time.Now()}
			if durable {
				w.durable[1][name] = m
			}
		}
	}
}

func covers(inv *registry.Invalidation, name string) bool {
	for _, s := range inv.Selectors {
		if s.Covers(registry.Key{Registry: "r", Name: name}, tagsOf(name)) {
			return true
		}
	}
	return false
}

// copy returns what w knows, for a node that goes on from here under another
// registry.
func (w *witness) copy(s *said) *witness {
	w.mu.Lock()
	defer w.mu.Unlock()
	return &witness{said: s, policy: w.policy, life: w.life, asked: maps.Clone(w.asked), covered: maps.Clone(w.covered), hard: maps.Clone(w.hard),
		durable: [2]map[string]moment{maps.Clone(w.durable[0]), maps.Clone(w.durable[1])}, settled: maps.Clone(w.settled), found: maps.Clone(w.found), last: maps.Clone(w.last)}
}

// restarted notes that the node starts anew.
func (w *witness) restarted() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.life++
	w.covered, w.hard = maps.Clone(w.durable[0]), maps.Clone(w.durable[1])
}

// forget lets indexes begin anew.
func (w *witness) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.last)
}

// grain is how coarse the times on disk are.
const grain = 2 * time.Millisecond

// check returns what is wrong with an answer to a lookup that began at a time,
// "" if nothing is.
func (w *witness) check(name string, a registry.Answer, err error, began time.Time) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked := w.asked[name]
	fetched := asked.life == w.life
	switch {
	case errors.Is(err, registry.ErrNotFound):
		switch {
		case !w.said.held(name, "", began.Add(-a.Age-grain)):
			return "the name existed all the time since it was confirmed absent"
		case !fetched:
			return "absence from before the restart is believed"
		}
		return w.order(name, "", a)
	case err != nil:
		return ""
	}
	id := ids(a.Record)
	covered, hard := w.covered[name], w.hard[name]
	switch {
	case !w.said.held(name, id, began.Add(-a.Age-grain)):
		return fmt.Sprintf("the registry did not say so within the last %s", a.Age)
	case a.Age < began.Sub(asked.time)-grain:
		return fmt.Sprintf("the age is %s, but the registry last answered %s ago", a.Age, began.Sub(asked.time))
	case a.Age > w.policy.sie:
		return "older than the bound"
	case !a.Stale && a.Age > w.policy.ttl:
		return "older than its TTL and yet fresh"
	case !a.Stale && !fetched:
		return "fresh, though the registry did not answer since the restart"
	case !a.Stale && (asked.before(covered) || !w.said.held(name, id, covered.time)):
		return fmt.Sprintf("fresh, though invalidated %s ago", began.Sub(covered.time))
	case hard.life > 0 && (asked.before(hard) || !w.said.held(name, id, hard.time)):
		return fmt.Sprintf("older than a hard invalidation %s ago", began.Sub(hard.time))
	case !fetched && a.Details&registry.DetailDisk == 0:
		return "from before the restart, and not said to be from disk"
	case a.Details&registry.DetailDisk != 0 && w.life > 1:
		return "" // the disk may lack the newest
	}
	return w.order(name, id, a)
}

// order checks that indexes rise, and do so with each change.
func (w *witness) order(name, id string, a registry.Answer) string {
	last := w.last[name]
	switch {
	case last.index != 0 && a.Index < last.index:
		return fmt.Sprintf("the index fell from %d to %d", last.index, a.Index)
	case last.index != 0 && a.Index == last.index && id != last.id:
		return fmt.Sprintf("the content changed from %q under the same index", last.id)
	}
	w.last[name] = seen{id, a.Index}
	return ""
}

// describeAnswer writes an answer for people.
func describeAnswer(a registry.Answer, err error) string {
	if err != nil {
		return err.Error()
	}
	s := fmt.Sprintf("%s index %d age %s stale %t hit %t", ids(a.Record), a.Index, a.Age, a.Stale, a.Hit)
	for i, name := range registry.DetailNames {
		if a.Details&(1<<i) != 0 {
			s += " " + name
		}
	}
	return s
}

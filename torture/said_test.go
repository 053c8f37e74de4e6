package torture

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

// A said is what a test knows of the registry r: what it said of each name,
// and when.
type said struct {
	fake *registrytest.Fake

	// changing is held to write while the registry changes, so that what it
	// says and what the test knows of that are one.
	changing sync.RWMutex

	mu       sync.Mutex // protects the fields below
	next     int
	versions map[string][]version // oldest first; the last one holds now
	puts     []put                // in order, so that revisions can be given again
	down     bool
}

type put struct {
	name, id string // id "": removed
	size     int
}

type version struct {
	id    string // "": absent
	since time.Time
	until time.Time // zero: still
}

func newSaid() *said {
	s := &said{fake: registrytest.NewFake("r"), versions: map[string][]version{}}
	s.fake.Caps = registry.Capabilities{Ordered: true}
	return s
}

// put gives a name new content, with a document of that size.
func (s *said) put(name string, size int) {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mu.Lock()
	s.next++
	p := put{name, fmt.Sprint("v", s.next), size}
	s.changeLocked(p)
	s.mu.Unlock()
	p.to(s.fake)
}

// to does to a registry what p says.
func (p put) to(f *registrytest.Fake) {
	if p.id == "" {
		f.Remove(p.name)
		return
	}
	f.PutRecord(&registry.Record{Key: registry.Key{Name: p.name}, Instances: []registry.Instance{instance(p.id)},
		Document: document[:p.size], MediaType: "application/octet-stream", Tags: tagsOf(p.name), Wishes: registry.NoWishes})
}

var document = make([]byte, 256<<10)

func (s *said) remove(name string) {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mu.Lock()
	gone := s.currentLocked(name) == ""
	if !gone {
		s.changeLocked(put{name: name})
	}
	s.mu.Unlock()
	if !gone {
		s.fake.Remove(name)
	}
}

func (s *said) changeLocked(p put) {
	now := time.Now()
	s.puts = append(s.puts, p)
	v := slices.Clone(s.versions[p.name]) // others may look at the old one
	if len(v) > 0 {
		v[len(v)-1].until = now
	} else {
		v = []version{{until: now}}
	}
	s.versions[p.name] = append(v, version{id: p.id, since: now})
}

func (s *said) currentLocked(name string) string {
	if v := s.versions[name]; len(v) > 0 {
		return v[len(v)-1].id
	}
	return ""
}

// setDown makes the registry fail, or answer again.
func (s *said) setDown(down bool) {
	s.mu.Lock()
	s.down = down
	s.mu.Unlock()
	if down {
		s.fake.SetError(errors.New("down"))
	} else {
		s.fake.SetError(nil)
	}
}

func (s *said) isDown() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

// now returns what the registry says of a name, "" if it is absent.
func (s *said) now(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.currentLocked(name)
}

// held reports whether the registry said id of the name at some moment not
// before since.
func (s *said) held(name, id string, since time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.versions[name]) == 0 {
		return id == ""
	}
	for _, v := range s.versions[name] {
		if v.id == id && (v.until.IsZero() || !v.until.Before(since)) {
			return true
		}
	}
	return false
}

// frozen returns what the registry says, for good, as another registry.
func (s *said) frozen() *said {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := newSaid()
	f.next, f.versions = s.next, maps.Clone(s.versions)
	for _, p := range s.puts {
		p.to(f.fake)
	}
	return f
}

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
		durable: [2]map[string]moment{{}, {}}, found: map[string]bool{}, last: map[string]seen{}}
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
		if m := (moment{w.life, began}); w.asked[name].before(m) {
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
	after := w.hard[name].life == 0 || w.hard[name].before(m)
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
			w.hard[name] = m
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
		durable: [2]map[string]moment{maps.Clone(w.durable[0]), maps.Clone(w.durable[1])}, found: maps.Clone(w.found), last: maps.Clone(w.last)}
}

// restarted notes that the node starts anew.
func (w *witness) restarted() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.life++
	w.covered, w.hard = maps.Clone(w.durable[0]), maps.Clone(w.durable[1])
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
	case !fetched:
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

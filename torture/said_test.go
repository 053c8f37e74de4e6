package torture

import (
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

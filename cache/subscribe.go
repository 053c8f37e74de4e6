package cache

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"

	"github.com/edgecache/edgecache/registry"
)

const (
	// ringSize is how many changes back a subscription can resume.
	ringSize = 65536
	// maxPending is how many names a prefix subscription may owe before it is
	// told to list anew.
	maxPending = 65536
)

// subscriptions wake those who follow names. They gather names, not events.
type subscriptions struct {
	run uint64 // tells the tokens of this process from those of others

	mu       sync.Mutex // protects the fields below and the pending names of all subscriptions
	seq      uint64     // changes so far
	since    uint64     // a change at this number was no single name's: none before it can be resumed
	ring     []registry.Key
	byName   map[string]map[*subscription]struct{}
	prefixes map[*subscription]struct{}
	lists    map[*subscription]struct{}
}

func newSubscriptions() *subscriptions {
	return &subscriptions{run: rand.Uint64(), byName: map[string]map[*subscription]struct{}{},
		prefixes: map[*subscription]struct{}{}, lists: map[*subscription]struct{}{}}
}

type subscription struct {
	subs    *subscriptions
	spec    registry.Subscribe
	parts   map[string]bool // registries whose changes count; nil: all
	wake    chan struct{}   // holds one value: something is pending
	resumed bool

	pending map[string]struct{}
	reset   bool
}

// Subscribe implements [registry.Engine].
func (c *Cache) Subscribe(spec registry.Subscribe) registry.Subscription {
	s := &subscription{subs: c.subs, spec: spec, wake: make(chan struct{}, 1), pending: map[string]struct{}{}}
	if spec.Registry != "" {
		s.parts = map[string]bool{spec.Registry: true}
		if u := c.ups.Load().byName[spec.Registry]; u != nil {
			for _, part := range u.Of {
				s.parts[part] = true
			}
		}
	}
	c.subs.add(s)
	c.attend(s)
	return s
}

// attend makes the refresher look after what a new subscription follows: it
// has put aside what nobody wanted.
func (c *Cache) attend(s *subscription) {
	us := c.ups.Load()
	for _, name := range s.spec.Names {
		for _, u := range us.all {
			if !u.merges() && (s.parts == nil || s.parts[u.Name]) {
				c.schedule(u, registry.Key{Registry: u.Name, Name: name})
			}
		}
	}
	if s.spec.Prefix == nil || s.spec.Lists {
		return
	}
	for e := range c.mem.all() {
		if u := us.byName[e.key.Registry]; u != nil && e.due.Load() == 0 && s.follows(e.key) {
			c.schedule(u, e.key)
		}
	}
}

func (ss *subscriptions) add(s *subscription) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for _, n := range s.spec.Names {
		set := ss.byName[n]
		if set == nil {
			set = map[*subscription]struct{}{}
			ss.byName[n] = set
		}
		set[s] = struct{}{}
	}
	switch {
	case s.spec.Lists:
		ss.lists[s] = struct{}{}
	case s.spec.Prefix != nil:
		ss.prefixes[s] = struct{}{}
	}
	s.resumed = s.resumeLocked()
}

// resumeLocked makes pending what changed since the token, if the ring still
// holds all of it.
func (s *subscription) resumeLocked() bool {
	run, seq, ok := strings.Cut(s.spec.Resume, "-")
	after, err := strconv.ParseUint(seq, 10, 64)
	ss := s.subs
	if !ok || err != nil || run != strconv.FormatUint(ss.run, 16) || after > ss.seq || after < ss.since || ss.seq-after > uint64(len(ss.ring)) {
		return false
	}
	for n := after; n < ss.seq; n++ {
		k := ss.ring[n%ringSize]
		if s.follows(k) {
			s.addLocked(k.Name)
		}
	}
	return true
}

func (s *subscription) follows(k registry.Key) bool {
	if s.parts != nil && !s.parts[k.Registry] {
		return false
	}
	if s.spec.Prefix != nil && strings.HasPrefix(k.Name, *s.spec.Prefix) {
		return true
	}
	for _, n := range s.spec.Names {
		if n == k.Name {
			return true
		}
	}
	return false
}

func (s *subscription) addLocked(name string) {
	if len(s.pending) >= maxPending {
		s.reset = true
		clear(s.pending)
	} else if !s.reset {
		s.pending[name] = struct{}{}
	}
	s.signal()
}

func (s *subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default: // it is awake already
	}
}

// recordLocked counts a change.
func (ss *subscriptions) recordLocked(k registry.Key) {
	if len(ss.ring) < ringSize {
		ss.ring = append(ss.ring, k)
	} else {
		ss.ring[ss.seq%ringSize] = k
	}
	ss.seq++
}

// notify tells those who follow a key that its answer changed.
func (ss *subscriptions) notify(k registry.Key) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.recordLocked(k)
	for s := range ss.byName[k.Name] {
		if s.parts == nil || s.parts[k.Registry] {
			s.addLocked(k.Name)
		}
	}
	for s := range ss.prefixes {
		if s.follows(k) {
			s.addLocked(k.Name)
		}
	}
}

// notifyList tells those who follow lists that a registry's changed.
func (ss *subscriptions) notifyList(registryName string) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for s := range ss.lists {
		if s.parts == nil || s.parts[registryName] {
			s.signal()
		}
	}
}

// notifyAll makes everybody look again: which registry answers may have
// changed.
func (ss *subscriptions) notifyAll() {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.recordLocked(registry.Key{})
	ss.since = ss.seq
	for name, set := range ss.byName {
		for s := range set {
			s.addLocked(name)
		}
	}
	for s := range ss.prefixes {
		s.reset = true
		s.signal()
	}
	for s := range ss.lists {
		s.signal()
	}
}

// notifyCovered makes those look again who follow names that an invalidation
// covers; parts are the registries whose changes count for one of them, nil:
// all.
func (ss *subscriptions) notifyCovered(covers func(parts map[string]bool, name string) bool) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for name, set := range ss.byName {
		for s := range set {
			if covers(s.parts, name) {
				s.addLocked(name)
			}
		}
	}
}

// notifyHeld makes those look again who follow a prefix of one of the keys.
func (ss *subscriptions) notifyHeld(keys iter.Seq[registry.Key]) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if len(ss.prefixes) == 0 {
		return
	}
	for k := range keys {
		for s := range ss.prefixes {
			if s.follows(k) {
				s.addLocked(k.Name)
			}
		}
	}
}

// follows reports whether somebody follows the key.
func (ss *subscriptions) follows(k registry.Key) bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for s := range ss.byName[k.Name] {
		if s.parts == nil || s.parts[k.Registry] {
			return true
		}
	}
	for s := range ss.prefixes {
		if s.follows(k) {
			return true
		}
	}
	return false
}

func (ss *subscriptions) count() int {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	all := map[*subscription]struct{}{}
	for _, set := range ss.byName {
		for s := range set {
			all[s] = struct{}{}
		}
	}
	for s := range ss.prefixes {
		all[s] = struct{}{}
	}
	for s := range ss.lists {
		all[s] = struct{}{}
	}
	return len(all)
}

// Resumed implements [registry.Subscription].
func (s *subscription) Resumed() bool { return s.resumed }

// Wake implements [registry.Subscription].
func (s *subscription) Wake() <-chan struct{} { return s.wake }

// Take implements [registry.Subscription].
func (s *subscription) Take(buf []string) (names []string, token string, reset bool) {
	ss := s.subs
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for n := range s.pending {
		buf = append(buf, n)
	}
	clear(s.pending)
	reset, s.reset = s.reset, false
	return buf, fmt.Sprintf("%x-%d", ss.run, ss.seq), reset
}

// Close implements [registry.Subscription].
func (s *subscription) Close() {
	ss := s.subs
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for _, n := range s.spec.Names {
		delete(ss.byName[n], s)
		if len(ss.byName[n]) == 0 {
			delete(ss.byName, n)
		}
	}
	delete(ss.prefixes, s)
	delete(ss.lists, s)
}

package cache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// A mapStore is a store and a journal in maps, whose calls a test can hold,
// break and count. What it has survives the cache over it, not the test.
type mapStore struct {
	clock *registry.Clock

	mu   sync.Mutex                                   // protects the fields below
	hold func(what string, k registry.Key, do func()) // nil: do; runs every call that a disk can hold up
	fail func(what string) error                      // nil: none fails
	skew time.Duration                                // of the wall clock

	directory  uint32
	kept       map[registry.Key]*kept
	marks      map[registry.Key]map[registry.Mode]uint64
	wide       map[registry.Selector]map[registry.Mode]uint64
	identities map[string]string
	position   uint64 // newest used
	seq        uint64
	puts       map[registry.Key]int
	confirms   map[registry.Key]int
	deletes    map[registry.Key]int
	calls      map[string]int
	scanned    int
}

// kept is a stored entry in its binary form.
type kept struct {
	registry.Stored
	raw []byte
}

func newMapStore() *mapStore {
	s := &mapStore{clock: registry.NewClock(nil, 0), directory: 1, calls: map[string]int{}, wide: map[registry.Selector]map[registry.Mode]uint64{}, identities: map[string]string{}, position: 1}
	s.clear()
	return s
}

func (s *mapStore) clear() {
	s.kept, s.marks = map[registry.Key]*kept{}, map[registry.Key]map[registry.Mode]uint64{}
	s.puts, s.confirms, s.deletes = map[registry.Key]int{}, map[registry.Key]int{}, map[registry.Key]int{}
}

// renew begins a fresh directory; number 0 is none.
func (s *mapStore) renew(number uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	s.directory = number
}

var errNoDirectory = errors.New("no directory")

// do runs a call under its hold; it returns the error that it is to fail with.
func (s *mapStore) do(what string, k registry.Key, f func()) (err error) {
	s.mu.Lock()
	s.calls[what]++
	hold := s.hold
	s.mu.Unlock()
	if hold == nil {
		hold = func(_ string, _ registry.Key, do func()) { do() }
	}
	hold(what, k, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.fail != nil {
			err = s.fail(what)
		}
		if err == nil && s.directory == 0 {
			err = errNoDirectory
		}
		if err == nil {
			f()
		}
	})
	return err
}

func (s *mapStore) stored(k registry.Key) *registry.Stored {
	have := s.kept[k]
	if have == nil {
		return nil
	}
	out := have.Stored
	e, err := registry.ParseEntry(have.raw)
	if err != nil {
		panic(err)
	}
	out.Record = e.Record
	for m, p := range s.marks[k] {
		if p > out.Began {
			out.Mode = max(out.Mode, m)
		}
	}
	return &out
}

func (s *mapStore) Get(k registry.Key) (out *registry.Stored, err error) {
	err = s.do("get", k, func() { out = s.stored(k) })
	return out, err
}

func (s *mapStore) Write(directory uint32, put []*registry.Stored, confirm []registry.Confirmed, del []registry.Key) (err error) {
	var first registry.Key
	switch {
	case len(put) > 0:
		first = put[0].Key
	case len(confirm) > 0:
		first = confirm[0].Key
	case len(del) > 0:
		first = del[0]
	}
	refused := false
	err = s.do("write", first, func() {
		if refused = directory != s.directory; refused {
			return
		}
		for _, p := range put {
			s.puts[p.Key]++
			s.kept[p.Key] = &kept{*p, registry.AppendEntry(nil, &p.Entry)}
		}
		for _, c := range confirm {
			s.confirms[c.Key]++
			if have := s.kept[c.Key]; have != nil && have.Record.Index == c.Index {
				have.Began, have.Verified, have.Empties, have.Mode, have.Used, have.Expires = c.Began, c.Verified, c.Empties, c.Mode, c.Used, c.Expires
			}
		}
		for _, k := range del {
			s.deletes[k]++
			delete(s.kept, k)
		}
	})
	if refused {
		return errors.New("another directory is in use")
	}
	return err
}

func (s *mapStore) markLocked(k registry.Key, m registry.Mode, position uint64) {
	if s.marks[k] == nil {
		s.marks[k] = map[registry.Mode]uint64{}
	}
	s.marks[k][m] = max(s.marks[k][m], position)
}

func (s *mapStore) Mark(keys []registry.Key, m registry.Mode, position uint64) error {
	return s.do("mark", keys[0], func() {
		for _, k := range keys {
			s.markLocked(k, m, position)
		}
	})
}

func (s *mapStore) Scan(registryName, after string, yield func(*registry.Stored) bool) error {
	var page []*registry.Stored
	err := s.do("scan", registry.Key{Registry: registryName}, func() {
		var names []string
		for k := range s.kept {
			if k.Registry == registryName && k.Name > after {
				names = append(names, k.Name)
			}
		}
		slices.Sort(names)
		for _, n := range names {
			page = append(page, s.stored(registry.Key{Registry: registryName, Name: n}))
		}
	})
	for _, e := range page {
		s.mu.Lock()
		s.scanned++
		s.mu.Unlock()
		if !yield(e) {
			break
		}
	}
	return err
}

func (s *mapStore) Clock() *registry.Clock { return s.clock }

func (s *mapStore) Directory() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.directory
}

func (s *mapStore) Identity(name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.identities[name], nil
}

func (s *mapStore) SetIdentity(name, identity string) error {
	return s.do("identity", registry.Key{Registry: name}, func() { s.identities[name] = identity })
}

func (s *mapStore) Now() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.skew).UnixMilli()
}

func (s *mapStore) Append(_ context.Context, inv *registry.Invalidation, a registry.Applied) error {
	s.mu.Lock()
	s.seq++
	inv.Origin, inv.Epoch, inv.Seq = 1, 1, s.seq
	s.mu.Unlock()
	var k registry.Key
	if len(a.Keys) > 0 {
		k = a.Keys[0]
	}
	err := s.do("append", k, func() {
		s.position = max(s.position, a.Position)
		for _, k := range a.Keys {
			s.markLocked(k, inv.Mode, a.Position)
		}
		for _, w := range a.Wide {
			if s.wide[w] == nil {
				s.wide[w] = map[registry.Mode]uint64{}
			}
			s.wide[w][inv.Mode] = max(s.wide[w][inv.Mode], a.Position)
		}
	})
	if err != nil {
		return fmt.Errorf("%w: %w", registry.ErrNotDurable, err)
	}
	return nil
}

func (s *mapStore) Records(ctx context.Context, list []registry.Received) error {
	for _, r := range list {
		if err := s.Append(ctx, r.Inv, r.Applied); err != nil {
			return err
		}
	}
	return nil
}

func (s *mapStore) Generations(yield func(registry.Selector, registry.Mode, uint64)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for sel, modes := range s.wide {
		for m, p := range modes {
			yield(sel, m, p)
		}
	}
	return nil
}

func (s *mapStore) Forget(wide []registry.Selector, upTo uint64) error {
	return s.do("forget", registry.Key{}, func() {
		for _, w := range wide {
			newest := uint64(0)
			for _, p := range s.wide[w] {
				newest = max(newest, p)
			}
			if newest <= upTo {
				delete(s.wide, w)
			}
		}
	})
}

// Position goes on far above what was used, as a store does that reserves
// positions in blocks.
func (s *mapStore) Position() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.kept {
		s.position = max(s.position, e.Began)
	}
	s.position += 1 << 20
	return s.position
}

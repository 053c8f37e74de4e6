package torture

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// A generator makes ops as a cache would give them to a store, from the state
// that the ops before led to.
type generator struct {
	rng      *rand.Rand
	clock    *registry.Clock
	now      func() int64 // Unix ms
	position uint64

	state  *state
	floor  map[registry.Key]uint64 // no later put has a lower Began
	peers  [2]uint64               // sequences of two peers
	next   int64                   // number of the next change or content
	index  atomic.Uint64           // the newest that the clock gave
	filler []byte
}

func newGenerator(rng *rand.Rand) *generator {
	g := &generator{rng: rng, state: newState(), floor: map[registry.Key]uint64{}, filler: make([]byte, 128<<10)}
	for i := range g.filler {
		g.filler[i] = byte(rng.Uint32()) // what does not compress fills tables sooner
	}
	return g
}

// restart begins anew after a restart that led to a state.
func (g *generator) restart(s *state, clock *registry.Clock, now func() int64, position uint64) {
	g.state, g.clock, g.now, g.position = s.clone(), clock, now, position
	g.peers = [2]uint64{}
	for _, c := range s.journal {
		if p := peerOf(c.inv.Origin); p >= 0 {
			g.peers[p] = max(g.peers[p], c.inv.Seq)
		}
	}
}

func peerOf(origin uint64) int {
	if origin == 1 || origin == 2 {
		return int(origin) - 1
	}
	return -1
}

// op makes the next op and counts it as done.
func (g *generator) op() *op {
	var o *op
	switch n := g.rng.IntN(20); {
	case n < 9:
		o = g.write()
	case n < 14:
		o = &op{changes: []change{g.change()}}
	case n == 14:
		o = &op{}
		for range 2 + g.rng.IntN(6) {
			o.changes = append(o.changes, g.change())
		}
	case n == 15:
		o = g.fromPeer()
	case n == 16:
		o = g.mark(g.anyHeld(), g.mode(), g.take())
	case n == 17:
		o = &op{identity: [2]string{pick(g.rng, registries), fmt.Sprint("identity ", g.number())}}
	case n == 18:
		o = g.truncate()
	default:
		o = g.forget()
	}
	if o == nil {
		o = g.write()
	}
	g.state.apply(o, nil)
	return o
}

func pick[T any](rng *rand.Rand, list []T) T { return list[rng.IntN(len(list))] }

func (g *generator) number() int64 { g.next++; return g.next }

func (g *generator) mode() registry.Mode { return registry.ModeSoft + registry.Mode(g.rng.IntN(3)) }

// take takes a position, at times far ahead: a watch took those between.
func (g *generator) take() uint64 {
	g.position++
	if g.rng.IntN(12) == 0 {
		g.position += uint64(g.rng.IntN(1 << 20))
	}
	return g.position
}

func (g *generator) key() registry.Key {
	return registry.Key{Registry: pick(g.rng, registries), Name: pick(g.rng, names)}
}

// anyHeld returns some keys of which something is held.
func (g *generator) anyHeld() (held []registry.Key) {
	for k := range allKeys {
		if g.state.entries[k] != nil && g.rng.IntN(3) == 0 {
			held = append(held, k)
		}
	}
	return held
}

func (g *generator) write() *op {
	o := &op{}
	used := map[registry.Key]bool{}
	for range 1 + g.rng.IntN(4) {
		k := g.key()
		if used[k] {
			continue // a batch has one item of a key
		}
		used[k] = true
		e := g.state.entries[k]
		switch n := g.rng.IntN(10); {
		case n == 0 && e != nil:
			m := g.state.marks[k]
			g.floor[k] = max(g.floor[k], m[registry.ModeSoft], m[registry.ModeVerify], m[registry.ModeHard])
			o.del = append(o.del, k)
		case n < 5 && e != nil:
			o.confirm = append(o.confirm, g.confirm(e))
		default:
			o.put = append(o.put, g.put(k, e))
		}
	}
	return o
}

// began returns a position that a fetch of k may have begun at: a late one
// lies below marks that came meanwhile.
func (g *generator) began(k registry.Key, e *registry.Stored) uint64 {
	lowest := g.floor[k]
	if e != nil {
		lowest = max(lowest, e.Began)
	}
	if g.rng.IntN(8) == 0 {
		g.take()
	}
	late := uint64(g.rng.IntN(4))
	if late >= g.position {
		late = 0
	}
	return max(lowest, g.position-late)
}

func (g *generator) put(k registry.Key, e *registry.Stored) *registry.Stored {
	now := g.now()
	s := &registry.Stored{Entry: registry.Entry{Key: k, Began: g.began(k, e), Verified: now - int64(g.rng.IntN(5000))}, Expires: now + expiresAfter}
	if g.rng.IntN(3) == 0 {
		s.Used = now
	}
	if g.rng.IntN(10) == 0 {
		s.Mode = g.mode()
	}
	if g.rng.IntN(8) > 0 {
		s.Record = g.record(k)
		s.Empties = uint8(g.rng.IntN(2))
	}
	return s
}

const expiresAfter = int64(100 * time.Hour / time.Millisecond)

// record makes new content; one in four is large, so that tables fill.
func (g *generator) record(k registry.Key) *registry.Record {
	n := g.number()
	size := g.rng.IntN(2 << 10)
	if g.rng.IntN(4) == 0 {
		size = g.rng.IntN(64 << 10)
	}
	from := g.rng.IntN(len(g.filler) - size)
	rec := &registry.Record{
		Key: k, Kind: registry.KindService, Revision: registry.Revision{Epoch: 1, Order: uint64(n)},
		Instances: []registry.Instance{instance(fmt.Sprint("v", n))},
		Document:  g.filler[from : from+size], MediaType: "application/octet-stream",
		Tags: tagsOf(k.Name), Wishes: registry.NoWishes,
	}
	for range g.rng.IntN(3) * g.rng.IntN(50) { // a burst of changes runs ahead of the wall clock
		g.index.Store(g.clock.Next(0))
	}
	g.index.Store(g.clock.Next(rec.ContentHash()))
	rec.Seal(g.index.Load())
	return rec
}

func instance(id string) registry.Instance {
	return registry.Instance{ID: id, Health: registry.HealthPassing, Weight: registry.DefaultWeight,
		Endpoints: []registry.Endpoint{{Address: "10.0.0.1", Port: 8080}}}
}

// tagsOf returns the surrogate keys of a name.
func tagsOf(name string) []string {
	if len(name)%2 == 0 {
		return []string{"even", "any"}
	}
	return []string{"odd", "any"}
}

func (g *generator) confirm(e *registry.Stored) registry.Confirmed {
	now := g.now()
	c := registry.Confirmed{Key: e.Key, Index: indexOf(e), Began: g.began(e.Key, e), Verified: now, Expires: now + expiresAfter, Used: now}
	if g.rng.IntN(10) == 0 {
		c.Mode, c.Empties = g.mode(), 1
	}
	return c
}

// change makes an invalidation of one or more selectors.
func (g *generator) change() change {
	c := change{inv: registry.Invalidation{Mode: g.mode(), At: g.number()}, applied: registry.Applied{Position: g.take()}}
	for range 1 + g.rng.IntN(3)*g.rng.IntN(2) {
		s := registry.Selector{}
		if g.rng.IntN(2) == 0 {
			s.Key.Registry = pick(g.rng, registries)
		}
		switch g.rng.IntN(7) {
		case 0:
			s.Tag = pick(g.rng, []string{"even", "odd", "any"})
		case 1:
			s.Prefix = pick(g.rng, []string{"a", "b", "d/"})
		case 2:
			s.Key.Registry = pick(g.rng, registries)
		case 3:
			s = registry.Selector{All: true}
		default:
			s.Key.Name = pick(g.rng, names)
		}
		c.inv.Selectors = append(c.inv.Selectors, s)
		if !s.ByKey() {
			c.applied.Wide = append(c.applied.Wide, s)
			continue
		}
		for _, r := range registries {
			if k := (registry.Key{Registry: r, Name: s.Key.Name}); s.Covers(k, nil) {
				c.applied.Keys = append(c.applied.Keys, k)
			}
		}
	}
	return c
}

func (g *generator) fromPeer() *op {
	c := g.change()
	p := g.rng.IntN(len(g.peers))
	g.peers[p]++
	c.inv.Origin, c.inv.Epoch, c.inv.Seq = uint64(p+1), 77, g.peers[p]
	return &op{changes: []change{c}, peer: true}
}

func (g *generator) mark(keys []registry.Key, m registry.Mode, at uint64) *op {
	if len(keys) == 0 {
		return nil
	}
	return &op{marked: keys, mode: m, at: at}
}

// forget drops generations whose work is done: what is held was put after
// them, or is marked.
func (g *generator) forget() *op {
	o := &op{at: g.position}
	for w, r := range g.state.wide {
		done := true
		for _, e := range g.state.entries {
			if w.Covers(e.Key, tagsOf(e.Name)) && r.over(e.Began) > g.state.mode(e.Key) {
				done = false
			}
		}
		if done {
			o.forget = append(o.forget, w)
		}
	}
	if len(o.forget) == 0 {
		return nil
	}
	for k := range allKeys {
		g.floor[k] = g.position
	}
	return o
}

func (g *generator) truncate() *op {
	p := g.rng.IntN(len(g.peers))
	if g.peers[p] < 2 {
		return nil
	}
	return &op{truncated: epoch{uint64(p + 1), 77}, below: 1 + g.rng.Uint64N(g.peers[p])}
}

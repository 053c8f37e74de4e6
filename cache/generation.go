package cache

import (
	"github.com/edgecache/edgecache/registry"
)

// The most generations kept of single keys, and of tags and prefixes.
const (
	maxKeyGenerations  = 65536
	maxWideGenerations = 65536
)

// A generation is, by mode, the position of the newest invalidation of one
// selector.
type generation [registry.ModeHard + 1]uint64

// over returns the strictest mode whose invalidation came after began.
func (g *generation) over(began uint64) registry.Mode {
	for m := registry.ModeHard; m > registry.ModeNone; m-- {
		if g[m] > began {
			return m
		}
	}
	return registry.ModeNone
}

func (g *generation) newest() uint64 {
	return max(g[registry.ModeSoft], g[registry.ModeVerify], g[registry.ModeHard])
}

// raise lifts g to a position in the modes that a forgotten generation had.
func (g *generation) raise(forgotten *generation, position uint64) {
	for m := range g {
		if forgotten[m] > 0 {
			g[m] = max(g[m], position)
		}
	}
}

// scoped is a tag, a prefix or (text "") a whole registry; registry "" is any.
type scoped struct{ registry, text string }

// generations remember which invalidations were applied, so that what was
// fetched before them can be told. The order lock protects them.
type generations struct {
	position uint64 // of the newest invalidation applied
	// floor is raised by generations that were forgotten: a fill that began
	// below cannot be judged any more.
	floor generation
	// distrust does the same for what is on disk: generations were forgotten
	// that it could not be marked with.
	distrust generation

	keys                  keyGenerations
	tags, prefixes, whole map[scoped]*generation
	lengths               map[int]int // how many prefixes have this length

	mostKeys, mostWide int
}

func newGenerations(position uint64) generations {
	return generations{
		position: position, mostKeys: maxKeyGenerations, mostWide: maxWideGenerations,
		keys: newKeyGenerations(),
		tags: map[scoped]*generation{}, prefixes: map[scoped]*generation{}, whole: map[scoped]*generation{},
		lengths: map[int]int{},
	}
}

// next takes a position.
func (g *generations) next() uint64 {
	g.position++
	return g.position
}

// raiseKey notes that k was invalidated at position.
func (g *generations) raiseKey(k registry.Key, m registry.Mode, position uint64) {
	g.keys.raise(k, m, position, g.mostKeys, func(old *generation) { g.floor.raise(old, old.newest()) })
}

// raiseWide notes that a tag, prefix, registry or all was invalidated.
func (g *generations) raiseWide(s registry.Selector, m registry.Mode, position uint64) {
	table, at := g.whole, scoped{registry: s.Key.Registry}
	switch {
	case s.Tag != "":
		table, at.text = g.tags, s.Tag
	case s.Prefix != "":
		table, at.text = g.prefixes, s.Prefix
		if g.prefixes[at] == nil {
			g.lengths[len(s.Prefix)]++
		}
	}
	gen := table[at]
	if gen == nil {
		gen = new(generation)
		table[at] = gen
	}
	gen[m] = max(gen[m], position)
}

// covering returns the strictest mode of what was applied to the key and tags
// after began.
func (g *generations) covering(k registry.Key, tags []string, began uint64) registry.Mode {
	if began >= g.position {
		return registry.ModeNone
	}
	m := g.covered(scoped{}, g.whole, began)
	m = max(m, g.covered(scoped{registry: k.Registry}, g.whole, began))
	if gen := g.keys.get(k); gen != nil {
		m = max(m, gen.over(began))
	}
	if len(g.tags) > 0 {
		for _, t := range tags {
			m = max(m, g.covered(scoped{"", t}, g.tags, began), g.covered(scoped{k.Registry, t}, g.tags, began))
		}
	}
	for n := range g.lengths {
		if n <= len(k.Name) {
			p := k.Name[:n]
			m = max(m, g.covered(scoped{"", p}, g.prefixes, began), g.covered(scoped{k.Registry, p}, g.prefixes, began))
		}
	}
	return m
}

func (g *generations) covered(at scoped, table map[scoped]*generation, began uint64) registry.Mode {
	if gen := table[at]; gen != nil {
		return gen.over(began)
	}
	return registry.ModeNone
}

// judge returns the strictest mode of what a fill that began at a position must
// be taken to be covered by.
func (g *generations) judge(k registry.Key, tags []string, began uint64) registry.Mode {
	return max(g.covering(k, tags, began), g.floor.over(began))
}

// full reports whether the tag and prefix tables must be swept.
func (g *generations) full() bool { return len(g.tags)+len(g.prefixes) > g.mostWide }

// overfull reports whether a sweep that waits for the disk takes too long.
func (g *generations) overfull() bool { return len(g.tags)+len(g.prefixes) > 4*g.mostWide }

// median returns a position that about half of the tag and prefix generations
// are not above.
func (g *generations) median() uint64 {
	lowest := g.position
	for _, table := range []map[scoped]*generation{g.tags, g.prefixes} {
		for _, gen := range table {
			lowest = min(lowest, gen.newest())
		}
	}
	return lowest + (g.position-lowest)/2
}

// wideUpTo returns a copy of the tag and prefix generations that dropWide would
// forget.
func (g *generations) wideUpTo(upTo uint64) *generations {
	old := newGenerations(upTo)
	for at, gen := range g.tags {
		if gen.newest() <= upTo {
			copied := *gen
			old.tags[at] = &copied
		}
	}
	for at, gen := range g.prefixes {
		if gen.newest() <= upTo {
			copied := *gen
			old.prefixes[at] = &copied
			old.lengths[len(at.text)]++
		}
	}
	return &old
}

// wide returns the tags and prefixes that there are generations of.
func (g *generations) wide() (list []registry.Selector) {
	for at := range g.tags {
		list = append(list, registry.Selector{Key: registry.Key{Registry: at.registry}, Tag: at.text})
	}
	for at := range g.prefixes {
		list = append(list, registry.Selector{Key: registry.Key{Registry: at.registry}, Prefix: at.text})
	}
	return list
}

// marks returns, by mode, the newest position at which a tag or prefix covered
// the key and tags.
func (g *generations) marks(k registry.Key, tags []string) (marks generation) {
	add := func(gen *generation) {
		if gen == nil {
			return
		}
		for m := range marks {
			marks[m] = max(marks[m], gen[m])
		}
	}
	for _, t := range tags {
		add(g.tags[scoped{"", t}])
		add(g.tags[scoped{k.Registry, t}])
	}
	for n := range g.lengths {
		if n <= len(k.Name) {
			add(g.prefixes[scoped{"", k.Name[:n]}])
			add(g.prefixes[scoped{k.Registry, k.Name[:n]}])
		}
	}
	return marks
}

// dropWide forgets tag and prefix generations up to a position, after every
// entry was checked against them; fills older than now are refused from now on.
// It returns what it forgot and the position that it took for that.
func (g *generations) dropWide(upTo uint64) (forgotten generation, position uint64) {
	for at, gen := range g.tags {
		if gen.newest() <= upTo {
			delete(g.tags, at)
			forgotten.raise(gen, gen.newest())
		}
	}
	for at, gen := range g.prefixes {
		if gen.newest() <= upTo {
			delete(g.prefixes, at)
			forgotten.raise(gen, gen.newest())
			if g.lengths[len(at.text)]--; g.lengths[len(at.text)] == 0 {
				delete(g.lengths, len(at.text))
			}
		}
	}
	position = g.next()
	g.floor.raise(&forgotten, position)
	return forgotten, position
}

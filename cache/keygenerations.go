package cache

import (
	"hash/maphash"

	"github.com/edgecache/edgecache/registry"
)

// keyGenerations are the generations of single keys, the newest in a ring. Each
// raise has a number, from 1 on; number n lies at n modulo the ring's length,
// and those below first are forgotten. A key is known by its hash: two of the
// same hash would share the stricter generation.
//
// It is no map because keys come and go here with each change of anything: a
// map searches long among what was deleted.
type keyGenerations struct {
	seed        maphash.Seed
	ring        []keyGeneration // its length is a power of two
	newest      []uint64        // by hash modulo its length, that of ring: number of the newest raise
	first, next uint64          // numbers of the oldest raise in the ring and of the next one
	count       int             // keys
}

// A keyGeneration is the generation of a key as of a raise; that of a raise
// which is not the key's newest is zero.
type keyGeneration struct {
	generation
	hash   uint64
	before uint64 // number of a raise before it with the same remainder of its hash
}

const leastRing = 64

func newKeyGenerations() keyGenerations {
	return keyGenerations{seed: maphash.MakeSeed(), first: 1, next: 1}
}

// place returns a number modulo a length, which is a power of two.
func place(number uint64, length int) uint64 { return number & uint64(length-1) }

func (g *keyGenerations) at(number uint64) *keyGeneration { return &g.ring[place(number, len(g.ring))] }

// get returns the generation of a key, nil if there is none.
func (g *keyGenerations) get(k registry.Key) *generation {
	if g.count == 0 {
		return nil
	}
	if link := g.find(maphash.Comparable(g.seed, k)); *link >= g.first {
		return &g.at(*link).generation
	}
	return nil
}

// find returns where the number of the newest raise of a hash stands; it is
// below first if there is none.
func (g *keyGenerations) find(hash uint64) *uint64 {
	link := &g.newest[place(hash, len(g.newest))]
	for *link >= g.first {
		at := g.at(*link)
		if at.hash == hash {
			break
		}
		link = &at.before
	}
	return link
}

// raise notes that k was invalidated at position. If most keys are known, it
// forgets the oldest.
func (g *keyGenerations) raise(k registry.Key, m registry.Mode, position uint64, most int, forget func(*generation)) {
	hash := maphash.Comparable(g.seed, k)
	n := keyGeneration{hash: hash}
	if g.count > 0 {
		if link := g.find(hash); *link >= g.first {
			old := g.at(*link)
			n.generation, old.generation = old.generation, generation{}
			*link = old.before
			g.count--
		}
	}
	n.generation[m] = max(n.generation[m], position)
	for g.count > 0 && g.count >= most {
		oldest := g.at(g.first)
		g.first++
		if oldest.generation != (generation{}) {
			g.count--
			forget(&oldest.generation)
		}
	}
	if g.next-g.first >= uint64(len(g.ring)) {
		g.tidy()
	}
	g.add(n)
	g.count++
}

// add adds the newest raise, for which there is room.
func (g *keyGenerations) add(n keyGeneration) {
	link := &g.newest[place(n.hash, len(g.newest))]
	n.before, *link = *link, g.next
	*g.at(g.next) = n
	g.next++
}

// tidy drops the raises that say nothing, and makes the ring twice as long if
// they are less than half of it.
func (g *keyGenerations) tidy() {
	old := *g
	size := max(len(old.ring), leastRing)
	if 2*g.count > size {
		size *= 2
	}
	if size > len(old.ring) {
		g.ring, g.newest = make([]keyGeneration, size), make([]uint64, size)
	} else { // each raise moves to a number that was read, or to its own
		clear(g.newest)
	}
	g.next = g.first
	for i := old.first; i < old.next; i++ {
		if n := *old.at(i); n.generation != (generation{}) {
			g.add(n)
		}
	}
}

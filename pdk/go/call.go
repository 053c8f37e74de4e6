package edgecache

import (
	"iter"
	"unsafe"
)

const (
	inSize  = 64 << 10 // what the host writes
	outSize = 16 << 10 // what a verdict may take
	aligned = 16

	absent  = 0xffffffff // as an offset
	numeric = 0xfffffffe // as a length: the offset is the value
)

// memory holds the arena, which begins at the first aligned address in it.
var memory [inSize + outSize + aligned]byte

// A Call is a request that a filter is asked about: the arena, as the host wrote
// it. What it returns is gone when decide has returned.
type Call struct {
	magic                   uint32
	header, flags           uint16
	version, now            uint64
	count, instances        uint32
	stride, attributes      uint16
	slots, out, outCapacity uint32
	name, nameLength        uint32
	_                       [2]uint32
}

// A slot says where a string is, or holds a number.
type slot struct{ off, length uint32 }

func arena() *Call {
	at := uintptr(unsafe.Pointer(&memory))
	return (*Call)(unsafe.Pointer(&memory[-at&(aligned-1)]))
}

func (c *Call) at(off uint32) unsafe.Pointer { return unsafe.Add(unsafe.Pointer(c), off) }

func (c *Call) text(off, length uint32) string {
	if off == absent || length == 0 {
		return ""
	}
	return unsafe.String((*byte)(c.at(off)), length)
}

func (c *Call) slot(table uint32, i int) *slot {
	return (*slot)(c.at(table + uint32(i)*uint32(unsafe.Sizeof(slot{}))))
}

// Now returns the time of the call, in milliseconds since 1970 UTC. A verdict
// that depends on it is not Cacheable.
func (c *Call) Now() int64 { return int64(c.now) }

// Name returns the service's name.
func (c *Call) Name() string { return c.text(c.name, c.nameLength) }

// TooLong reports whether an attribute is absent because it was longer than 4 KiB.
func (c *Call) TooLong() bool { return c.flags&(1<<4) != 0 }

// Attribute returns an attribute of the request; the number is its place in the
// manifest's needs: headers, then query, then attrs. Not ok is: the request does
// not have it.
func (c *Call) Attribute(i int) (text string, ok bool) {
	if i < 0 || i >= int(c.attributes) {
		return "", false
	}
	s := c.slot(c.slots, i)
	if s.off == absent || s.length == numeric {
		return "", false
	}
	return c.text(s.off, s.length), true
}

// A Place is where a text lies: of the texts of a record, and the client's zone
// with them, two are the same if they have one place, and only then.
type Place uint64

// placed is what of a word is a place: the rest follows it in an instance.
const placed = 1<<48 - 1

// Place returns where an attribute's text lies. Not ok is: the request does not
// have it.
func (c *Call) Place(i int) (place Place, ok bool) {
	if i < 0 || i >= int(c.attributes) {
		return 0, false
	}
	s := c.slot(c.slots, i)
	return Place(s.length)<<32 | Place(s.off), s.off != absent && s.length != numeric
}

// Number returns an attribute that is a number, one of attrs with #hash.
func (c *Call) Number(i int) (number uint32, ok bool) {
	if i < 0 || i >= int(c.attributes) {
		return 0, false
	}
	s := c.slot(c.slots, i)
	return s.off, s.length == numeric
}

// Count returns the number of instances, 1024 at most.
func (c *Call) Count() int { return int(c.count) }

// At returns an instance, 0 to Count()-1.
func (c *Call) At(i int) *Instance {
	if uint(i) >= uint(c.count) {
		panic("edgecache: no such instance")
	}
	return (*Instance)(c.at(c.instances + uint32(i)*uint32(c.stride)))
}

// Instances are all instances, in the order that the answer would have.
func (c *Call) Instances() iter.Seq2[int, *Instance] {
	return func(yield func(int, *Instance) bool) {
		for i := range c.Count() {
			if !yield(i, c.At(i)) {
				return
			}
		}
	}
}

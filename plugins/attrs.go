package plugins

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"net/netip"
	"slices"
	"strings"

	"github.com/edgecache/edgecache/registry"
)

// A slot is an attribute that calls carry.
type slot struct {
	kind slotKind
	name string // of a header or parameter
}

type slotKind uint8

const (
	slotHeader slotKind = iota
	slotQuery
	slotZone
	slotZoneHash
	slotIP
)

// slotList returns the slots that a manifest asks for, in their order.
func (n *Needs) slotList() []slot {
	var list []slot
	for _, h := range n.Headers {
		list = append(list, slot{slotHeader, h})
	}
	for _, q := range n.Query {
		list = append(list, slot{slotQuery, q})
	}
	for _, a := range n.Attrs {
		list = append(list, slot{kind: map[string]slotKind{attrZone: slotZone, attrZoneHash: slotZoneHash, attrIP: slotIP}[a]})
	}
	return list
}

// varies returns the headers that answers vary by, and whether they are private
// to a client's address.
func (n *Needs) varies() (vary string, private bool) {
	headers := append([]string(nil), n.Headers...)
	for _, a := range n.Attrs {
		if (a == attrZone || a == attrZoneHash) && !slices.Contains(headers, "edgecache-zone") {
			headers = append(headers, "edgecache-zone")
		}
		private = true // all of them come from the address, where nothing else says them
	}
	return strings.Join(headers, ", "), private
}

// text returns what a slot holds, of any but slotIP.
func (s *slot) text(attrs registry.Attrs) (text string, ok bool) {
	switch s.kind {
	case slotHeader:
		return attrs.Header(s.name)
	case slotQuery:
		return attrs.Query(s.name)
	default:
		text = attrs.ClientZone()
		return text, text != ""
	}
}

// write puts a slot's value into a frame and returns what the slot says.
func (s *slot) write(t *tail, attrs registry.Attrs) (off, length uint32) {
	switch s.kind {
	case slotIP:
		return t.addr(attrs.ClientIP().WithZone(""))
	case slotZone, slotZoneHash:
		return t.zone(s.kind, attrs)
	}
	text, ok := s.text(attrs)
	if !ok {
		return slotAbsent, 0
	}
	return t.text(text)
}

// A tail is where a frame is free: texts of attributes go there.
type tail struct {
	arena   []byte
	end     int
	tooLong bool // a text was, or all together: it is absent

	entry *entryFrame
	asked bool    // for the client's zone
	its   string  // the client's zone
	at    *zoneAt // where it lies in the record; nil: it has none of its instances
}

// zone returns what a slot says of the client's zone.
func (t *tail) zone(kind slotKind, attrs registry.Attrs) (off, length uint32) {
	if !t.asked {
		if t.asked, t.its = true, attrs.ClientZone(); t.its != "" {
			t.at = t.entry.zoneAt(t.its)
		}
	}
	switch {
	case t.its == "":
		return slotAbsent, 0
	case kind == slotZone && t.at != nil:
		return t.at.off, uint32(len(t.its))
	case kind == slotZone:
		return t.text(t.its)
	case t.at != nil:
		return t.at.hash, slotNumeric
	}
	return zoneHash(t.its), slotNumeric
}

func (t *tail) text(text string) (off, length uint32) {
	// An address has room whatever a client sends, and a record leaves as much as
	// one text may take. What else fits depends on nothing that a key has not.
	if len(text) > maxAttr || t.end+len(text) > inCap-maxAddr {
		t.tooLong = true
		return slotAbsent, 0
	}
	off = uint32(t.end)
	t.end += copy(t.arena[t.end:], text)
	return off, uint32(len(text))
}

func (t *tail) addr(a netip.Addr) (off, length uint32) {
	if !a.IsValid() {
		return slotAbsent, 0
	}
	if t.end+maxAddr > inCap { // it is asked for many times
		t.tooLong = true
		return slotAbsent, 0
	}
	off = uint32(t.end)
	t.end += len(a.AppendTo(t.arena[t.end:t.end:inCap]))
	return off, uint32(t.end) - off
}

// nothing are the attributes of calls that have none.
type nothing struct{}

func (nothing) Header(string) (string, bool) { return "", false }
func (nothing) Query(string) (string, bool)  { return "", false }
func (nothing) ClientIP() netip.Addr         { return netip.Addr{} }
func (nothing) ClientZone() string           { return "" }

// keySlots returns the slots that the verdicts of a manifest depend on, the
// zone once.
func (n *Needs) keySlots() []slot {
	list := n.slotList()
	zoned := false
	return slices.DeleteFunc(list, func(s slot) bool {
		again := zoned && (s.kind == slotZone || s.kind == slotZoneHash)
		zoned = zoned || s.kind == slotZone || s.kind == slotZoneHash
		return again
	})
}

// seeds make the keys of memos unguessable: a client that could find two
// requests of one key could have one answered with the other's verdict.
var (
	seeds   = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	secrets = key{maphash.String(seeds[0], "secret"), maphash.String(seeds[1], "secret")}
)

// A key names what a verdict depends on besides the record: 128 bits.
type key [2]uint64

// mixed returns a hash of two numbers: the halves of their product, as wyhash has it.
func mixed(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// mix takes a number into the key.
func (k key) mix(n uint64) key {
	return key{mixed(k[0]^n^0x9e3779b97f4a7c15, 0xd6e8feb86659fd93), mixed(k[1]^n^0x9e3779b97f4a7c15, 0xa0761d6478bd642f)}
}

// string takes a string into the key.
func (k key) string(s string) key {
	k = k.mix(uint64(len(s))<<2 | 1)
	var a, b uint64
	switch n := len(s); {
	case n > 16:
		a, b = maphash.String(seeds[0], s), maphash.String(seeds[1], s)
	case n >= 8: // its first and last eight bytes, which may be some of the same
		a, b = word(s), word(s[n-8:])
	case n >= 4:
		a, b = uint64(half(s)), uint64(half(s[n-4:]))
	case n > 0:
		a = uint64(s[0]) | uint64(s[n/2])<<8 | uint64(s[n-1])<<16
	}
	return key{mixed(k[0]^a, secrets[0]^b), mixed(k[1]^a, secrets[1]^b)}
}

func half(s string) uint32 {
	_ = s[3]
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

func word(s string) uint64 { return uint64(half(s)) | uint64(half(s[4:]))<<32 }

var keyStart = key{maphash.String(seeds[0], "edgecache"), maphash.String(seeds[1], "edgecache")}

// keyOf returns the key of a call.
func (g *generation) keyOf(attrs registry.Attrs, sel *registry.Selection) key {
	k := keyStart
	for i := range g.keySlots {
		s := &g.keySlots[i]
		if s.kind == slotIP {
			b := attrs.ClientIP().As16()
			k = k.mix(uint64(attrs.ClientIP().BitLen())).mix(binary.LittleEndian.Uint64(b[:8])).mix(binary.LittleEndian.Uint64(b[8:]))
			continue
		}
		switch text, ok := s.text(attrs); {
		case !ok:
			k = k.mix(2)
		case len(text) > maxAttr:
			k = k.mix(3)
		default:
			k = k.string(text)
		}
	}
	if !sel.All {
		k = k.mix(uint64(len(sel.Picks)) + 1)
		for _, p := range sel.Picks {
			k = k.mix(uint64(p))
		}
	}
	return k
}

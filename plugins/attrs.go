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

// slots returns the slots that a manifest asks for, in their order.
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

// A value is what a slot holds in one call.
type value struct {
	text    string
	addr    netip.Addr // instead of text, if it is valid
	number  uint32
	numeric bool
	absent  bool
	tooLong bool
}

// of returns the value of a slot. attrs may be nil.
func (s *slot) of(attrs registry.Attrs) (v value) {
	if attrs == nil {
		return value{absent: true}
	}
	ok := true
	switch s.kind {
	case slotHeader:
		v.text, ok = attrs.Header(s.name)
	case slotQuery:
		v.text, ok = attrs.Query(s.name)
	case slotZone:
		v.text = attrs.ClientZone()
		ok = v.text != ""
	case slotZoneHash:
		zone := attrs.ClientZone()
		v.number, v.numeric, ok = zoneHash(zone), true, zone != ""
	case slotIP:
		v.addr = attrs.ClientIP().WithZone("")
		ok = v.addr.IsValid()
	}
	if !ok {
		return value{absent: true}
	}
	if len(v.text) > maxAttr {
		return value{absent: true, tooLong: true}
	}
	return v
}

// seeds make the keys of memos unguessable: a client that could find two
// requests of one key could have one answered with the other's verdict.
var seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

// A key names what a verdict depends on besides the record: 128 bits.
type key [2]uint64

// mixed returns a hash of a hash and a number.
func mixed(h, n, by uint64) uint64 {
	hi, lo := bits.Mul64(h^n^0x9e3779b97f4a7c15, by)
	return hi ^ lo
}

// mix takes a number into the key.
func (k key) mix(n uint64) key {
	return key{mixed(k[0], n, 0xd6e8feb86659fd93), mixed(k[1], n, 0xa0761d6478bd642f)}
}

// string takes a string into the key.
func (k key) string(s string) key {
	k = k.mix(uint64(len(s))<<2 | 1)
	return key{mixed(k[0], maphash.String(seeds[0], s), 0xe7037ed1a0b428db), mixed(k[1], maphash.String(seeds[1], s), 0x8ebc6af09c88c6e3)}
}

var keyStart = key{maphash.String(seeds[0], "edgecache"), maphash.String(seeds[1], "edgecache")}

// keyOf returns the key of a call.
func (g *generation) keyOf(attrs registry.Attrs, sel *registry.Selection) key {
	k := keyStart
	for i := range g.slots {
		switch v := g.slots[i].of(attrs); {
		case v.tooLong:
			k = k.mix(3)
		case v.absent:
			k = k.mix(2)
		case v.numeric:
			k = k.mix(uint64(v.number) << 2)
		case v.addr.IsValid():
			b := v.addr.As16()
			k = k.mix(uint64(v.addr.BitLen())).mix(binary.LittleEndian.Uint64(b[:8])).mix(binary.LittleEndian.Uint64(b[8:]))
		default:
			k = k.string(v.text)
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

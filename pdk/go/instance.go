package edgecache

import "unsafe"

// Health is an instance's.
type Health uint8

// An instance's health, as its registry says.
const (
	Unknown Health = iota
	Passing
	Warning
	Draining
	Critical
	Maintenance
)

// An Instance is one of those that the answer would hold. Strings that it does
// not have are empty.
type Instance struct {
	idHash        uint64
	zoneHash      uint32
	weight        uint32
	address       uint32
	addressLength uint16
	port          uint16
	health        Health
	flags         uint8
	versionLength uint16
	meta          uint32
	zone          uint32
	zoneLength    uint16
	idLength      uint16
	id            uint32
	version       uint32
}

// Same reports whether two texts are the same, as == does. The host has equal
// strings of a record once, so that most are told by where they are.
func Same(a, b string) bool {
	return len(a) == len(b) && (unsafe.StringData(a) == unsafe.StringData(b) || a == b)
}

// IDHash returns FNV-1a, of 64 bits, of the id.
func (in *Instance) IDHash() uint64 { return in.idHash }

// ZoneHash returns FNV-1a, of 32 bits, of the zone. Two zones may share it.
func (in *Instance) ZoneHash() uint32 { return in.zoneHash }

// Weight returns the share of load it wants, relative to others.
func (in *Instance) Weight() uint32 { return in.weight }

// Port returns that of the main endpoint.
func (in *Instance) Port() uint16 { return in.port }

// Health returns its health.
func (in *Instance) Health() Health { return in.health }

// TLS reports whether the main endpoint speaks TLS.
func (in *Instance) TLS() bool { return in.flags&1 != 0 }

// text returns a string, which is nowhere if it is empty.
func (in *Instance) text(off uint32, length uint16) string {
	return unsafe.String((*byte)(arena().at(off)), length)
}

// Address returns that of the main endpoint: a host's name or an IP address.
func (in *Instance) Address() string { return in.text(in.address, in.addressLength) }

// ID returns its id, which no other instance of the service has.
func (in *Instance) ID() string { return in.text(in.id, in.idLength) }

// Zone returns its zone.
func (in *Instance) Zone() string { return in.text(in.zone, in.zoneLength) }

// ZonePlace returns where its zone lies.
func (in *Instance) ZonePlace() Place { return *(*Place)(unsafe.Pointer(&in.zone)) & placed }

// Version returns its version.
func (in *Instance) Version() string { return in.text(in.version, in.versionLength) }

// Meta returns a value of its metadata; the number is its key's place in the
// manifest's needs.meta. Not ok is: it does not have the key.
func (in *Instance) Meta(key int) (value string, ok bool) {
	if in.meta == 0 {
		return "", false
	}
	c := arena()
	s := c.slot(in.meta, key)
	return c.text(s.off, s.length), s.off != absent
}

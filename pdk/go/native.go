//go:build !wasip1

package edgecache

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"unsafe"
)

// A Sample is an instance in a test.
type Sample struct {
	ID, Address, Zone, Version string
	Port                       uint16
	Weight                     uint32
	Health                     Health
	TLS                        bool
	Meta                       []any // in the order of needs.meta: a string, or nil if it is absent
}

// A Request is a call in a test. It is not for concurrent use: there is one arena.
type Request struct {
	Name       string
	Attributes []any // in the order of the needs: a string, a uint32, or nil if it is absent
	Instances  []Sample
	Now        int64 // milliseconds since 1970 UTC
	TooLong    bool
}

// A Decision is what a filter decided in a test.
type Decision struct {
	Verdict Verdict
	Kept    []int // instances, in order
	Status  int   // of a denial; 0: none
	Reason  string
	Failure string // what Fail said
}

var native struct {
	config map[string]string
	said   string
	log    []string
}

// Start runs the filter's start, with what Config finds at each pointer. Tests
// call it before Decide.
func Start(config map[string]string) error {
	native.config, native.said, native.log = config, "", nil
	if start() != 0 {
		return errors.New(native.said)
	}
	return nil
}

// Logged returns what the filter wrote to the log since Start.
func Logged() []string { return native.log }

// ZoneHash is that of client.zone#hash.
func ZoneHash(zone string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(zone))
	return h.Sum32()
}

// Decide asks the filter about a request.
func (r *Request) Decide() Decision {
	c := arena()
	end := r.write(c)
	if end > inSize {
		panic("edgecache: the request does not fit into a frame")
	}
	v := decides(c)
	d := Decision{Verdict: v}
	out := func(off int) []byte { return memoryAt(int(c.out)+off, outSize-off) }
	n, arg := len(r.Instances), uint32(v>>32)
	switch byte(v) {
	case actDeny:
		d.Status, d.Reason = int(uint16(v>>16)), string(out(0)[:arg])
	case actFail:
		d.Failure = native.said
	case actOrder:
		for i := range int(arg) {
			d.Kept = append(d.Kept, int(binary.LittleEndian.Uint16(out(2*i))))
		}
	default:
		var others []int
		for i := range n {
			if byte(v) == byte(Pass) || byte(v) == actMask32 && arg>>i&1 != 0 || byte(v) == actMask && out(0)[i/8]>>(i%8)&1 != 0 {
				d.Kept = append(d.Kept, i)
			} else {
				others = append(others, i)
			}
		}
		if v&first != 0 {
			d.Kept = append(d.Kept, others...)
		}
	}
	return d
}

// Made returns the call that the last Decide made up, for benchmarks of decide.
func Made() *Call { return arena() }

// memoryAt returns a part of the arena.
func memoryAt(off, length int) []byte {
	return unsafe.Slice((*byte)(arena().at(uint32(off))), length)
}

// write writes a frame as the host does, and returns its length.
func (r *Request) write(c *Call) int {
	const header, stride, slotSize, maxSlots = 64, 48, 8, 32
	b := memoryAt(0, inSize)
	end := header + maxSlots*slotSize + len(r.Instances)*stride
	strings := end
	// Equal texts lie at one place.
	add := func(s string) uint32 {
		if at := bytes.Index(b[strings:end], []byte(s)); at >= 0 && s != "" {
			return uint32(strings + at)
		}
		at := end
		end += copy(b[at:], s)
		return uint32(at)
	}
	fill := func(s *slot, value any) {
		switch v := value.(type) {
		case nil:
			*s = slot{absent, 0}
		case uint32:
			*s = slot{v, numeric}
		case string:
			*s = slot{add(v), uint32(len(v))}
		default:
			panic("edgecache: a string, a uint32 or nil expected")
		}
	}
	*c = Call{
		magic: 0x31464345, header: header, now: uint64(r.Now), count: uint32(len(r.Instances)),
		instances: header + maxSlots*slotSize, stride: stride, attributes: uint16(len(r.Attributes)), slots: header,
		out: inSize, outCapacity: outSize, name: add(r.Name), nameLength: uint32(len(r.Name)),
	}
	if r.TooLong {
		c.flags = 1 << 4
	}
	for i, a := range r.Attributes {
		fill(c.slot(header, i), a)
	}
	for i := range r.Instances {
		s, in := &r.Instances[i], c.At(i)
		id := fnv.New64a()
		_, _ = id.Write([]byte(s.ID))
		*in = Instance{
			idHash: id.Sum64(), zoneHash: ZoneHash(s.Zone), weight: s.Weight, port: s.Port, health: s.Health,
			address: add(s.Address), addressLength: uint16(len(s.Address)), zone: add(s.Zone), zoneLength: uint16(len(s.Zone)),
			id: add(s.ID), idLength: uint16(len(s.ID)), version: add(s.Version), versionLength: uint16(len(s.Version)),
		}
		if s.TLS {
			in.flags = 1
		}
		if len(s.Meta) > 0 {
			end = (end + 3) &^ 3
			in.meta = uint32(end)
			end += len(s.Meta) * slotSize
			for k, value := range s.Meta {
				fill(c.slot(in.meta, k), value)
			}
		}
	}
	return end
}

func hostLog(_ Level, text string) { native.log = append(native.log, text) }

func hostError(text string) { native.said = text }

func hostConfig(key string, buffer []byte) int {
	value, ok := native.config[key]
	if !ok {
		return -1
	}
	if len(value) <= len(buffer) {
		copy(buffer, value)
	}
	return len(value)
}

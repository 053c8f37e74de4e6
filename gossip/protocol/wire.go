package protocol

import (
	"encoding/binary"
	"fmt"
)

// The binary form of what peers send each other. Ids and epochs have 8 bytes,
// big-endian, other numbers are varints; strings, records and lists are
// preceded by their length.
//
//	hello   = major, minor (2 bytes each), node, epoch, name, address;
//	          from minor 1 on: gossip, zone, version
//	frame   = kind (1 byte), then one of
//	records = list of records
//	state   = bits (1 full, 2 entered, 4 newest), beacon, echo, list of marks, list of
//	          members; with bit 4, from minor 2 on: newest of each mark
//	pull    = origin, epoch, range
//	pulled  = origin, epoch, range, start, hard, list of records
//	refused = reason (1 byte)
//	mark    = origin, epoch, start, hard, list of ranges
//	range   = from, to
//
// A range's from is written as the distance from the least that it can be, its
// to as the distance from there: so what is not a valid set has no form.
//
// A newer minor version may add kinds, bits, and fields at the end of a hello
// or frame; an older one skips them. Major and minor come first for ever. Kinds
// from 64 on are not the protocol's: its callers may send each other such.
const (
	kindRecords = iota + 1
	kindState
	kindPull
	kindPulled
	kindRefused
)

const (
	bitFull = 1 << iota
	bitEntered
	bitNewest
)

// The least bytes of an element, by which announced counts are checked.
const (
	leastRange  = 2
	leastMark   = 2*8 + 3
	leastRecord = 1 + recordHeader
	leastMember = 8 + 4
)

// AppendHello appends the binary form of a hello. Its strings must not exceed
// 1 KiB.
func AppendHello(dst []byte, h Hello) []byte {
	dst = binary.BigEndian.AppendUint16(dst, h.Major)
	dst = binary.BigEndian.AppendUint16(dst, h.Minor)
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.Node))
	dst = binary.BigEndian.AppendUint64(dst, h.Epoch)
	dst = appendText(dst, h.Name)
	dst = appendText(dst, h.Address)
	if h.Minor == 0 {
		return dst
	}
	dst = appendText(dst, h.Gossip)
	dst = appendText(dst, h.Zone)
	return appendText(dst, h.Version)
}

// ParseHello reads the binary form of a hello. Of a newer major version it
// reads the version only.
func ParseHello(data []byte) (Hello, error) {
	d := decode(data)
	h := Hello{Major: d.uint16(), Minor: d.uint16()}
	if d.err == nil && h.Major > Major {
		return h, nil
	}
	if h.Major == 0 {
		d.fail("major version 0, 1 or newer expected")
	}
	h.Node, h.Epoch = NodeID(d.uint64()), d.uint64()
	h.Name, h.Address = d.text(), d.text()
	if h.Minor > 0 {
		h.Gossip, h.Zone, h.Version = d.text(), d.text(), d.text()
	}
	if d.err != nil {
		return Hello{}, d.failed("hello")
	}
	return h, nil
}

// AppendFrame appends the binary form of a frame. Of its records only Raw is
// written. Its ranges must be valid and its strings not exceed 1 KiB.
func AppendFrame(dst []byte, f Frame) []byte {
	switch f := f.(type) {
	case Records:
		return appendRecords(append(dst, kindRecords), f.Records)
	case State:
		return appendState(append(dst, kindState), f)
	case Pull:
		return appendRange(appendEpochID(append(dst, kindPull), f.EpochID), 1, f.Range)
	case Pulled:
		dst = appendRange(appendEpochID(append(dst, kindPulled), f.EpochID), 1, f.Range)
		dst = binary.AppendUvarint(dst, f.Start)
		dst = binary.AppendUvarint(dst, f.Hard)
		return appendRecords(dst, f.Records)
	case Refused:
		return append(dst, kindRefused, byte(f.Reason))
	}
	panic(fmt.Sprintf("protocol: a frame %T has no binary form", f))
}

// ParseFrame reads the binary form of a frame. A kind that is not known is a
// newer minor version's, to be skipped: it gives nil and no error. Nothing of
// the frame aliases data, except Record.Raw.
func ParseFrame(data []byte) (Frame, error) {
	d := decode(data)
	var f Frame
	kind := d.byte()
	switch kind {
	case kindRecords:
		f = Records{d.records()}
	case kindState:
		f = d.state()
	case kindPull:
		f = Pull{d.epochID(), d.sequences(1)}
	case kindPulled:
		f = Pulled{d.epochID(), d.sequences(1), d.seq("start", 1), d.seq("hard", 0), d.records()}
	case kindRefused:
		f = Refused{Reason(d.byte())}
	}
	if d.err != nil {
		return nil, d.failed(fmt.Sprintf("frame of kind %d", kind))
	}
	return f, nil
}

func appendState(dst []byte, s State) []byte {
	dst = append(dst, bit(bitFull, s.Full)|bit(bitEntered, s.Entered)|bitNewest)
	dst = binary.AppendUvarint(dst, s.Beacon)
	dst = binary.AppendUvarint(dst, s.Echo)
	dst = binary.AppendUvarint(dst, uint64(len(s.Marks)))
	for _, m := range s.Marks {
		dst = appendEpochID(dst, m.EpochID)
		dst = binary.AppendUvarint(dst, m.Start)
		dst = binary.AppendUvarint(dst, m.Hard)
		dst = appendRanges(dst, m.Logged)
	}
	dst = appendMembers(dst, s.Members)
	for _, m := range s.Marks {
		dst = binary.AppendUvarint(dst, m.Newest)
	}
	return dst
}

func (d *decoder) state() State {
	bits := d.byte()
	s := State{Full: bits&bitFull != 0, Entered: bits&bitEntered != 0, Beacon: d.uvarint(), Echo: d.uvarint()}
	if n := d.count("marks", leastMark); n > 0 {
		s.Marks = make([]Mark, n)
	}
	for i := range s.Marks {
		s.Marks[i] = Mark{EpochID: d.epochID(), Start: d.seq("start", 1), Hard: d.seq("hard", 0), Logged: d.ranges()}
	}
	s.Members = d.members()
	for i := range s.Marks {
		if m := &s.Marks[i]; bits&bitNewest != 0 {
			m.Newest = d.seq("newest", 0)
		} else {
			m.Newest = m.Logged.Max() // any may be hard
		}
	}
	return s
}

func appendRecords(dst []byte, list []Record) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, r := range list {
		dst = binary.AppendUvarint(dst, uint64(len(r.Raw)))
		dst = append(dst, r.Raw...)
	}
	return dst
}

func (d *decoder) records() []Record {
	n := d.count("records", leastRecord)
	if n == 0 {
		return nil
	}
	list := make([]Record, 0, n)
	for len(list) < n && d.err == nil {
		r, err := ParseRecord(d.next(d.count("bytes of a record", 1)))
		if err != nil {
			d.fail("%w", err)
		}
		list = append(list, r)
	}
	return list
}

func appendEpochID(dst []byte, id EpochID) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(id.Origin))
	return binary.BigEndian.AppendUint64(dst, id.Epoch)
}

// appendRange appends a range that cannot begin before first.
func appendRange(dst []byte, first uint64, r Range) []byte {
	dst = binary.AppendUvarint(dst, r.From-first)
	return binary.AppendUvarint(dst, r.To-r.From)
}

func appendRanges(dst []byte, list Ranges) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	first := uint64(1)
	for _, r := range list {
		dst = appendRange(dst, first, r)
		first = r.To + 2
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// bit returns a bit if it is on.
func bit(b byte, on bool) byte {
	if on {
		return b
	}
	return 0
}

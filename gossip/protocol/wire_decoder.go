package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	mostText = 1 << 10 // bytes of a string

	// No sequence comes near to it. Greater ones are refused, so that nobody
	// has to think of overflow who adds to one that was received.
	mostSeq = 1<<63 - 1
)

var errCutShort = errors.New("cut short")

// A decoder reads the binary form. After the first error it returns zeros; no
// list is made longer than the bytes that are left could fill.
type decoder struct {
	data []byte // what is left
	size int    // of all
	err  error
}

func decode(data []byte) decoder { return decoder{data: data, size: len(data)} }

// failed returns the error, with where it was.
func (d *decoder) failed(what string) error {
	return fmt.Errorf("%s: byte %d: %w", what, d.size-len(d.data), d.err)
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
}

// next returns the next n bytes, which alias the input.
func (d *decoder) next(n int) []byte {
	if d.err == nil && n > len(d.data) {
		d.err = errCutShort
	}
	if d.err != nil {
		return nil
	}
	b := d.data[:n:n]
	d.data = d.data[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.next(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint16() uint16 {
	if b := d.next(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if b := d.next(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Uvarint(d.data)
	switch {
	case n == 0:
		d.err = errCutShort
	case n < 0:
		d.fail("a number of more than 64 bits")
	default:
		d.data = d.data[n:]
		return v
	}
	return 0
}

// count reads the length of a list whose elements have at least size bytes.
func (d *decoder) count(what string, size int) int {
	n := d.uvarint()
	if d.err == nil && n > uint64(len(d.data)/size) {
		d.fail("%d %s announced, %d bytes are left", n, what, len(d.data))
	}
	if d.err != nil {
		return 0
	}
	return int(n)
}

func (d *decoder) text() string {
	n := d.count("bytes of a string", 1)
	if n > mostText {
		d.fail("a string of %d bytes, at most %d expected", n, mostText)
	}
	return string(d.next(n))
}

// seq reads a sequence that is at least so much.
func (d *decoder) seq(what string, least uint64) uint64 {
	seq := d.uvarint()
	if d.err == nil && (seq < least || seq > mostSeq) {
		d.fail("%s %d, %d to %d expected", what, seq, least, uint64(mostSeq))
	}
	return seq
}

func (d *decoder) epochID() EpochID {
	return EpochID{Origin: NodeID(d.uint64()), Epoch: d.uint64()}
}

// sequences reads a range that cannot begin before first.
func (d *decoder) sequences(first uint64) Range {
	from, length := d.uvarint(), d.uvarint()
	if from > mostSeq || length > mostSeq || first > mostSeq || first+from > mostSeq || first+from+length > mostSeq {
		d.fail("a range from %d+%d of %d more sequences, %d is the last", first, from, length, uint64(mostSeq))
	}
	if d.err != nil {
		return Range{}
	}
	return Range{From: first + from, To: first + from + length}
}

func (d *decoder) ranges() Ranges {
	n := d.count("ranges", leastRange)
	if n == 0 {
		return nil
	}
	list := make(Ranges, 0, n)
	for first := uint64(1); len(list) < n && d.err == nil; {
		r := d.sequences(first)
		list, first = append(list, r), r.To+2
	}
	return list
}

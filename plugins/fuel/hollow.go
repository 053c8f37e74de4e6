package fuel

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// Bytes that memory has between two segments of data, and in all, if they are
// written as one: each segment costs whoever reads the module as much as some
// hundred bytes, and Go's modules have twenty thousand.
const (
	maxGap  = 64
	maxGaps = 1 << 20
)

// Hollow returns a module that begins as the given one does, and has all that it
// has but what its functions do: they trap. It is what an engine needs of a module
// whose machine code it has, and read in a tenth of the time.
func Hollow(wasm []byte) ([]byte, error) {
	m := &module{}
	if err := m.split(&reader{b: wasm, at: len(header)}); err != nil {
		return nil, err
	}
	if m.has[sectionData] && !m.has[sectionDataCount] { // else its functions name segments by their number
		if data, ok := joined(m.parts[sectionData]); ok {
			m.parts[sectionData] = data
		}
	}
	hollow, _ := m.part(int(^uint(0) >> 1))
	return hollow, nil
}

// A segment is data at an address.
type segment struct {
	at   int64
	data []byte
}

// joined returns a data section with fewer segments, of which none overlap. Not ok
// is: one of them is not at an address that the module says, or they do.
func joined(section []byte) (out []byte, ok bool) {
	list, ok := segments(section)
	if !ok {
		return nil, false
	}
	slices.SortStableFunc(list, func(a, b segment) int { return cmp.Compare(a.at, b.at) })
	var whole []segment
	filled := 0
	for _, s := range list {
		if n := len(whole); n > 0 {
			last := &whole[n-1]
			switch gap := int(s.at - last.at - int64(len(last.data))); {
			case gap < 0:
				return nil, false
			case gap <= maxGap && filled+gap <= maxGaps:
				filled += gap
				last.data = append(append(last.data, make([]byte, gap)...), s.data...)
				continue
			}
		}
		whole = append(whole, segment{s.at, slices.Clip(s.data)}) // appended to, it is copied
	}
	out = appendSize(make([]byte, 0, len(section)+filled), len(whole))
	for _, s := range whole {
		out = appendSigned(append(out, 0, opI32Const), int32(uint32(s.at)))
		out = append(out, opEnd)
		out = append(binary.AppendUvarint(out, uint64(len(s.data))), s.data...)
	}
	return out, true
}

// segments reads a data section whose segments are all at a constant address.
func segments(section []byte) (list []segment, ok bool) {
	r := &reader{b: section}
	for range r.count() {
		if r.u32() != 0 || r.byte() != opI32Const {
			return nil, false
		}
		at := r.address()
		if r.byte() != opEnd {
			return nil, false
		}
		list = append(list, segment{at, r.take(r.count())})
	}
	return list, r.end() == nil
}

// address reads a signed number of 32 bits as the address that it is.
func (r *reader) address() int64 {
	from := r.at
	r.signed(32)
	var v uint32
	shift := 0
	for _, b := range r.b[from:r.at] {
		v |= uint32(b&0x7f) << shift
		shift += 7
	}
	if shift > 0 && shift < 32 && r.b[r.at-1]&0x40 != 0 {
		v |= ^uint32(0) << shift
	}
	return int64(v)
}

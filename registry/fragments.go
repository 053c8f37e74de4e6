package registry

import (
	"encoding/binary"
	"strconv"
	"time"
	"unsafe"
)

// Fragments is the native JSON of a record, built at first use and shared by
// all answers. An answer is
//
//	{"age_ms":412,"stale":false, + All
//
// or, for a selection, the head of All up to `"instances":[` + the picked
// instances with commas between + the tail of All from `]`.
type Fragments struct {
	text            string // All; where each instance ends in it, in endSize bytes each; the ETag
	head, all, ends uint32 // where the head, All and the ends of the instances end
	index           uint8  // digits of the index, the last ones of the head but for beforeInstances
}

const (
	beforeInstances = `,"instances":[` // what follows the index in the head
	endSize         = 4
)

// All returns everything after age and stale: `"name":"web",…}`.
func (f *Fragments) All() string { return f.text[:f.all] }

// ETag returns the weak ETag of the whole record: `W/"…"`.
func (f *Fragments) ETag() string { return f.text[f.ends:] }

// IndexText returns the index in decimal, for headers.
func (f *Fragments) IndexText() string {
	end := f.head - uint32(len(beforeInstances))
	return f.text[end-uint32(f.index) : end]
}

// Fragments returns the JSON of a sealed record.
func (r *Record) Fragments() *Fragments {
	if f := r.fragments.Load(); f != nil {
		return f
	}
	r.fragments.CompareAndSwap(nil, r.buildFragments())
	return r.fragments.Load()
}

func (r *Record) buildFragments() *Fragments {
	f := &Fragments{index: uint8(digits(r.Index))}
	ends := make([]uint32, 0, len(r.Instances))
	dst := appendHead(make([]byte, 0, r.sizeFragments()), r)
	f.head = uint32(len(dst))
	for i := range r.Instances {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendInstance(dst, &r.Instances[i], 0)
		ends = append(ends, uint32(len(dst)))
	}
	dst = appendTail(dst, r)
	f.all = uint32(len(dst))
	for _, end := range ends {
		dst = binary.LittleEndian.AppendUint32(dst, end)
	}
	f.ends = uint32(len(dst))
	dst = append(dst, `W/"`...)
	dst = strconv.AppendUint(dst, r.hash, 16)
	dst = append(dst, '"')
	if cap(dst) > allocated(len(dst)) {
		dst = append(make([]byte, 0, len(dst)), dst...) // escapes made it grow
	}
	f.text = unsafe.String(unsafe.SliceData(dst), len(dst)) // nobody has dst
	return f
}

// instances returns the JSON of the instances from one to another, with commas
// between.
func (f *Fragments) instances(first, last int) string {
	ends, from := f.text[f.all:f.ends], f.head
	if first > 0 {
		from = readEnd(ends[endSize*(first-1):]) + 1 // after the comma
	}
	return f.text[from:readEnd(ends[endSize*last:])]
}

// tail returns what follows the instances.
func (f *Fragments) tail() string {
	from := f.head
	if f.ends > f.all {
		from = readEnd(f.text[f.ends-endSize : f.ends])
	}
	return f.text[from:f.all]
}

// readEnd reads a number in little endian.
func readEnd(s string) uint32 {
	_ = s[endSize-1]
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

// AppendAnswer appends the native body of an answer: what sel (nil: all) picks
// of a sealed record, with its age and staleness. It allocates only to grow dst.
func AppendAnswer(dst []byte, rec *Record, sel *Selection, age time.Duration, stale bool) []byte {
	dst = append(dst, `{"age_ms":`...)
	dst = strconv.AppendInt(dst, max(age.Milliseconds(), 0), 10)
	dst = append(dst, `,"stale":`...)
	dst = strconv.AppendBool(dst, stale)
	dst = append(dst, ',')
	f := rec.Fragments()
	switch {
	case sel == nil || sel.All && sel.Port == "":
		return append(dst, f.All()...)
	case sel.Port != "":
		return appendByPort(dst, rec, sel, f)
	}
	dst = append(dst, f.text[:f.head]...)
	for picks := sel.Picks; len(picks) > 0; {
		run := 1
		for run < len(picks) && int(picks[run]) == int(picks[0])+run {
			run++
		}
		dst = append(dst, f.instances(int(picks[0]), int(picks[run-1]))...)
		if picks = picks[run:]; len(picks) > 0 {
			dst = append(dst, ',')
		}
	}
	return append(dst, f.tail()...)
}

// appendByPort appends the selected instances with the endpoint of the
// selection's name as the main one.
func appendByPort(dst []byte, rec *Record, sel *Selection, f *Fragments) []byte {
	dst = append(dst, f.text[:f.head]...)
	for i := range sel.Len(rec) {
		pick := i
		if !sel.All {
			pick = int(sel.Picks[i])
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		in := &rec.Instances[pick]
		dst = AppendInstance(dst, in, max(in.Endpoint(sel.Port), 0))
	}
	return append(dst, f.tail()...)
}

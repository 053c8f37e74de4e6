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
	text             string // where each instance ends, in 4 bytes each; All; the ETag
	start, head, end uint32 // All begins, its head ends and All ends before these bytes
	index            uint8  // digits of the index, the last ones of the head but for beforeInstances
}

// beforeInstances is what follows the index in the head.
const beforeInstances = `,"instances":[`

// All returns everything after age and stale: `"name":"web",…}`.
func (f *Fragments) All() string { return f.text[f.start:f.end] }

// ETag returns the weak ETag of the whole record: `W/"…"`.
func (f *Fragments) ETag() string { return f.text[f.end:] }

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
	f := &Fragments{start: uint32(endSize * len(r.Instances)), index: uint8(digits(r.Index))}
	dst := appendHead(make([]byte, f.start, r.sizeFragments()), r)
	f.head = uint32(len(dst))
	for i := range r.Instances {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendInstance(dst, &r.Instances[i], 0)
		binary.LittleEndian.PutUint32(dst[endSize*i:], uint32(len(dst)))
	}
	dst = appendTail(dst, r)
	f.end = uint32(len(dst))
	dst = append(dst, `W/"`...)
	dst = strconv.AppendUint(dst, r.hash, 16)
	dst = append(dst, '"')
	if cap(dst) > allocated(len(dst)) {
		dst = append(make([]byte, 0, len(dst)), dst...) // escapes made it grow
	}
	f.text = unsafe.String(unsafe.SliceData(dst), len(dst)) // nobody has dst
	return f
}

// endSize is how many bytes say where an instance ends.
const endSize = 4

// instanceEnd returns where instance i ends, without a comma.
func (f *Fragments) instanceEnd(i int) uint32 {
	at := f.text[endSize*i:]
	return uint32(at[0]) | uint32(at[1])<<8 | uint32(at[2])<<16 | uint32(at[3])<<24
}

// instance returns the JSON of instance i.
func (f *Fragments) instance(i int) string {
	from := f.head
	if i > 0 {
		from = f.instanceEnd(i-1) + 1 // the comma
	}
	return f.text[from:f.instanceEnd(i)]
}

// before returns the head, and after the tail.
func (f *Fragments) before() string { return f.text[f.start:f.head] }

func (f *Fragments) after() string {
	from := f.head
	if f.start > 0 {
		from = f.instanceEnd(int(f.start)/endSize - 1)
	}
	return f.text[from:f.end]
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
	dst = append(dst, f.before()...)
	for i, pick := range sel.Picks {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, f.instance(int(pick))...)
	}
	return append(dst, f.after()...)
}

// appendByPort appends the selected instances with the endpoint of the
// selection's name as the main one.
func appendByPort(dst []byte, rec *Record, sel *Selection, f *Fragments) []byte {
	dst = append(dst, f.before()...)
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
	return append(dst, f.after()...)
}

package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// The binary form of what nodes say about copies. The first byte is the kind;
// nodes that do not know it skip it. Numbers are varints, strings and entries
// are preceded by their length.
//
//	ask     = number, bits (1 any), younger (ns, plus one; 0: any age), source, registry, name
//	filling = number
//	none    = number
//	copy    = number, bits (2 fresh, 4 provisional), age (ns), source, registry, name, entry
//	push    = as copy; number is 0
//
// Fields that a newer version adds at the end are skipped.
const (
	kindAsk = 0x40 + iota
	kindFilling
	kindNone
	kindCopy
	kindPush

	kindCopiesEnd
)

const (
	bitAny         = 1
	bitFresh       = 2
	bitProvisional = 4
)

// aboutCopies reports whether a frame is one of these.
func aboutCopies(data []byte) bool {
	return len(data) > 0 && data[0] >= kindAsk && data[0] < kindCopiesEnd
}

// A copyFrame is any of these frames.
type copyFrame struct {
	kind   byte
	number uint64
	ask    registry.Ask // of a copy: its source
	copy   registry.Copy
}

func appendAsk(dst []byte, number uint64, a registry.Ask) []byte {
	dst = binary.AppendUvarint(append(dst, kindAsk), number)
	bits := byte(0)
	if a.Any {
		bits = bitAny
	}
	dst = binary.AppendUvarint(append(dst, bits), uint64(max(a.Younger, -1)+1))
	return appendKey(dst, a.Source, a.Key)
}

func appendFilling(dst []byte, number uint64) []byte {
	return binary.AppendUvarint(append(dst, kindFilling), number)
}

func appendNone(dst []byte, number uint64) []byte {
	return binary.AppendUvarint(append(dst, kindNone), number)
}

func appendCopy(dst []byte, kind byte, number uint64, cp registry.Copy, source string) []byte {
	dst = binary.AppendUvarint(append(dst, kind), number)
	bits := byte(0)
	if cp.Fresh {
		bits |= bitFresh
	}
	if cp.Provisional {
		bits |= bitProvisional
	}
	dst = binary.AppendUvarint(append(dst, bits), uint64(max(cp.Age, 0)))
	dst = appendKey(dst, source, cp.Key)
	entry := registry.AppendEntry(nil, &cp.Entry)
	return append(binary.AppendUvarint(dst, uint64(len(entry))), entry...)
}

func appendKey(dst []byte, source string, k registry.Key) []byte {
	for _, s := range []string{source, k.Registry, k.Name} {
		dst = append(binary.AppendUvarint(dst, uint64(len(s))), s...)
	}
	return dst
}

// parseCopyFrame reads any of these frames; nothing of it aliases data.
func parseCopyFrame(data []byte) (f copyFrame, err error) {
	r := copyReader{rest: data}
	f.kind = r.bytes(1)[0]
	f.number = r.number()
	switch f.kind {
	case kindAsk:
		f.ask.Any = r.bytes(1)[0]&bitAny != 0
		f.ask.Younger = r.duration() - 1
		f.ask.Source, f.ask.Key = r.key()
	case kindCopy, kindPush:
		bits := r.bytes(1)[0]
		f.copy.Fresh, f.copy.Provisional = bits&bitFresh != 0, bits&bitProvisional != 0
		f.copy.Age = r.duration()
		f.ask.Source, f.ask.Key = r.key()
		entry := r.text()
		if r.err != nil {
			break
		}
		e, err := registry.ParseEntry([]byte(entry))
		switch {
		case err != nil:
			r.err = err
		case e.Key != f.ask.Key:
			r.err = fmt.Errorf("a copy of %s in place of %s", e.Key, f.ask.Key)
		default:
			f.copy.Entry = *e
		}
	}
	if r.err != nil {
		return copyFrame{}, fmt.Errorf("frame of kind %#x: %w", f.kind, r.err)
	}
	return f, nil
}

// A copyReader reads fields; after the first error it returns zeros.
type copyReader struct {
	rest []byte
	err  error
}

var errCut = errors.New("cut short")

func (r *copyReader) bytes(n uint64) []byte {
	if r.err != nil || uint64(len(r.rest)) < n {
		r.err = errCut
		return []byte{0}
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *copyReader) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	if r.err != nil || n <= 0 {
		r.err = errCut
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

const longest = 100 * 365 * 24 * time.Hour

func (r *copyReader) duration() time.Duration {
	v := r.number()
	if v > uint64(longest) {
		r.err = fmt.Errorf("a time of %d ns", v)
		return 0
	}
	return time.Duration(v)
}

func (r *copyReader) text() string {
	n := r.number()
	if r.err != nil {
		return ""
	}
	b := r.bytes(n)
	if r.err != nil {
		return ""
	}
	return string(b)
}

func (r *copyReader) key() (source string, k registry.Key) {
	source = r.text()
	k.Registry = r.text()
	k.Name = r.text()
	return source, k
}

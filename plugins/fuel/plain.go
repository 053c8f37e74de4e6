package fuel

import (
	"encoding/binary"
	"iter"
)

// maxPart is the code of a module to validate, but for the last body: what
// validates takes a hundred times as much memory, and more.
const maxPart = 1 << 20

// Plain returns the original without its custom sections, to be validated: modules
// that have some bodies each, and else nothing to do. If all are valid, it is.
func (m *Module) Plain() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		n := len(m.plain.types)
		part, next := m.plain.part(0)
		for yield(part) && next < n {
			part, next = m.plain.part(next)
		}
	}
}

// part returns the module with the bodies from one on, and the first that it has
// not.
func (m module) part(from int) (part []byte, next int) {
	r := &reader{b: m.parts[sectionCode]}
	n := 0
	if m.has[sectionCode] {
		n = r.count()
	}
	code, size := binary.AppendUvarint(nil, uint64(n)), 0
	next = n
	for i := range n {
		body := r.take(int(r.u32()))
		if i < from || i >= next {
			body = []byte{0, opUnreachable, opEnd}
		} else if size += len(body); size > maxPart {
			next = i + 1
		}
		code = append(binary.AppendUvarint(code, uint64(len(body))), body...)
	}
	m.parts[sectionCode] = code
	return m.join(len(code)), next
}

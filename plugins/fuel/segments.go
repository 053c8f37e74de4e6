package fuel

import "fmt"

// Whoever reads a module makes room for as many items as a vector says that it
// has: of segments and names that would be gigabytes for a module of twenty
// bytes. So they are read here, though nothing of them is changed.

func (m *module) readElements(r *reader) error {
	for i := range r.count() {
		kind := r.u32()
		if r.err == nil && kind > 7 {
			return fmt.Errorf("element segment %d is of kind %d, 0 to 7 are known", i, kind)
		}
		if kind&3 == 2 { // names its table
			r.u32()
		}
		if kind&1 == 0 { // has a place in it
			if err := m.constant(r); err != nil {
				return err
			}
		}
		if kind&3 != 0 { // says what it holds
			r.byte()
		}
		for range r.count() {
			if kind&4 == 0 {
				r.u32()
			} else if err := m.constant(r); err != nil {
				return err
			}
		}
	}
	return r.err
}

func (m *module) readData(r *reader) error {
	for i := range r.count() {
		kind := r.u32()
		if r.err == nil && kind > 2 {
			return fmt.Errorf("data segment %d is of kind %d, 0 to 2 are known", i, kind)
		}
		if kind == 2 { // names its memory
			r.u32()
		}
		if kind != 1 { // has a place in it
			if err := m.constant(r); err != nil {
				return err
			}
		}
		r.take(r.count())
	}
	return r.err
}

// functionNames returns the names section with nothing in it but the names of
// functions; nil if it is not well formed.
func functionNames(section []byte) []byte {
	r := &reader{b: section}
	for r.name(); r.more(); {
		id := r.byte()
		content := r.take(int(r.u32()))
		if id != 1 || r.err != nil {
			continue
		}
		names := &reader{b: content}
		for range names.count() {
			names.u32()
			names.name()
		}
		if names.end() != nil {
			return nil
		}
		out := append([]byte{4}, "name"...)
		out = append(out, 1)
		return append(appendSize(out, len(content)), content...)
	}
	return nil
}

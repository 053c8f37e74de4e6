package fuel

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// Sections of a module, by their number.
const (
	sectionCustom = iota
	sectionType
	sectionImport
	sectionFunction
	sectionTable
	sectionMemory
	sectionGlobal
	sectionExport
	sectionStart
	sectionElement
	sectionCode
	sectionData
	sectionDataCount
	sections
)

// order is that of the sections in a module.
var order = [...]int{sectionType, sectionImport, sectionFunction, sectionTable, sectionMemory, sectionGlobal, sectionExport,
	sectionStart, sectionElement, sectionDataCount, sectionCode, sectionData}

const (
	kindFunction = iota
	kindTable
	kindMemory
	kindGlobal
)

var header = []byte("\x00asm\x01\x00\x00\x00")

// A module is a binary taken apart. Its parts alias the binary.
type module struct {
	parts [sections][]byte // contents of the sections
	has   [sections]bool
	names []byte // the custom section "name"

	params   []int  // of each type
	number   []bool // of each type, whether it is () -> i32
	imported int    // functions
	types    []int  // of each function that is not imported
	globals  int
	mutable  int    // globals among them
	endless  []bool // of each table, whether it has no maximum
	start    int    // the function, -1: none
	refill   int    // the imported function that gives more fuel, -1: none
}

// parse takes a module apart and refuses what the rewriter or its host could
// not hold to its bounds.
func parse(binary []byte, refill Import) (*module, error) {
	if !bytes.HasPrefix(binary, header) {
		if bytes.HasPrefix(binary, header[:4]) && len(binary) >= 8 && binary[6] == 1 {
			return nil, errors.New("this is a component; a core module is expected (for Rust target wasm32-unknown-unknown, for Go wasip1)")
		}
		return nil, errors.New("not a WebAssembly module of version 1")
	}
	m := &module{start: -1, refill: -1}
	if err := m.split(&reader{b: binary, at: len(header)}); err != nil {
		return nil, err
	}
	for _, part := range [...]struct {
		section int
		read    func(*reader) error
	}{
		{sectionType, m.readTypes}, {sectionImport, func(r *reader) error { return m.readImports(r, refill) }}, {sectionFunction, m.readFunctions}, {sectionTable, m.readTables},
		{sectionMemory, readMemories}, {sectionGlobal, m.readGlobals}, {sectionExport, readExports}, {sectionStart, m.readStart},
		{sectionElement, m.readElements}, {sectionData, m.readData},
	} {
		if !m.has[part.section] {
			continue
		}
		r := &reader{b: m.parts[part.section]}
		if err := part.read(r); err != nil {
			return nil, err
		}
		if err := r.end(); err != nil {
			return nil, fmt.Errorf("section %d: %w", part.section, err)
		}
	}
	return m, nil
}

func (m *module) split(r *reader) error {
	last := -1
	for r.more() {
		id := r.byte()
		content := r.take(int(r.u32()))
		if r.err != nil {
			break
		}
		if id == sectionCustom {
			if c := (&reader{b: content}); c.name() == "name" {
				m.names = functionNames(content)
			}
			continue
		}
		rank := -1
		for i, section := range order {
			if section == int(id) {
				rank = i
			}
		}
		if rank <= last {
			return fmt.Errorf("section %d is not known, or not in its place", id)
		}
		last = rank
		m.parts[id], m.has[id] = content, true
	}
	return r.err
}

func (m *module) readTypes(r *reader) error {
	for range r.count() {
		if form := r.byte(); r.err == nil && form != 0x60 {
			return fmt.Errorf("type %#x is not that of a function", form)
		}
		params := r.count()
		r.take(params)
		results := r.take(r.count())
		m.params = append(m.params, params)
		m.number = append(m.number, params == 0 && len(results) == 1 && results[0] == valueI32)
	}
	return nil
}

func (m *module) readImports(r *reader, refill Import) error {
	for range r.count() {
		from, name := r.name(), r.name()
		if kind := r.byte(); r.err == nil && kind != kindFunction {
			what := [...]string{kindTable: "a table", kindMemory: "a memory", kindGlobal: "a global"}
			if int(kind) >= len(what) {
				return fmt.Errorf("import %s.%s is of kind %d; only functions can be imported", from, name, kind)
			}
			return fmt.Errorf("import %s.%s is %s; only functions can be imported", from, name, what[kind])
		}
		if t := int(r.u32()); (Import{string(from), string(name)}) == refill && t < len(m.number) && m.number[t] {
			m.refill = m.imported
		}
		m.imported++
	}
	return nil
}

func (m *module) readFunctions(r *reader) error {
	for range r.count() {
		t := int(r.u32())
		if r.err == nil && t >= len(m.params) {
			return fmt.Errorf("function %d is of type %d, there are %d", m.imported+len(m.types), t, len(m.params))
		}
		m.types = append(m.types, t)
	}
	if len(m.types) > maxFuncs {
		return fmt.Errorf("%d functions, at most %d are expected", len(m.types), maxFuncs)
	}
	return nil
}

// readTables notes which tables have no maximum: Go's have none, and do not grow.
func (m *module) readTables(r *reader) error {
	for i := range r.count() {
		r.byte()
		limited, least, most := r.limits()
		if r.err == nil && max(least, most) > maxTable {
			return fmt.Errorf("table %d has up to %d elements, at most %d are expected", i, max(least, most), maxTable)
		}
		m.endless = append(m.endless, !limited)
	}
	return nil
}

func readMemories(r *reader) error {
	if n := r.count(); n > 1 {
		return fmt.Errorf("%d memories, at most one is expected", n)
	} else if n == 1 {
		r.limits()
	}
	return nil
}

func (r *reader) limits() (limited bool, least, most uint32) {
	flags := r.byte()
	least = r.u32()
	if limited = flags&1 != 0; limited {
		most = r.u32()
	}
	if flags > 1 {
		r.fail(errors.New("limits of a kind that is not supported (shared or 64-bit memory)"))
	}
	return limited, least, most
}

func (m *module) readGlobals(r *reader) error {
	m.globals = r.count()
	for range m.globals {
		r.byte()
		if r.byte() == 1 {
			m.mutable++
		}
		if err := m.constant(r); err != nil {
			return err
		}
	}
	if m.mutable > maxMutable {
		return fmt.Errorf("%d mutable globals, at most %d are expected", m.mutable, maxMutable)
	}
	return nil
}

// constant reads a constant expression. No global of a module that imports none
// may be in one.
func (m *module) constant(r *reader) error {
	for {
		op := r.byte()
		if r.err != nil || op == opEnd {
			return r.err
		}
		switch imm := instructions[op].imm; {
		case op == opGlobalGet:
			return errors.New("a constant expression reads a global, and none is imported")
		case op == opVector && r.u32() == 12:
			r.take(16)
		case imm == immI32 || imm == immI64 || imm == immF32 || imm == immF64 || imm == immRef || op == 0xd2:
			r.immediate(imm)
		default:
			return fmt.Errorf("opcode %#x is none of a constant expression", op)
		}
	}
}

func readExports(r *reader) error {
	for range r.count() {
		name := r.name()
		if strings.HasPrefix(name, reserved) {
			return fmt.Errorf("export %q: names that begin with %s are the host's", name, reserved)
		}
		r.byte()
		r.u32()
	}
	return nil
}

func (m *module) readStart(r *reader) error {
	m.start = int(r.u32())
	return nil
}

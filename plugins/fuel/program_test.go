package fuel_test

import "encoding/binary"

// A program is a random module that is valid and ends: bytes decide what is in
// it. Its functions (i32, i64) -> i64 call earlier ones, and any so many times in
// all; its loops count.
type program struct {
	choices []byte
	funcs   int
	code    []byte
	locals  int  // of i32, one for each loop
	loops   int  // open ones
	grows   bool // its memory may
}

const (
	programFuncs = 4
	loopLocals   = 24
	pages        = 2
	mostPages    = 8
	recursions   = 60
)

// moved is more than an instruction moves, in fuel.
func (p *program) moved() int32 {
	if p.grows {
		return 2 * mostPages << 12
	}
	return 40
}

func (p *program) choose(n int) int {
	if len(p.choices) == 0 {
		return 0
	}
	c := int(p.choices[0]) % n
	p.choices = p.choices[1:]
	return c
}

func (p *program) op(b ...byte) { p.code = append(p.code, b...) }

func uleb(v uint64) []byte { return binary.AppendUvarint(nil, v) }

func vector(items ...[]byte) []byte {
	out := uleb(uint64(len(items)))
	for _, item := range items {
		out = append(out, item...)
	}
	return out
}

func sized(b []byte) []byte { return append(uleb(uint64(len(b))), b...) }

func section(id byte, content []byte) []byte { return append([]byte{id}, sized(content)...) }

// module returns the binary; it exports memory and f, the last function.
func (p *program) module() []byte {
	const i32, i64, f64 = 0x7f, 0x7e, 0x7c
	var types, bodies, elements [][]byte
	p.grows = p.choose(4) == 1
	for p.funcs = 0; p.funcs < programFuncs; p.funcs++ {
		p.code, p.locals = nil, 0
		if p.choose(2) == 1 {
			p.op(0x03, 0x40, 0x02, 0x40, 0x41, 1, 0x0e, 1, 1, 0, 0x0b, 0x0b) // a br_table in a loop
		}
		if p.choose(2) == 1 {
			p.recurse()
			p.op(0x21, 1)
		}
		p.statements(3)
		p.i64(2)
		p.op(0x0b)
		locals := vector([]byte{loopLocals, i32}, []byte{1, f64})
		bodies = append(bodies, sized(append(locals, p.code...)))
		types = append(types, []byte{0})
		elements = append(elements, []byte{0}) // only the first is called through the table
	}
	name := func(s string) []byte { return append(uleb(uint64(len(s))), s...) }
	out := []byte("\x00asm\x01\x00\x00\x00")
	out = append(out, section(1, vector([]byte{0x60, 2, i32, i64, 1, i64}))...)
	out = append(out, section(3, vector(types...))...)
	out = append(out, section(4, vector([]byte{0x70, 1, 8, 16}))...)
	out = append(out, section(5, vector([]byte{1, pages, mostPages}))...)
	out = append(out, section(6, vector([]byte{i32, 1, 0x41, 7, 0x0b}, []byte{i64, 1, 0x42, 9, 0x0b}, []byte{i32, 1, 0x41, recursions, 0x0b}))...)
	out = append(out, section(7, vector(append(name("f"), 0, programFuncs-1), append(name("memory"), 2, 0)))...)
	out = append(out, section(9, vector(append([]byte{0, 0x41, 0, 0x0b}, vector(elements...)...)))...)
	out = append(out, section(12, []byte{1})...)
	out = append(out, section(10, vector(bodies...))...)
	return append(out, section(11, vector(append([]byte{1}, sized([]byte("some bytes of data"))...)))...)
}

func (p *program) statements(depth int) {
	for range 1 + p.choose(4) {
		p.statement(depth)
	}
}

func (p *program) statement(depth int) {
	kinds := 14
	if depth == 0 {
		kinds = 8
	}
	switch p.choose(kinds) {
	case 0:
		p.i32(2)
		p.op(0x21, 0) // local.set
	case 1:
		p.i64(2)
		p.op(0x21, 1)
	case 2:
		p.i64(2)
		p.op(0x24, 1) // global.set
	case 3:
		p.address()
		p.i64(2)
		p.op(0x37, 0, byte(p.choose(64))) // i64.store
	case 4:
		p.f64(2)
		p.op(0x21, 2+loopLocals)
	case 5: // memory.copy, fill or init
		p.address()
		if p.choose(2) == 0 {
			p.address()
			p.length()
			p.op(0xfc, 10, 0, 0)
		} else {
			p.i32(1)
			p.length()
			p.op(0xfc, 11, 0)
		}
	case 6:
		p.op(0x41, byte(p.choose(16)), 0x41, byte(p.choose(8)), 0x41, byte(p.choose(20)), 0xfc, 8, 0, 0) // memory.init
	case 7:
		p.op(0xd2, 0, 0x41, byte(p.choose(3)), 0xfc, 15, 0, 0x1a) // table.grow
	case 8: // a block that may be left
		p.op(0x02, 0x40)
		p.statements(depth - 1)
		p.i32(1)
		p.op(0x0d, 0)
		p.statements(depth - 1)
		p.op(0x0b)
	case 9, 10:
		p.loop(depth)
	case 11:
		p.i32(2)
		p.op(0x04, 0x40)
		p.statements(depth - 1)
		if p.choose(2) == 0 {
			p.op(0x05)
			p.statements(depth - 1)
		}
		p.op(0x0b)
	case 12: // a br_table to three places
		p.op(0x02, 0x40, 0x02, 0x40, 0x02, 0x40)
		p.i32(1)
		p.op(0x0e, 2, 0, 1, 2, 0x0b)
		p.statements(depth - 1)
		p.op(0x0c, 1, 0x0b)
		p.statements(depth - 1)
		p.op(0x0b)
	case 13:
		p.i32(1)
		p.op(0x04, 0x40)
		p.i64(1)
		p.op(0x0f, 0x0b) // return
	}
}

// loop runs its body up to three times.
func (p *program) loop(depth int) {
	if p.locals == loopLocals || p.loops == 2 {
		return
	}
	counter := byte(2 + p.locals)
	p.locals++
	p.loops++
	p.op(0x41, byte(1+p.choose(3)), 0x21, counter, 0x03, 0x40)
	p.statements(depth - 1)
	p.op(0x20, counter, 0x41, 1, 0x6b, 0x22, counter, 0x0d, 0, 0x0b)
	p.loops--
}

func (p *program) address() {
	p.i32(1)
	p.op(0x41, 0xff, 0xff, 0x03, 0x71) // & 0xffff
}

func (p *program) length() {
	p.i32(1)
	p.op(0x41, 0xff, 0x07, 0x71) // & 0x3ff
}

func (p *program) i32(depth int) {
	kinds := 10
	if depth == 0 {
		kinds = 3
	}
	switch p.choose(kinds) {
	case 0:
		p.op(0x41, byte(p.choose(64)))
	case 1:
		p.op(0x20, 0)
	case 2:
		p.op(0x23, 0)
	case 3, 4:
		p.i32(depth - 1)
		p.i32(depth - 1)
		p.op(byte(0x6a + p.choose(15)))
	case 5:
		p.address()
		p.op(0x28, 0, byte(p.choose(64)))
	case 6:
		p.i64(depth - 1)
		p.op(0xa7)
	case 7:
		p.op(0x3f, 0)
	case 8:
		if p.op(0x41, byte(p.choose(2))); p.grows {
			p.op(0x40, 0) // memory.grow
		}
	case 9:
		p.f64(depth - 1)
		p.op(0xfc, 2)
	}
}

func (p *program) i64(depth int) {
	kinds := 9
	if depth == 0 {
		kinds = 3
	}
	switch p.choose(kinds) {
	case 0:
		p.op(0x42, byte(p.choose(64)))
	case 1:
		p.op(0x20, 1)
	case 2:
		p.op(0x23, 1)
	case 3, 4:
		p.i64(depth - 1)
		p.i64(depth - 1)
		p.op(byte(0x7c + p.choose(15)))
	case 5:
		p.address()
		p.op(0x29, 0, byte(p.choose(64)))
	case 6:
		if p.funcs == 0 {
			p.op(0x42, 1)
			return
		}
		p.i32(depth - 1)
		p.i64(depth - 1)
		p.op(0x10, byte(p.choose(p.funcs)))
	case 7:
		if p.funcs == 0 {
			p.op(0x42, 2)
			return
		}
		p.i32(depth - 1)
		p.i64(depth - 1)
		p.op(0x41, byte(p.choose(10)), 0x11, 0, 0) // call_indirect: null or outside, too
	case 8:
		p.recurse()
	}
}

// recurse calls any function, while the third global lasts.
func (p *program) recurse() {
	p.op(0x23, 2, 0x04, 0x7e, 0x23, 2, 0x41, 1, 0x6b, 0x24, 2) // if it is not 0, it is one less
	p.i32(0)
	p.i64(0)
	p.op(0x10, byte(p.choose(programFuncs)), 0x05)
	p.i64(0)
	p.op(0x0b)
}

func (p *program) f64(depth int) {
	kinds := 5
	if depth == 0 {
		kinds = 2
	}
	switch p.choose(kinds) {
	case 0:
		p.op(0x44, 0, 0, 0, 0, 0, 0, byte(p.choose(256)), 0x40)
	case 1:
		p.op(0x20, 2+loopLocals)
	case 2:
		p.i64(depth - 1)
		p.op(0xb9)
	case 3:
		p.f64(depth - 1)
		p.f64(depth - 1)
		p.op(byte(0xa0 + p.choose(4)))
	case 4:
		p.f64(depth - 1)
		p.op(0x9f)
	}
}

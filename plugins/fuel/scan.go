package fuel

import (
	"errors"
	"fmt"
	"slices"
)

// A site is a place in a body at which fuel is charged.
type site struct {
	at     int // byte of the body before which it stands
	weight uint32
	look   bool   // whether any is left
	length uint16 // opcode whose operand is charged, opMemoryGrow or of misc; 0: none
	table  uint32 // that table.grow is about
}

// A scan goes once through a function's body and finds where to charge what.
type scan struct {
	reader
	m      *module
	locals int // parameters among them
	open   []control

	blocks  []site // each basic block
	regions []site // function and loops, each for all that is in it and in no inner loop
	calls   []site // a look after each call
	lengths []site
	table   bool // a br_table sits in a loop
	leaders int  // basic blocks
}

// A control is a block, loop, if or function that is open.
type control struct {
	region int // the site of regions that pays for what is in it
	loop   bool
	inLoop bool
}

// body finds the sites of a function's body, in their order. locals is the
// offset of the first instruction.
func (m *module) body(code []byte, params int) (s *scan, first int, err error) {
	s = &scan{reader: reader{b: code}, m: m, locals: params}
	groups := s.count()
	for range groups {
		n := s.u32()
		s.byte()
		if s.err == nil && (n > maxLocals || s.locals+int(n) > maxLocals) {
			return nil, 0, fmt.Errorf("more than %d locals", maxLocals)
		}
		s.locals += int(n)
	}
	first = s.at
	entry := uint32(weightEntry + s.locals/localsShare)
	s.blocks = append(s.blocks, site{at: first, weight: entry, look: true})
	s.regions = append(s.regions, site{at: first, weight: entry, look: true})
	s.open = append(s.open, control{})
	s.leaders = 1
	for len(s.open) > 0 && s.err == nil {
		s.instruction()
	}
	return s, first, s.end()
}

func (s *scan) instruction() {
	at := s.at
	op := s.byte()
	known := instructions[op]
	index := uint32(op)
	switch op {
	case opMisc:
		if index = s.u32(); index < uint32(len(misc)) {
			known = misc[index]
		}
	case opVector:
		if index = s.u32(); index < uint32(len(vector)) {
			known = vector[index]
		}
	}
	if s.err != nil {
		return
	}
	weight, table := uint32(known.weight), uint32(0)
	switch {
	case known.imm == immUnknown:
		s.at = at
		s.fail(fmt.Errorf("opcode %#x %#x is not supported", op, index))
		return
	case op == opCall:
		if f := s.u32(); f < uint32(s.m.imported) {
			weight = weightHost
		}
	case op == opGlobalGet || op == opGlobalSet:
		if g := s.u32(); g >= uint32(s.m.globals) {
			s.fail(fmt.Errorf("global %d is used, there are %d", g, s.m.globals))
		}
	case op == opMisc && index == miscTableGrow:
		if table = s.u32(); s.err == nil && (int(table) >= len(s.m.endless) || s.m.endless[table]) {
			s.fail(fmt.Errorf("table %d may grow without bound; a maximum of at most %d elements is expected", table, maxTable))
		}
	default:
		s.immediate(known.imm)
	}
	if op == opCall || op == opCallIndirect {
		s.calls = append(s.calls, site{at: s.at, look: true})
	}
	if op == opMemoryGrow || op == opMisc && charged(index) {
		s.lengths = append(s.lengths, site{at: at, length: uint16(index), table: table})
	}
	s.blocks[len(s.blocks)-1].weight += weight
	s.regions[s.open[len(s.open)-1].region].weight += weight
	s.structure(op)
}

// sites returns where fuel is charged and looked at, in their order, lengths aside.
func (s *scan) sites() []site {
	if !s.table {
		return s.regions
	}
	all := slices.Concat(s.blocks, s.calls)
	slices.SortFunc(all, func(a, b site) int { return a.at - b.at })
	return all
}

// branches returns how many basic blocks the body has, with those of most looks.
func (s *scan) branches() int {
	n := s.leaders + looked*len(s.lengths)
	if s.table {
		n += looked * len(s.calls)
	}
	return n
}

// charged reports whether an instruction of misc moves as much as an operand says.
func charged(index uint32) bool {
	return index >= miscMemoryInit && index != 9 && index != 13 && index != miscTableSize
}

// structure follows the blocks that open and end.
func (s *scan) structure(op byte) {
	top := s.open[len(s.open)-1]
	switch op {
	case opBlock, opIf:
		s.nest(control{region: top.region, inLoop: top.inLoop})
		if op == opIf {
			s.leader(false)
		}
	case opLoop:
		s.nest(control{region: len(s.regions), loop: true, inLoop: true})
		s.regions = append(s.regions, site{at: s.at, look: true})
		s.leader(true)
	case opEnd:
		if s.open = s.open[:len(s.open)-1]; len(s.open) > 0 {
			s.leader(false)
		}
	case opBrTable:
		s.table = s.table || top.inLoop
		s.leader(false)
	case opElse, opBr, opBrIf, opReturn, opUnreachable:
		s.leader(false)
	}
}

func (s *scan) nest(c control) {
	if len(s.open) >= maxNesting {
		s.fail(fmt.Errorf("blocks are nested deeper than %d", maxNesting))
		return
	}
	s.open = append(s.open, c)
}

// leader begins a basic block at the next instruction.
func (s *scan) leader(look bool) {
	s.leaders++
	if last := &s.blocks[len(s.blocks)-1]; last.weight == 0 && !last.look {
		last.at, last.look = s.at, look
		return
	}
	s.blocks = append(s.blocks, site{at: s.at, look: look})
}

// immediate skips what follows an opcode.
func (r *reader) immediate(imm immediate) {
	switch imm {
	case immBlock:
		r.signed(33)
	case immIndex:
		r.u32()
	case immI32:
		r.signed(32)
	case immI64:
		r.signed(64)
	case immIndexByte:
		r.u32()
		r.byte()
	case immIndexes, immMemory:
		r.u32()
		r.u32()
	case immTable:
		n := r.count()
		if n > maxLabels {
			r.fail(fmt.Errorf("a br_table has %d labels, at most %d are expected", n, maxLabels))
		}
		for i := 0; i <= n && r.err == nil; i++ {
			r.u32()
		}
	case immTypes:
		r.take(r.count())
	case immByte, immRef:
		r.byte()
	case immBytes:
		r.take(2)
	case immF32:
		r.take(4)
	case immF64:
		r.take(8)
	case immMemoryByte:
		r.u32()
		r.u32()
		r.byte()
	case immBytes16:
		r.take(16)
	case immUnknown:
		r.fail(errors.New("an opcode is not supported"))
	}
}

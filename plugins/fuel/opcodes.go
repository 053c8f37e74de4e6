package fuel

// Opcodes that the rewriter looks at or writes.
const (
	opUnreachable  = 0x00
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBr           = 0x0c
	opBrIf         = 0x0d
	opBrTable      = 0x0e
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opDrop         = 0x1a
	opSelect       = 0x1b
	opLocalGet     = 0x20
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI32LtU       = 0x49
	opI32GeS       = 0x4e
	opI32Add       = 0x6a
	opI32Sub       = 0x6b
	opI32Shl       = 0x74
	opI32ShrU      = 0x76
	opMisc         = 0xfc // of the second table
	opVector       = 0xfd // of the third

	miscMemoryInit = 8
	miscMemoryCopy = 10
	miscMemoryFill = 11
	miscTableInit  = 12
	miscTableCopy  = 14
	miscTableGrow  = 15
	miscTableSize  = 16
	miscTableFill  = 17

	emptyBlock = 0x40
	valueI32   = 0x7f
)

// What follows an opcode.
type immediate uint8

const (
	immUnknown immediate = iota
	immNone
	immBlock // block type
	immIndex
	immIndexes // two
	immTable   // labels of br_table
	immTypes   // of select
	immMemory  // align, offset
	immByte
	immBytes // two
	immI32
	immI64
	immF32
	immF64
	immRef // heap type
	immIndexByte
	immMemoryByte
	immBytes16
)

// An instruction is what the rewriter knows of an opcode: what follows it, and
// what it costs. Weights are measured: an access to memory may miss the cache,
// a division takes the time of many additions.
type instruction struct {
	imm    immediate
	weight uint16
}

const (
	weightAccess = 3
	weightCall   = 8
	weightDivide = 8
	weightTable  = 3
	weightMove   = 8   // of memory or a table, besides its length
	weightVector = 2   // of most operations on vectors
	weightHost   = 100 // of a call that leaves the module
	weightEntry  = 16  // of a function, besides its locals
	localsShare  = 4   // locals that cost a unit to enter with
)

// What an instruction moves costs besides, by the length on the stack: an item
// costs 1 >> shift.
const (
	memoryShift = 5 // 32 bytes a unit
	tableShift  = 2
	growShift   = 12 // a page of a memory that grows costs 4096: it may be copied
	pagesMost   = 1 << 16
)

var instructions = func() (t [256]instruction) {
	set := func(from, to int, imm immediate, weight uint16) {
		for op := from; op <= to; op++ {
			t[op] = instruction{imm, weight}
		}
	}
	set(0x00, 0x01, immNone, 0) // unreachable, nop
	set(opBlock, opIf, immBlock, 0)
	t[opIf].weight = 1
	set(opElse, opElse, immNone, 0)
	set(opEnd, opEnd, immNone, 0)
	set(opBr, opBrIf, immIndex, 1)
	set(opBrTable, opBrTable, immTable, 2)
	set(opReturn, opReturn, immNone, 1)
	set(opCall, opCall, immIndex, weightCall)
	set(opCallIndirect, opCallIndirect, immIndexes, weightCall)
	set(0x1a, 0x1b, immNone, 1) // drop, select
	set(0x1c, 0x1c, immTypes, 1)
	set(0x20, 0x24, immIndex, 1)           // local, global
	set(0x25, 0x26, immIndex, weightTable) // table.get, table.set
	set(0x28, 0x3e, immMemory, weightAccess)
	set(opMemorySize, opMemorySize, immByte, 1)
	set(opMemoryGrow, opMemoryGrow, immByte, weightMove)
	t[0x41], t[0x42] = instruction{immI32, 1}, instruction{immI64, 1}
	t[0x43], t[0x44] = instruction{immF32, 1}, instruction{immF64, 1}
	set(0x45, 0xc4, immNone, 1)
	set(0x6d, 0x70, immNone, weightDivide) // i32.div, rem
	set(0x7f, 0x82, immNone, weightDivide) // i64.div, rem
	for _, op := range [...]int{0x91, 0x95, 0x9f, 0xa3} {
		set(op, op, immNone, weightDivide) // f32 and f64 sqrt, div
	}
	t[0xd0], t[0xd1], t[0xd2] = instruction{immRef, 1}, instruction{immNone, 1}, instruction{immIndex, 1}
	return t
}()

// misc are the instructions after opMisc.
var misc = func() (t [18]instruction) {
	for op := range 8 { // saturating conversions
		t[op] = instruction{immNone, 1}
	}
	t[miscMemoryInit] = instruction{immIndexByte, weightMove}
	t[9] = instruction{immIndex, 1} // data.drop
	t[miscMemoryCopy] = instruction{immBytes, weightMove}
	t[miscMemoryFill] = instruction{immByte, weightMove}
	t[miscTableInit] = instruction{immIndexes, weightMove}
	t[13] = instruction{immIndex, 1} // elem.drop
	t[miscTableCopy] = instruction{immIndexes, weightMove}
	t[miscTableGrow] = instruction{immIndex, weightMove}
	t[miscTableSize] = instruction{immIndex, 1}
	t[miscTableFill] = instruction{immIndex, weightMove}
	return t
}()

// vector are the instructions after opVector. Whether one of the numbers that
// stand for none is used, wazero has looked at.
var vector = func() (t [256]instruction) {
	set := func(from, to int, imm immediate, weight uint16) {
		for op := from; op <= to; op++ {
			t[op] = instruction{imm, weight}
		}
	}
	set(0, 255, immNone, weightVector)
	set(0, 11, immMemory, weightAccess)
	set(12, 13, immBytes16, weightVector)    // v128.const, i8x16.shuffle
	set(21, 34, immByte, weightVector)       // extract and replace lane
	set(84, 91, immMemoryByte, weightAccess) // load and store lane
	set(92, 93, immMemory, weightAccess)     // load32_zero, load64_zero
	for _, op := range [...]int{227, 231, 239, 243} {
		set(op, op, immNone, 2*weightDivide) // f32x4 and f64x2 sqrt, div
	}
	return t
}()

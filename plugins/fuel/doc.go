// Package fuel rewrites a WebAssembly module so that it counts what it spends
// and traps when nothing is left: a hard bound on the CPU of a call, which
// wazero itself has only at the price of a goroutine a call, and not at all for
// call trees without loops.
//
// The counter is one more mutable i32 global, exported under [Export]. A charge
// is subtracted at the start of each basic block, and the sign of the counter is
// looked at where a body can be entered again: at function entries and loop
// headers. Between two looks at most one body is run, so a guest overdraws by
// less than a body costs. Where no br_table sits in a loop, the charges of a
// function's or a loop's blocks are taken at once, at its head: such code is
// smaller and as fast as before, and is overcharged by some per cent. What moves
// memory or tables is charged by its length, and looked at, just before.
//
// The units are about those of a simple instruction. See [Rewrite] for what a
// module must be, and the table in opcodes.go for weights.
//
// The scheme is that of metering by injection (ewasm/design#182); WebAssembly
// Core Specification 2.0, chapter 5, is the form of a module.
package fuel

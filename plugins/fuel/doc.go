// Package fuel rewrites a WebAssembly module so that it counts what it spends
// and traps when nothing is left: a hard bound on the CPU of a call, which
// wazero itself has only at the price of a goroutine a call, and not at all for
// call trees without loops.
//
// The counter is one more mutable i32 global, exported under [Export]. Charges are
// subtracted from it, and looks trap if it is below zero. A body is charged in one
// of two ways:
//
//   - By regions, where no br_table sits in a loop: a function's entry and each
//     loop's header charge at once for all that is in them and in no inner loop,
//     and look. Only loop headers are jumped back to, so what runs was paid before,
//     once for each time, and looked at. Such code is smaller and as fast as
//     before, and overcharged by some per cent.
//   - By basic blocks, elsewhere: each is charged at its start. Looked at is the
//     counter at the function's entry, in loop headers, and after each call.
//
// What moves memory or tables is charged by its length, and looked at, just before.
//
// So a guest overdraws by less than two bodies cost. Consider what is charged after
// the last look that passed. After the charge of a region or a length a look follows at
// once. Before it are blocks, and all of one activation of one body: a call
// leads to the entry of another, and a return to a caller that looks at once, or
// is charged by regions, for which all was paid before it called. And each block
// comes once, for without a loop header nothing leads back to it. That bound,
// below 1<<26 for the largest body, and below 1<<30 more for a length, also keeps
// the counter from wrapping around.
//
// The units are about those of a simple instruction. See [Rewrite] for what a
// module must be, and the table in opcodes.go for weights.
//
// The scheme is that of metering by injection (ewasm/design#182); WebAssembly
// Core Specification 2.0, chapter 5, is the form of a module.
package fuel

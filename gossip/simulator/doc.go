// Package simulator runs clusters of protocol cores in simulated time, on a
// network, disks, clocks and registries that fail in every way the real ones
// do, and checks what the protocol promises. A seed repeats a run exactly.
//
// A wall clock that jumps is no fault here, since there is none to jump: a core
// knows only a time that never goes back, and that of others it never reads.
// What it is shown instead is clocks whose rates differ.
//
// A record is judged by what the node that fetched it had applied when the fetch
// began, and besides by its version in the registry. Where the registry answers
// old, only the first can be judged: that a cache does not take a version below
// the one it held for fresh is the business of package cache, and not simulated.
package simulator

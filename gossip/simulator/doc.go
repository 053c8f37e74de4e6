// Package simulator runs clusters of protocol cores in simulated time, on a
// network, disks, clocks and registries that fail in every way the real ones
// do, and checks what the protocol promises. A seed repeats a run exactly.
package simulator

// Package plugins runs users' WebAssembly modules. A filter decides per request
// which of the selected instances an answer holds; docs/plugin-abi.md is what
// host and guest say to each other, byte by byte.
//
// A guest costs only its own call: its CPU is bounded by fuel (package fuel),
// its memory by pages, and what it says is looked at before it is believed. An
// instance that trapped, ran dry or broke the contract is dropped, never used
// again.
//
// A [Filter] has generations: one is built aside from a module and its
// configuration, takes over at once, and ends when the last call has left it.
package plugins

// Package edgecache is the plugin kit for Go, of ABI 1.0 (docs/plugin-abi.md).
//
// A filter registers itself and is built with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -ldflags='-s -w' -o x.wasm .
//
//	func init() { edgecache.Filter(start, decide) }
//
//	func main() {}
//
// Elsewhere it compiles as it is, for go test: see [Sample].
//
// The kit for adapters is the package beside it, adapter.
//
// A filter must not allocate in decide: what it allocates is collected only
// while the host has no calls for it, and memory never shrinks.
package edgecache

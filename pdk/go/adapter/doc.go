// Package edgecache is the kit for adapters in Go, of ABI 1.0 (docs/plugin-abi.md).
//
// An adapter answers look-ups as a registry does. It registers itself, and is
// built as a filter is:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -ldflags='-s -w' -o x.wasm .
//
//	func init() { edgecache.Adapter(start, lookup, list, poll) }
//
//	func main() {}
//
// What a module exports is fixed when it is built: one without list or without
// poll is built with -tags nolist, -tags nopoll or -tags nolist,nopoll, or has
// the kit without wasm_list.go or wasm_poll.go.
//
// Elsewhere it compiles as it is, for go test: see [Start] and [Exchange].
//
// [Response.JSON] reads an answer as it comes, [JSON.Fields] an object of it into
// variables, [NewRecord] makes the answer to a look-up. They keep what they need
// from one call to the next, so that little garbage is made: the collector of a
// module runs within its calls.
//
// An adapter reads what others wrote: whatever its registry sends, it should
// say which field was wrong and return an error, and answer [NotFound] only if
// the registry said so. A panic ends the instance.
package edgecache

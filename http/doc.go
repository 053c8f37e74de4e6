// Package http is edgecache's HTTP interface: the data port, which only reads,
// and the admin port. It wraps all of HTTP, so that no other package needs to.
//
// It is built on fasthttp. A *fasthttp.RequestCtx never leaves this package and
// is never a context: it and every slice from it are reused once the handler
// returns.
package http

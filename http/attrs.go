package http

import (
	"net/netip"
	"runtime/debug"
	"strings"
)

// fixedAttrs are the attributes of a request that several goroutines look at,
// or that outlives its handler: copied, so that nothing of fasthttp's is
// touched.
type fixedAttrs struct {
	headers map[string]string // by lower-case name
	params  []param
	addr    netip.Addr
	zone    string
}

// fix copies what filters may ask of the call.
func (c *call) fix() *fixedAttrs {
	a := &fixedAttrs{addr: c.ClientIP(), zone: strings.Clone(c.ClientZone()), headers: map[string]string{}}
	for key, value := range c.ctx.Request.Header.All() {
		name := strings.ToLower(string(key))
		if _, ok := a.headers[name]; !ok {
			a.headers[name] = string(value)
		}
	}
	for _, p := range c.params {
		a.params = append(a.params, param{strings.Clone(p.key), strings.Clone(p.value)})
	}
	return a
}

// Header returns the first header of that name.
func (a *fixedAttrs) Header(name string) (string, bool) {
	v, ok := a.headers[strings.ToLower(name)]
	return v, ok
}

// Query returns the first parameter of that name.
func (a *fixedAttrs) Query(name string) (string, bool) {
	for _, p := range a.params {
		if p.key == name {
			return p.value, true
		}
	}
	return "", false
}

// ClientIP returns the client's address.
func (a *fixedAttrs) ClientIP() netip.Addr { return a.addr }

// ClientZone returns the client's zone.
func (a *fixedAttrs) ClientZone() string { return a.zone }

// guardWorker is deferred by goroutines of a request: a panic costs their part
// of it only.
func (s *Server) guardWorker() {
	if cause := recover(); cause != nil {
		s.counters.panics.Add(1)
		s.deps.Logger.Error("worker panicked", "panic", cause, "stack", string(debug.Stack()))
	}
}

package http

import (
	"bytes"
	"errors"
	"net"
	"runtime/debug"
	"slices"
	"time"

	"github.com/valyala/fasthttp"
)

// serve answers one request of a port.
func (p *port) serve(ctx *fasthttp.RequestCtx) {
	s := p.server
	c := s.acquireCall(ctx, p)
	defer s.finish(c)
	var start time.Time
	if c.tick++; c.tick%sampled == 0 {
		start = time.Now()
	}
	if err := p.handle(c); err != nil {
		s.fail(c, err)
	}
	if !start.IsZero() {
		c.shard.time(time.Since(start))
	}
}

// finish is the barrier that a panic stops at: it costs its own request only.
func (s *Server) finish(c *call) {
	ctx := c.ctx
	cause := recover()
	if cause != nil {
		s.counters.panics.Add(1)
		s.deps.Logger.Error("handler panicked", "panic", cause, "path", string(ctx.Request.Header.RequestURI()), "stack", string(debug.Stack()))
		ctx.Response.Reset()
		c.fail(internalFailure.because("the error is in the log"))
	}
	c.shard.count(c.class, ctx.Response.StatusCode())
	if s.draining.Load() {
		ctx.Response.SetConnectionClose()
	}
	if cause == nil { // else something may still hold it
		c.release(s)
	}
}

// fail answers with an error's problem and counts and logs what must be.
func (s *Server) fail(c *call, err error) {
	p := problemOf(err)
	switch {
	case p.Status == fasthttp.StatusTooManyRequests:
		s.counters.limited.Add(1)
	case p.Status == fasthttp.StatusInternalServerError:
		s.deps.Logger.Error("request failed", "path", string(c.ctx.Request.Header.RequestURI()), "error", err)
	}
	c.fail(p)
}

// handle checks a request, finds its route and calls the handler.
func (p *port) handle(c *call) error {
	c.seen = scanHeaders(c.ctx.Request.Header.RawHeaders())
	if err := p.checkShape(c); err != nil {
		return err
	}
	if gate := p.gate.Load(); gate != nil {
		if why := gate.refuse(c.ctx); why != "" {
			return forbidden.because("%s", why)
		}
	}
	if c.live.limits.RequestsPerSecond > 0 && !p.allowed(c) {
		return rateLimited.because("more than %d requests a second from your address", c.live.limits.RequestsPerSecond)
	}
	path, search := splitTarget(c.ctx.Request.Header.RequestURI())
	c.search = search
	if len(path) > maxPath {
		return pathTooLong.because("the path has %d bytes, the most is %d", len(path), maxPath).closing()
	}
	if p == p.server.data && (c.live.corsAny || len(c.live.cors) > 0) {
		if p.cors(c) {
			return nil
		}
	}
	r, err := p.table.find(c, path)
	if err != nil {
		return err
	}
	c.class = r.class
	if r.scope != "" {
		if err := p.authorize(c, r.scope); err != nil {
			return err
		}
	}
	return r.handle(p.server, c)
}

// authorize checks the caller's token.
func (p *port) authorize(c *call, scope string) error {
	var header []byte
	if c.seen&seenAuthorization != 0 {
		header = c.ctx.Request.Header.PeekBytes(headerAuthorization)
	}
	token, ok := p.tokens.check(header)
	if !ok {
		return unauthenticated.because("a valid token is needed: Authorization: Bearer TOKEN")
	}
	if !token.allows(scope) {
		return forbidden.because("token %s does not have the scope %s", token.name, scope)
	}
	c.token = token
	return nil
}

// allowed takes one from the client's rate.
func (p *port) allowed(c *call) bool {
	if cn := connOf(c.ctx); cn != nil && len(c.live.trusted) == 0 {
		return cn.client.limiter.Allow()
	}
	return p.server.clients.get(c.ClientIP()).limiter.Allow()
}

// maxPath is the longest path that is looked at: the longest name, all of it
// percent-encoded, fits.
const maxPath = 2 << 10

// splitTarget returns the raw path of a request target and what follows the
// question mark, nil if there is none.
func splitTarget(target []byte) (path, search []byte) {
	if len(target) > 0 && target[0] != '/' { // absolute form, as proxies send it
		if i := bytes.Index(target, []byte("://")); i >= 0 {
			target = target[i+3:]
			target = target[max(0, bytes.IndexByte(target, '/')):]
		}
	}
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		return target[:i], target[i+1:]
	}
	return target, nil
}

// checkShape refuses what servers and proxies are known to read differently:
// after it nothing on the connection can be trusted. fasthttp has refused
// doubled Host, Content-Length and Transfer-Encoding and bad chunks already.
func (p *port) checkShape(c *call) error {
	h := &c.ctx.Request.Header
	why := ""
	switch {
	case h.IsHTTP11():
		if len(h.Host()) == 0 {
			why = "an HTTP/1.1 request needs Host"
		}
	case string(h.Protocol()) != "HTTP/1.0":
		why = "HTTP/1.1 or HTTP/1.0 expected"
	case h.ContentLength() == -1:
		why = "HTTP/1.0 has no Transfer-Encoding"
	}
	switch chunked := h.ContentLength() == -1; {
	case c.seen&seenTransferEncoding == 0:
	case c.seen&seenContentLength != 0:
		why = "Content-Length together with Transfer-Encoding"
	case !chunked:
		why = "Transfer-Encoding: chunked is the only one that is read"
	}
	if why == "" {
		return nil
	}
	p.server.counters.malformed.Add(1)
	return badRequest("", "%s; the connection is closed", why).closing()
}

// malformed answers what fasthttp could not read. The connection ends.
func (p *port) malformed(ctx *fasthttp.RequestCtx, err error) {
	p.server.counters.malformed.Add(1)
	limits := p.server.live.Load().limits
	var timeout net.Error
	problem := badRequest("", "the request line, the headers or the body's framing are not HTTP/1.1; the connection is closed")
	if _, ok := errors.AsType[*fasthttp.ErrSmallBuffer](err); ok {
		problem = headersTooLarge.because("request line and headers have more than %s", limits.Header)
	} else if errors.Is(err, fasthttp.ErrBodyTooLarge) {
		problem = tooLarge.because("the body has more than %s", limits.Body)
	} else if errors.As(err, &timeout) && timeout.Timeout() {
		problem = slowClient.because("the request was not complete after %s", limits.Read)
	}
	c := call{ctx: ctx}
	c.fail(problem.closing())
	p.server.shards[0].count(classOther, problem.Status)
}

// cors lets pages of the configured origins read the native routes. It reports
// whether the request was a preflight, which is then answered.
func (p *port) cors(c *call) bool {
	origin := c.ctx.Request.Header.Peek(fasthttp.HeaderOrigin)
	h := &c.ctx.Response.Header
	if !c.live.corsAny {
		h.Add(fasthttp.HeaderVary, fasthttp.HeaderOrigin)
	}
	if len(origin) == 0 || !c.live.corsAny && !slices.Contains(c.live.cors, asString(origin)) {
		return false
	}
	if c.live.corsAny {
		origin = []byte("*")
	}
	h.SetBytesV(fasthttp.HeaderAccessControlAllowOrigin, origin)
	h.Set(fasthttp.HeaderAccessControlExposeHeaders, "Age, Cache-Status, ETag, Edgecache-Filter, Edgecache-Index, Edgecache-Registry, Retry-After")
	if !c.ctx.IsOptions() || len(c.ctx.Request.Header.Peek(fasthttp.HeaderAccessControlRequestMethod)) == 0 {
		return false
	}
	h.Set(fasthttp.HeaderAccessControlAllowMethods, "GET, HEAD, POST")
	h.Set(fasthttp.HeaderAccessControlAllowHeaders, "Authorization, Cache-Control, Content-Type, Edgecache-Zone, If-None-Match, Last-Event-ID")
	h.Set(fasthttp.HeaderAccessControlMaxAge, "600")
	c.ctx.Response.SetStatusCode(fasthttp.StatusNoContent)
	return true
}

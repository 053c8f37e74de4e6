package http

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// scopeFollow is what following one's own change needs: any of its scopes.
const scopeFollow = scopeInvalidate + " " + scopeRead

// logChange logs what the call's token changed, or tried to.
func (s *Server) logChange(c *call, message string, args ...any) {
	s.deps.Logger.Info(message, append([]any{"token", c.token.name, "address", c.ctx.RemoteAddr().String()}, args...)...)
}

// jsonBody returns the request's body, which must say that it is JSON.
func jsonBody(c *call) ([]byte, error) {
	if !isJSON(c.ctx) {
		return nil, mediaTypeFailure.because("Content-Type %q: application/json expected", c.ctx.Request.Header.ContentType())
	}
	return c.ctx.PostBody(), nil
}

// emptyBody checks a request that takes no body, or {}.
func emptyBody(c *call) error {
	if len(bytes.TrimSpace(c.ctx.PostBody())) == 0 {
		return nil
	}
	body, err := jsonBody(c)
	if err != nil {
		return err
	}
	return decodeObject(body, "", nil)
}

// metrics answers GET /metrics.
func (s *Server) metrics(c *call) error {
	if err := noParameters(c); err != nil {
		return err
	}
	var out bytes.Buffer
	if err := s.deps.Metrics(&out); err != nil {
		return err
	}
	c.ctx.Response.Header.Add(fasthttp.HeaderVary, fasthttp.HeaderAcceptEncoding)
	c.compressible(out.Bytes())
	c.ctx.Response.Header.SetContentType("text/plain; version=0.0.4; charset=utf-8")
	return nil
}

package http

import (
	"context"
	"strings"

	"github.com/edgecache/edgecache/registry"
)

// lookup answers GET /v1/services/{name} and the same within a registry. A hit
// allocates nothing.
func (s *Server) lookup(c *call) error {
	if !plainName(c.name) {
		if err := registry.CheckName(c.name); err != nil {
			return badRequest("name", "%v", err)
		}
	}
	if err := c.prepare(&lookupParameters); err != nil {
		return err
	}
	if c.hasIndex {
		return s.block(c)
	}
	return c.answer(s.resolve(s.base, &c.query, c, &c.result))
}

// resolve asks the Answerer, within a span if tracing is on.
func (s *Server) resolve(ctx context.Context, q *registry.Query, attrs registry.Attrs, out *registry.Result) error {
	if s.deps.Trace == nil {
		return s.deps.Answerer.Answer(ctx, q, attrs, out)
	}
	ctx, end := s.deps.Trace(ctx, "lookup", registry.Key{Registry: strings.Clone(q.Registry), Name: strings.Clone(q.Name)})
	err := s.deps.Answerer.Answer(ctx, q, attrs, out)
	end(err)
	return err
}

// plainName reports whether name is certainly right: letters, digits, - and _
// only. It is what nearly all names are made of, and cheap to see.
func plainName(name string) bool {
	if len(name) == 0 || len(name) > registry.MaxName {
		return false
	}
	for i := range len(name) {
		b := name[i]
		if b|0x20 >= 'a' && b|0x20 <= 'z' || b >= '0' && b <= '9' || b == '-' || b == '_' {
			continue
		}
		return false
	}
	return true
}

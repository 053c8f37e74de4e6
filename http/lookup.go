package http

import (
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
	return c.answer(s.resolve(c))
}

// resolve asks the Answerer for the call's query.
func (s *Server) resolve(c *call) error {
	if s.deps.Trace == nil {
		return s.deps.Answerer.Answer(s.base, &c.query, c, &c.result)
	}
	key := registry.Key{Registry: strings.Clone(c.query.Registry), Name: strings.Clone(c.query.Name)}
	ctx, end := s.deps.Trace(s.base, "lookup", key)
	err := s.deps.Answerer.Answer(ctx, &c.query, c, &c.result)
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

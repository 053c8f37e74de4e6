package http

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/edgecache/edgecache/registry"
)

// members answers GET /v1/members.
func (s *Server) members(c *call) error {
	if err := noParameters(c); err != nil {
		return err
	}
	return writeJSON(c, fasthttp.StatusOK, struct {
		Members []registry.MemberStatus `json:"members"`
	}{orEmpty(s.deps.Members())})
}

const forgetTimeout = 5 * time.Second

// forgetMember answers POST /v1/members/{name}/forget. The body is empty or {}.
func (s *Server) forgetMember(c *call) error {
	if err := noParameters(c); err != nil {
		return err
	}
	if err := emptyBody(c); err != nil {
		return err
	}
	name := strings.Clone(c.name)
	if s.deps.Forget == nil {
		return noSuchMember.because("this node is alone: there is no member %q to forget", name)
	}
	ctx, cancel := context.WithTimeout(s.base, forgetTimeout)
	defer cancel()
	switch err := s.deps.Forget(ctx, name); {
	case errors.Is(err, registry.ErrNotFound):
		return noSuchMember.because("there is no member %q", name)
	case err != nil:
		s.logChange(c, "member not forgotten", "member", name, "error", err)
		return badRequest("", "%v", err)
	}
	s.logChange(c, "member forgotten", "member", name)
	return writeJSON(c, fasthttp.StatusOK, struct {
		Forgotten string `json:"forgotten"`
	}{name})
}

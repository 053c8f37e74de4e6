package http

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/edgecache/edgecache/registry"
)

const reloadTimeout = time.Minute

// reload answers POST /v1/config/reload. The body is empty or {}.
func (s *Server) reload(c *call) error {
	if err := noParameters(c); err != nil {
		return err
	}
	if err := emptyBody(c); err != nil {
		return err
	}
	work, cancel := context.WithTimeout(s.base, reloadTimeout)
	defer cancel()
	if err := s.deps.Reload(work); err != nil {
		s.logChange(c, "configuration reload refused", "error", err)
		return badConfig.because("nothing changed: %v", err)
	}
	s.logChange(c, "configuration reloaded")
	return writeJSON(c, fasthttp.StatusOK, struct {
		Reloaded bool `json:"reloaded"`
	}{true})
}

// reloadPlugin answers POST /v1/plugins/{name}/reload. The body is empty or {}.
func (s *Server) reloadPlugin(c *call) error {
	if err := noParameters(c); err != nil {
		return err
	}
	if err := emptyBody(c); err != nil {
		return err
	}
	name := strings.Clone(c.name)
	switch err := s.deps.ReloadPlugin(name); {
	case errors.Is(err, registry.ErrNotFound):
		return noSuchPlugin.because("there is no plugin %q", name)
	case err != nil:
		s.logChange(c, "plugin reload refused", "plugin", name, "error", err)
		return badConfig.because("nothing changed: %v", err)
	}
	s.logChange(c, "plugin reloaded", "plugin", name)
	return writeJSON(c, fasthttp.StatusOK, struct {
		Reloaded string `json:"reloaded"`
	}{name})
}

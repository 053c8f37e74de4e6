package http

import (
	"context"
	"time"

	"github.com/valyala/fasthttp"
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

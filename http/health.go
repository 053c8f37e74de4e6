package http

import "github.com/valyala/fasthttp"

// healthz answers 200 as long as the process serves.
func (s *Server) healthz(c *call) error {
	if err := noParameters(c); err != nil {
		return err
	}
	return writeJSON(c, fasthttp.StatusOK, struct {
		Status string `json:"status"`
	}{"ok"})
}

// readyz answers whether load balancers should send lookups here.
func (s *Server) readyz(c *call) error {
	if err := noParameters(c); err != nil {
		return err
	}
	ready, degraded := s.deps.Ready()
	if s.draining.Load() {
		ready, degraded = false, append([]string{"draining"}, degraded...)
	}
	status := fasthttp.StatusOK
	if !ready {
		status = fasthttp.StatusServiceUnavailable
	}
	return writeJSON(c, status, struct {
		Ready    bool     `json:"ready"`
		Degraded []string `json:"degraded"`
	}{ready, orEmpty(degraded)})
}

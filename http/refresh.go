package http

import (
	"context"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/edgecache/edgecache/registry"
)

const refreshTimeout = 30 * time.Second

// refresh answers POST /v1/refresh: 202 if it still runs when the time is up.
func (s *Server) refresh(c *call) error {
	b := selectorBody{Timeout: refreshTimeout}
	selectors, err := s.selectors(c, &b, b.fields())
	if err != nil {
		return err
	}
	s.logChange(c, "refresh asked", "selectors", describe(selectors))
	wait, cancel := context.WithTimeout(s.base, b.Timeout)
	defer cancel()
	report, err := s.deps.Control.Refresh(wait, selectors)
	if err != nil && !timedOut(err) {
		return err
	}
	if err == nil && !report.Running {
		return writeReport(c, fasthttp.StatusOK, report)
	}
	report.Running = true
	c.ctx.Response.Header.Set(fasthttp.HeaderLocation, "/v1/report")
	return writeReport(c, fasthttp.StatusAccepted, report)
}

// report answers GET /v1/report.
func (s *Server) report(c *call) error {
	if err := noParameters(c); err != nil {
		return err
	}
	report, ok := s.deps.Control.Report()
	if !ok {
		return notFoundFailure.because("nothing was loaded or refreshed yet")
	}
	return writeReport(c, fasthttp.StatusOK, report)
}

func writeReport(c *call, status int, r registry.Report) error {
	r.Services = orEmpty(r.Services)
	return writeJSON(c, status, r)
}

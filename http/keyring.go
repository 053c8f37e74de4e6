package http

import (
	"context"
	"errors"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/edgecache/edgecache/registry"
)

const (
	keyringTimeout = 5 * time.Second
	rotateTimeout  = 10 * time.Second
)

var errAlone = errors.New("this node is alone: there are no keys")

// keyring answers GET /v1/keyring: 202 if a member did not answer.
func (s *Server) keyring(c *call) error {
	if err := noParameters(c); err != nil {
		return err
	}
	if s.deps.Keyring == nil {
		return badRequest("", "%v", errAlone)
	}
	ctx, cancel := context.WithTimeout(s.base, keyringTimeout)
	defer cancel()
	report, err := s.deps.Keyring(ctx)
	if err != nil {
		return badRequest("", "%v", err)
	}
	return writeKeyring(c, report)
}

// rotate returns what answers POST /v1/keyring/{step}: 202 if a member did not
// do the step.
func rotate(step registry.KeyringStep) handler {
	return func(s *Server, c *call) error {
		if err := noParameters(c); err != nil {
			return err
		}
		body, err := jsonBody(c)
		if err != nil {
			return err
		}
		var key string
		if err := decodeObject(body, "", map[string]fieldDecoder{"key": decodeString(&key)}); err != nil {
			return err
		}
		if key == "" {
			return badRequest("key", "key: the key is missing")
		}
		if s.deps.Rotate == nil {
			return badRequest("", "%v", errAlone)
		}
		ctx, cancel := context.WithTimeout(s.base, rotateTimeout)
		defer cancel()
		report, err := s.deps.Rotate(ctx, step, key)
		if err != nil {
			s.logChange(c, "keyring not changed", "step", string(step), "error", err)
			return badRequest("", "%v", err)
		}
		s.logChange(c, "keyring", "step", string(step), "key", report.Key, "done", report.Done)
		return writeKeyring(c, report)
	}
}

func writeKeyring(c *call, report registry.KeyringReport) error {
	report.Members = orEmpty(report.Members)
	if !report.Done {
		return writeJSON(c, fasthttp.StatusAccepted, report)
	}
	return writeJSON(c, fasthttp.StatusOK, report)
}

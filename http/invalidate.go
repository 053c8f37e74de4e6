package http

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/edgecache/edgecache/registry"
)

const (
	invalidateTimeout = 2 * time.Second
	maxTimeout        = time.Minute // of a wait for a confirmation or a refresh
)

// invalidate answers POST /v1/invalidate.
func (s *Server) invalidate(c *call) error {
	b := selectorBody{Mode: registry.ModeVerify, Wait: registry.LevelLocal, Timeout: invalidateTimeout}
	fields := b.fields()
	fields["mode"] = decodeMode(&b.Mode)
	fields["wait"] = decodeLevel(&b.Wait)
	selectors, err := s.selectors(c, &b, fields)
	if err != nil {
		return err
	}
	inv := &registry.Invalidation{Mode: b.Mode, Selectors: selectors, At: time.Now().UnixMilli()}
	// Bounds what is waited for, the disk and then the members; not bound by
	// the request, since what is begun is applied whole.
	wait, cancel := context.WithTimeout(s.base, b.Timeout)
	defer cancel()
	err = s.deps.Control.Invalidate(wait, inv)
	if err != nil && !errors.Is(err, registry.ErrNotDurable) {
		return err
	}
	s.logInvalidation(c, inv, err)
	if err != nil {
		if errors.Is(wait.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("the disk did not confirm it within %s: %w", b.Timeout, err)
		}
		return notDurable(c, inv, err)
	}
	confirmation, err := s.deps.Control.Await(wait, inv.ID(), b.Wait)
	if err == nil {
		return s.confirm(c, fasthttp.StatusOK, confirmation)
	}
	if !timedOut(err) {
		return err
	}
	c.ctx.Response.Header.Set(fasthttp.HeaderLocation, "/v1/invalidations/"+inv.ID())
	return s.confirm(c, fasthttp.StatusAccepted, confirmation)
}

// logInvalidation logs what was applied; of the disk it speaks only if there
// is one.
func (s *Server) logInvalidation(c *call, inv *registry.Invalidation, err error) {
	args := []any{"id", inv.ID(), "mode", inv.Mode.String(), "selectors", describe(inv.Selectors)}
	if s.deps.Durable {
		args = append(args, "durable", err == nil)
	}
	if err != nil {
		args = append(args, "err", err)
	}
	s.logChange(c, "invalidated", args...)
}

// notDurable says what became of an invalidation that is not on disk, or not
// yet.
func notDurable(c *call, inv *registry.Invalidation, err error) error {
	c.ctx.Response.Header.Set(fasthttp.HeaderLocation, "/v1/invalidations/"+inv.ID())
	return fmt.Errorf("invalidation %s: %w; a restart may forget it: repeat it once the disk is well", inv.ID(), err)
}

// invalidation answers GET /v1/invalidations/{id}: 202 while a member has not
// confirmed.
func (s *Server) invalidation(c *call) error {
	if err := noParameters(c); err != nil {
		return err
	}
	confirmation, ok := s.deps.Control.Confirmation(c.name)
	if !ok {
		return notFoundFailure.because("no invalidation %q is known here; a node keeps them for an hour", c.name)
	}
	status := fasthttp.StatusOK
	if len(confirmation.Pending) > 0 {
		status = fasthttp.StatusAccepted
	}
	return s.confirm(c, status, confirmation)
}

func (s *Server) confirm(c *call, status int, conf registry.Confirmation) error {
	conf.Confirmed, conf.Fenced, conf.Pending = orEmpty(conf.Confirmed), orEmpty(conf.Fenced), orEmpty(conf.Pending)
	return writeJSON(c, status, conf)
}

// selectors decodes a body with selectors and checks that the caller's token
// reaches them.
func (s *Server) selectors(c *call, b *selectorBody, fields map[string]fieldDecoder) ([]registry.Selector, error) {
	if err := noParameters(c); err != nil {
		return nil, err
	}
	body, err := jsonBody(c)
	if err != nil {
		return nil, err
	}
	if err := decodeObject(body, "", fields); err != nil {
		return nil, err
	}
	selectors, err := b.selectors(s.deps.RegistryNames())
	if err != nil {
		return nil, err
	}
	if err := c.token.reaches(selectors); err != nil {
		return nil, forbidden.because("%v", err)
	}
	return selectors, nil
}

// timedOut reports whether err only says that the caller waited long enough.
func timedOut(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

func decodeMode(into *registry.Mode) fieldDecoder {
	return func(raw []byte, path string) (err error) {
		var text string
		if err := decodeString(&text)(raw, path); err != nil {
			return err
		}
		*into, err = registry.ParseMode(text)
		return err
	}
}

func decodeLevel(into *registry.Level) fieldDecoder {
	return func(raw []byte, path string) error {
		var text string
		if err := decodeString(&text)(raw, path); err != nil {
			return err
		}
		switch l := registry.Level(text); l {
		case "":
		case registry.LevelLocal, registry.LevelQuorum, registry.LevelAll:
			*into = l
		default:
			return fmt.Errorf("%q: local, quorum or all expected", text)
		}
		return nil
	}
}

// describe tells the first few selectors for the log.
func describe(selectors []registry.Selector) string {
	var text []string
	for i, s := range selectors {
		if i == 5 {
			text = append(text, fmt.Sprintf("and %d more", len(selectors)-i))
			break
		}
		in := ""
		if s.Key.Registry != "" {
			in = " in " + s.Key.Registry
		}
		switch {
		case s.Key.Name != "":
			text = append(text, "service "+s.Key.Name+in)
		case s.Tag != "":
			text = append(text, "tag "+s.Tag+in)
		case s.Prefix != "":
			text = append(text, "prefix "+s.Prefix+in)
		default:
			text = append(text, "all"+in)
		}
	}
	return strings.Join(text, ", ")
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

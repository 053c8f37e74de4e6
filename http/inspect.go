package http

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/edgecache/edgecache/registry"
)

// status answers GET /v1/status.
func (s *Server) status(c *call) error {
	if err := noParameters(c); err != nil {
		return err
	}
	status := s.deps.Status()
	status.Degraded = orEmpty(status.Degraded)
	return writeJSON(c, fasthttp.StatusOK, status)
}

// registries answers GET /v1/registries.
func (s *Server) registries(c *call) error {
	if err := noParameters(c); err != nil {
		return err
	}
	return writeJSON(c, fasthttp.StatusOK, struct {
		Registries []registry.RegistryStatus `json:"registries"`
	}{orEmpty(s.deps.Registries())})
}

// plugins answers GET /v1/plugins.
func (s *Server) plugins(c *call) error {
	if err := noParameters(c); err != nil {
		return err
	}
	return writeJSON(c, fasthttp.StatusOK, struct {
		Plugins []registry.PluginStatus `json:"plugins"`
	}{orEmpty(s.deps.Plugins())})
}

// entries answers GET /v1/entries: one page of what is cached, by name and
// then registry.
func (s *Server) entries(c *call) error {
	q, err := s.entriesQuery(c)
	if err != nil {
		return err
	}
	rows, more := s.deps.Control.Entries(q)
	cursor := ""
	if more && len(rows) > 0 {
		last := rows[len(rows)-1]
		cursor = entriesCursor(registry.Key{Registry: last.Registry, Name: last.Name})
	}
	body, err := json.Marshal(struct {
		Entries []registry.EntryRow `json:"entries"`
		Cursor  string              `json:"cursor,omitempty"`
	}{orEmpty(rows), cursor})
	if err != nil {
		return err
	}
	c.ctx.Response.Header.SetCanonical(headerCacheControl, valNoCache)
	c.ctx.Response.Header.Add(fasthttp.HeaderVary, fasthttp.HeaderAcceptEncoding)
	c.compressible(body)
	return nil
}

var entriesParameters = parameterSet{once: []string{"registry", "prefix", "state", "limit", "cursor"}}

// entriesQuery makes the query of a page. Its strings outlive the call.
func (s *Server) entriesQuery(c *call) (registry.EntriesQuery, error) {
	q := registry.EntriesQuery{Limit: defaultLimit}
	if err := c.parse(&entriesParameters); err != nil {
		return q, err
	}
	for _, p := range c.params {
		var err error
		switch value := strings.Clone(p.value); p.key {
		case "registry":
			q.Registry = value
			if known := s.deps.RegistryNames(); !slices.Contains(known, value) {
				err = errors.New(unknownRegistry(value, known))
			}
		case "prefix":
			q.Prefix = value
		case "state":
			q.State = value
			if value != "fresh" && value != "stale" && value != "negative" {
				err = fmt.Errorf("%q: fresh, stale or negative expected", value)
			}
		case "limit":
			q.Limit, err = parseLimit(value)
		case "cursor":
			q.After, err = parseEntriesCursor(value)
		}
		if err != nil {
			return q, badRequest(p.key, "%s: %v", p.key, err)
		}
	}
	return q, nil
}

// entriesCursor names the last row of a page. Names have no control
// characters, so that one separates the two parts.
func entriesCursor(k registry.Key) string {
	return base64.RawURLEncoding.EncodeToString([]byte(k.Name + "\x00" + k.Registry))
}

func parseEntriesCursor(cursor string) (registry.Key, error) {
	raw, err := decodeCursor(cursor)
	name, reg, ok := strings.Cut(string(raw), "\x00")
	if err != nil || !ok || registry.CheckName(name) != nil || registry.CheckLabel(reg) != nil {
		return registry.Key{}, fmt.Errorf("%q is not of this list; give the cursor of the page before", cursor)
	}
	return registry.Key{Registry: reg, Name: name}, nil
}

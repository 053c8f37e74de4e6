package http

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// A param is one decoded parameter of a request's query.
type param struct{ key, value string }

// A parameterSet says which parameters a route takes.
type parameterSet struct {
	once, repeated []string
	filtered       bool // and those that filters read
}

var (
	lookupParameters = parameterSet{
		once:     []string{"health", "version", "zone", "port", "filter", "view", "kind", "max_age", "index", "wait"},
		repeated: []string{"tag"},
		filtered: true,
	}
	listParameters  = parameterSet{once: []string{"prefix", "kind", "limit", "cursor", "index", "wait"}}
	watchParameters = parameterSet{
		once:     []string{"prefix", "registry", "health", "version", "zone", "port", "filter", "kind", "max_age"},
		repeated: []string{"service", "tag"},
		filtered: true,
	}
	batchParameters = parameterSet{filtered: true}
	noParameterSet  = parameterSet{}
)

// noParameters returns an error if the request has any parameter.
func noParameters(c *call) error { return c.parse(&noParameterSet) }

// parse decodes the query into c.params. A parameter that is not in the set,
// or twice there though it may not be, is an error.
func (c *call) parse(known *parameterSet) error {
	c.params = c.params[:0]
	for rest := c.search; len(rest) > 0; {
		pair := rest
		if i := bytes.IndexByte(rest, '&'); i >= 0 {
			pair, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		if len(pair) == 0 {
			continue
		}
		rawKey, rawValue, _ := bytes.Cut(pair, []byte("="))
		key, err := c.decode(rawKey, true)
		if err != nil {
			return badRequest("", "query: %v", err)
		}
		value, err := c.decode(rawValue, true)
		if err != nil {
			return badRequest(key, "%s: %v", key, err)
		}
		switch {
		case slices.Contains(known.repeated, key):
		case !slices.Contains(known.once, key) && !(known.filtered && c.port.server.filtersRead(key)):
			return c.port.server.unknownParameter(strings.Clone(key), known)
		case c.has(key):
			return badRequest(strings.Clone(key), "%s is given more than once; give it once", key)
		}
		c.params = append(c.params, param{key, value})
	}
	return nil
}

// filters returns the filters that run.
func (s *Server) filters() []registry.NamedFilter {
	if s.deps.Answerer.Filters == nil {
		return nil
	}
	return s.deps.Answerer.Filters()
}

// filtersRead reports whether a filter reads the parameter.
func (s *Server) filtersRead(key string) bool {
	return slices.ContainsFunc(s.filters(), func(f registry.NamedFilter) bool { return slices.Contains(f.Parameters, key) })
}

func (s *Server) unknownParameter(key string, known *parameterSet) error {
	all := append(slices.Clone(known.once), known.repeated...)
	if known.filtered {
		for _, f := range s.filters() {
			all = append(all, f.Parameters...)
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) == 0 {
		return badRequest(key, "unknown parameter %q; this route takes none", key)
	}
	if near := nearestWord(key, all); near != "" {
		return badRequest(key, "unknown parameter %q; did you mean %q?", key, near)
	}
	return badRequest(key, "unknown parameter %q; known are %s", key, strings.Join(all, ", "))
}

// has reports whether the parameter was given.
func (c *call) has(key string) bool {
	for i := range c.params {
		if c.params[i].key == key {
			return true
		}
	}
	return false
}

// prepare makes the call's query of its path, parameters and headers.
func (c *call) prepare(known *parameterSet) error {
	c.query = registry.Query{
		Registry: c.registry, Name: c.name, MaxAge: -1,
		Timeout: c.port.server.timeout, Select: registry.DefaultSelect,
	}
	c.view, c.wait, c.index, c.hasIndex, c.tags = viewRecord, -1, 0, false, c.tags[:0]
	c.params = c.params[:0]
	if c.search != nil {
		if err := c.parse(known); err != nil {
			return err
		}
		for i := range c.params {
			if err := c.set(c.params[i].key, c.params[i].value); err != nil {
				return err
			}
		}
		if err := c.combine(); err != nil {
			return err
		}
	}
	if c.seen&seenCacheControl == 0 {
		return nil
	}
	return c.cacheControl(asString(c.ctx.Request.Header.PeekBytes(headerCacheControl)))
}

// set applies one lookup parameter.
func (c *call) set(key, value string) (err error) {
	q := &c.query
	switch key {
	case "health":
		q.Select.Health, err = parseWorst(value)
	case "tag":
		c.tags = append(c.tags, value)
		q.Select.Tags = c.tags
	case "version":
		q.Select.Version = value
	case "zone":
		q.Select.Zone = value
	case "port":
		q.Select.Port = value
	case "filter":
		q.Select.Expr, err = c.port.server.exprs.get(value)
	case "view":
		c.view, err = parseView(value)
	case "kind":
		q.Kind, err = registry.ParseKind(value)
	case "max_age":
		q.MaxAge, err = parseAge(value)
	case "index":
		c.index, err = strconv.ParseUint(value, 10, 64)
		c.hasIndex = true
		if err != nil {
			err = fmt.Errorf("%q: the index of an earlier answer expected, a whole number", value)
		}
	case "wait":
		c.wait, err = c.parseWait(value)
	default:
		return nil // of another kind of route, which reads it itself
	}
	if err != nil {
		return badRequest(key, "%s: %v", key, err)
	}
	if value == "" && key != "tag" {
		return badRequest(key, "%s is empty; leave it out or give it a value", key)
	}
	return nil
}

// combine checks what parameters mean together.
func (c *call) combine() error {
	if c.wait >= 0 && !c.hasIndex {
		return badRequest("wait", "wait needs index, the one of an earlier answer")
	}
	if c.hasIndex && c.ctx.IsHead() {
		return badRequest("wait", "HEAD does not block; leave out index and wait, or use GET")
	}
	if c.hasIndex && c.wait < 0 {
		c.wait = defaultWait
		if most := c.live.limits.Wait; most > 0 {
			c.wait = min(c.wait, most)
		}
	}
	if c.view == viewDocument {
		for _, key := range []string{"health", "tag", "zone", "port", "filter"} {
			if c.has(key) {
				return badRequest(key, "view=document is the registry's own document and cannot be narrowed by %s", key)
			}
		}
	}
	return nil
}

// defaultWait is how long a lookup with index blocks if it does not say.
const defaultWait = 30 * time.Second

func (c *call) parseWait(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	most := c.live.limits.Wait
	if err != nil || d < 0 || most > 0 && d > most {
		if most > 0 {
			return 0, fmt.Errorf("%q: a duration of at most %s expected, as in 30s", value, most)
		}
		return 0, fmt.Errorf("%q: a duration expected, as in 30s", value)
	}
	return d, nil
}

func parseWorst(value string) (registry.Health, error) {
	switch value {
	case "passing":
		return registry.HealthPassing, nil
	case "warning":
		return registry.HealthWarning, nil
	case "any":
		return registry.HealthMaintenance, nil
	}
	return 0, fmt.Errorf("%q: passing, warning or any expected", value)
}

func parseView(value string) (view, error) {
	switch value {
	case "record":
		return viewRecord, nil
	case "document":
		return viewDocument, nil
	case "addresses":
		return viewAddresses, nil
	}
	return 0, fmt.Errorf("%q: record, document or addresses expected", value)
}

func parseAge(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q: a duration of 0s or more expected, as in 10s", value)
	}
	return d, nil
}

// cacheControl applies a request's Cache-Control. What it does not know it
// ignores, as RFC 9111 asks.
func (c *call) cacheControl(value string) error {
	for directive := range strings.SplitSeq(value, ",") {
		name, argument, _ := strings.Cut(strings.TrimSpace(directive), "=")
		age := time.Duration(-1)
		switch {
		case strings.EqualFold(name, "no-cache"):
			age = 0
		case strings.EqualFold(name, "only-if-cached"):
			c.query.OnlyCached = true
		case strings.EqualFold(name, "max-age"):
			n, err := strconv.ParseUint(strings.Trim(argument, `"`), 10, 31)
			if err != nil {
				return badRequest("Cache-Control", "Cache-Control: max-age=%q: whole seconds expected", argument)
			}
			age = time.Duration(n) * time.Second
		}
		if age >= 0 && (c.query.MaxAge < 0 || age < c.query.MaxAge) {
			c.query.MaxAge = age
		}
	}
	return nil
}

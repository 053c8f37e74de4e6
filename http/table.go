package http

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// A table finds routes. It is made once and then only read.
type table struct{ rows []row }

// A row is a route whose pattern is cut at its parameters: literals[0],
// params[0], literals[1], … The last literal is empty if a parameter ends the
// pattern.
type row struct {
	*route
	literals []string
	params   []string
}

func newTable(routes []route) *table {
	t := &table{}
	for i := range routes {
		r := row{route: &routes[i]}
		rest := routes[i].pattern
		for {
			literal, after, found := strings.Cut(rest, "{")
			r.literals = append(r.literals, literal)
			if !found {
				break
			}
			name, after, _ := strings.Cut(after, "}")
			r.params = append(r.params, name)
			rest = after
		}
		t.rows = append(t.rows, r)
	}
	return t
}

// find returns the route of a raw path and the call's method, and sets the
// call's path parameters.
func (t *table) find(c *call, path []byte) (*route, error) {
	method := c.ctx.Method()
	if string(method) == "HEAD" {
		method = asBytes("GET")
	}
	var allow []string
	for i := range t.rows {
		r := &t.rows[i]
		registry, last, ok := r.match(path)
		if !ok {
			continue
		}
		if r.method != string(method) {
			allow = append(allow, r.method)
			continue
		}
		return r.route, c.setPath(registry, last)
	}
	if allow == nil {
		return nil, noSuchRoute.because("there is nothing at this path")
	}
	if slices.Contains(allow, "GET") {
		allow = append(allow, "HEAD")
	}
	p := methodFailure.because("%s is not served here", method)
	p.allow = strings.Join(slices.Compact(slices.Sorted(slices.Values(allow))), ", ")
	return nil, p
}

// match cuts the values of {registry} and of the other parameter from a path.
func (r *row) match(path []byte) (registry, last []byte, ok bool) {
	for i, literal := range r.literals {
		if !bytes.HasPrefix(path, asBytes(literal)) {
			return nil, nil, false
		}
		path = path[len(literal):]
		if i == len(r.params) {
			break
		}
		value := path
		if i+1 < len(r.params) || r.literals[i+1] != "" {
			end := bytes.IndexByte(path, '/')
			if end < 0 {
				return nil, nil, false
			}
			value = path[:end]
		}
		path = path[len(value):]
		if r.params[i] == "registry" {
			registry = value
		} else {
			last = value
		}
	}
	return registry, last, len(path) == 0
}

// setPath decodes the path's parameters once.
func (c *call) setPath(registry, last []byte) error {
	c.scratch = c.scratch[:0]
	var err error
	if c.registry, err = c.decode(registry, false); err != nil {
		return badRequest("registry", "path: %v", err)
	}
	if c.name, err = c.decode(last, false); err != nil {
		return badRequest("name", "path: %v", err)
	}
	return nil
}

// decode percent-decodes raw once. What is not encoded is not copied; either
// way the string is good until the call ends. In a query + is a space.
func (c *call) decode(raw []byte, query bool) (string, error) {
	if bytes.IndexByte(raw, '%') < 0 && (!query || bytes.IndexByte(raw, '+') < 0) {
		return asString(raw), nil
	}
	if cap(c.scratch)-len(c.scratch) < len(raw) {
		// Strings made before stay in the old buffer, which they keep alive.
		c.scratch = make([]byte, 0, max(4<<10, len(raw)))
	}
	out := c.scratch[len(c.scratch):]
	for i := 0; i < len(raw); i++ {
		switch b := raw[i]; {
		case b == '%':
			if i+2 >= len(raw) || unhex(raw[i+1]) < 0 || unhex(raw[i+2]) < 0 {
				return "", fmt.Errorf("%q at byte %d: two hexadecimal digits expected after %%", raw[i:min(i+3, len(raw))], i)
			}
			out = append(out, byte(unhex(raw[i+1])<<4|unhex(raw[i+2])))
			i += 2
		case b == '+' && query:
			out = append(out, ' ')
		default:
			out = append(out, b)
		}
	}
	c.scratch = c.scratch[:len(c.scratch)+len(out)]
	return asString(out), nil
}

func unhex(b byte) int {
	switch {
	case b >= '0' && b <= '9':
		return int(b - '0')
	case b >= 'a' && b <= 'f':
		return int(b-'a') + 10
	case b >= 'A' && b <= 'F':
		return int(b-'A') + 10
	}
	return -1
}

// Package apitest holds exchanges over HTTP to docs/openapi.yaml, for tests.
package apitest

import (
	"bytes"
	"fmt"
	"net/textproto"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// A Spec is docs/openapi.yaml and what of it was seen. It is not safe for
// concurrent use.
type Spec struct {
	Root  map[string]any // the file as it is
	Paths []Path
	seen  map[string]bool
}

// A Path is one path of a Spec.
type Path struct {
	Template string
	match    *regexp.Regexp
	item     map[string]any
}

// An Exchange is a request and its answer. Bodies are not compressed any more.
type Exchange struct {
	Method, Target string // Target is path and query, still encoded
	RequestHeader  map[string][]string
	RequestBody    []byte
	Status         int
	Header         map[string][]string
	Body           []byte // of a stream, what was read
}

func first(header map[string][]string, name string) string {
	return textproto.MIMEHeader(header).Get(name)
}

// Load reads the file.
func Load(file string) (*Spec, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s := &Spec{seen: map[string]bool{}}
	if err := yaml.Unmarshal(text, &s.Root); err != nil {
		return nil, err
	}
	for template, item := range s.Root["paths"].(map[string]any) {
		pattern := regexp.QuoteMeta(template)
		pattern = regexp.MustCompile(`\\\{\w+\\\}$`).ReplaceAllString(pattern, `(.+)`)
		pattern = regexp.MustCompile(`\\\{\w+\\\}`).ReplaceAllString(pattern, `([^/]+)`)
		s.Paths = append(s.Paths, Path{template, regexp.MustCompile("^" + pattern + "$"), item.(map[string]any)})
	}
	// The most literal template wins.
	slices.SortFunc(s.Paths, func(a, b Path) int {
		literal := func(p Path) int { return len(regexp.MustCompile(`\{\w+\}`).ReplaceAllString(p.Template, "")) }
		return literal(b) - literal(a)
	})
	return s, nil
}

// resolve follows $ref; name is the last reference, or fallback.
func (s *Spec) resolve(node any, fallback string) (m map[string]any, name string) {
	m, _ = node.(map[string]any)
	name = fallback
	for m["$ref"] != nil {
		name = m["$ref"].(string)
		var at any = s.Root
		for part := range strings.SplitSeq(strings.TrimPrefix(name, "#/"), "/") {
			at = at.(map[string]any)[part]
		}
		m, _ = at.(map[string]any)
		if m == nil {
			panic("no such reference: " + name)
		}
	}
	return m, name
}

// Find returns the path that an escaped path is of, or nil.
func (s *Spec) Find(path string) *Path {
	for i := range s.Paths {
		if s.Paths[i].match.MatchString(path) {
			return &s.Paths[i]
		}
	}
	return nil
}

// AdminOnly reports whether the data port does not serve the path.
func (p *Path) AdminOnly() bool { return p.item["servers"] != nil }

// Methods returns the declared methods, with HEAD beside GET.
func (p *Path) Methods() []string {
	var list []string
	for _, m := range []string{"GET", "POST", "PUT", "DELETE", "PATCH"} {
		if p.item[strings.ToLower(m)] == nil {
			continue
		}
		list = append(list, m)
		if m == "GET" {
			list = append(list, "HEAD")
		}
	}
	return list
}

// plainHeaders are those of every HTTP answer.
var plainHeaders = []string{"Date", "Content-Length", "Content-Type", "Connection", "Transfer-Encoding"}

// plainRequestHeaders are those of any HTTP request, and what the fakes read.
var plainRequestHeaders = []string{"Authorization", "Content-Type", "X-Case"}

// Operation returns what the path declares of a method, or nil.
func (p *Path) Operation(method string) map[string]any {
	op, _ := p.item[strings.ToLower(method)].(map[string]any)
	return op
}

// Allows reports whether one of the scopes is enough for an operation, or none
// is needed.
func (s *Spec) Allows(op map[string]any, scopes ...string) bool {
	security, ok := op["security"].([]any)
	if !ok {
		security = s.Root["security"].([]any)
	}
	if len(security) == 0 || slices.Contains(scopes, "admin") {
		return true
	}
	for _, one := range security {
		listed, _ := one.(map[string]any)["token"].([]any)
		for _, scope := range listed {
			if slices.Contains(scopes, scope.(string)) {
				return true
			}
		}
	}
	return false
}

// Check returns what is wrong with an exchange, and remembers what it showed.
// A HEAD is checked as the GET it stands for.
func (s *Spec) Check(x Exchange) (errs []error) {
	target, err := url.ParseRequestURI(x.Target)
	if err != nil {
		return []error{err}
	}
	p := s.Find(target.EscapedPath())
	if p == nil {
		return []error{fmt.Errorf("path %s is not declared", x.Target)}
	}
	if x.Status == 405 {
		return nil
	}
	method := strings.Replace(x.Method, "HEAD", "GET", 1)
	op, id := p.Operation(method), method+" "+p.Template
	if op == nil {
		return []error{fmt.Errorf("%s is not declared", id)}
	}
	s.seen[id] = true
	if x.Status < 400 {
		errs = append(errs, s.checkParameters(id, op, target, x.RequestHeader)...)
		errs = append(errs, s.checkRequestBody(id, op, x.RequestBody)...)
	}
	status := fmt.Sprint(x.Status)
	node, ok := op["responses"].(map[string]any)[status]
	if !ok {
		return append(errs, fmt.Errorf("%s: status %s is not declared", id, status))
	}
	s.seen[id+" "+status] = true
	response, name := s.resolve(node, id+" "+status)
	raw := target.Query().Get("view") == "document"
	for _, err := range append(s.checkHeaders(name, response, x.Header), s.checkBody(name, response, x, raw)...) {
		errs = append(errs, fmt.Errorf("%s %s: %w", id, status, err))
	}
	return errs
}

func (s *Spec) checkParameters(id string, op map[string]any, target *url.URL, header map[string][]string) (errs []error) {
	declared := map[string]bool{}
	query, err := url.ParseQuery(target.RawQuery)
	if err != nil {
		return []error{err}
	}
	list, _ := op["parameters"].([]any)
	for _, node := range list {
		param, _ := s.resolve(node, "")
		name, in := param["name"].(string), param["in"].(string)
		declared[in+" "+name] = true
		declared[in+" "+textproto.CanonicalMIMEHeaderKey(name)] = true
		sent := in == "path" || in == "query" && query.Has(name) || in == "header" && first(header, name) != ""
		if sent {
			s.seen[id+" "+in+" "+name] = true
		}
		if enum, ok := param["schema"].(map[string]any)["enum"].([]any); ok && sent && in == "query" {
			for _, v := range query[name] {
				if !slices.ContainsFunc(enum, func(e any) bool { return fmt.Sprint(e) == v }) {
					errs = append(errs, fmt.Errorf("%s: %s=%s was taken, but is not in its enum", id, name, v))
				}
			}
		}
	}
	for name := range header {
		if !declared["header "+name] && !slices.Contains(plainRequestHeaders, name) {
			errs = append(errs, fmt.Errorf("%s: a row shows the header %s, which is not declared", id, name))
		}
	}
	for name := range query {
		if !declared["query "+name] {
			errs = append(errs, fmt.Errorf("%s: parameter %s was taken, but is not declared", id, name))
		}
	}
	return errs
}

func (s *Spec) checkRequestBody(id string, op map[string]any, body []byte) (errs []error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	content, _ := s.resolve(op["requestBody"], "")
	if content == nil {
		return []error{fmt.Errorf("%s: a body was taken, but none is declared", id)}
	}
	schema := content["content"].(map[string]any)["application/json"].(map[string]any)["schema"]
	errs = s.Validate(id+" request", schema, DecodeJSON(body))
	fields, _ := DecodeJSON(body).(map[string]any)
	for name := range fields {
		s.seen[id+" field "+name] = true
	}
	return errs
}

func (s *Spec) checkHeaders(name string, response map[string]any, header map[string][]string) (errs []error) {
	declared, _ := response["headers"].(map[string]any)
	for sent := range header {
		if slices.Contains(plainHeaders, sent) {
			continue
		}
		found := false
		for d := range declared {
			if strings.EqualFold(d, sent) {
				s.seen[name+" header "+d] = true
				found = true
			}
		}
		if !found {
			errs = append(errs, fmt.Errorf("header %s is not declared", sent))
		}
	}
	for d, node := range declared {
		if h, _ := s.resolve(node, ""); h["required"] == true && first(header, d) == "" {
			errs = append(errs, fmt.Errorf("header %s is missing", d))
		}
	}
	return errs
}

func (s *Spec) checkBody(name string, response map[string]any, x Exchange, raw bool) (errs []error) {
	content, _ := response["content"].(map[string]any)
	if content == nil {
		if len(x.Body) > 0 {
			errs = append(errs, fmt.Errorf("a body of %d bytes, but none is declared", len(x.Body)))
		}
		return errs
	}
	media, _, _ := strings.Cut(first(x.Header, "Content-Type"), ";")
	node, ok := content[media]
	if x.Status == 200 && raw {
		ok = false // of whatever media type the registry says
	}
	if !ok {
		if node, ok = content["*/*"]; !ok {
			return []error{fmt.Errorf("media type %q is not declared", media)}
		}
		media = "*/*"
	}
	s.seen[name+" content "+media] = true
	if x.Method == "HEAD" || !strings.HasSuffix(media, "json") {
		return nil
	}
	return s.Validate(media, node.(map[string]any)["schema"], DecodeJSON(x.Body))
}

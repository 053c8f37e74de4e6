package http_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	nethttp "net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// A spec is docs/openapi.yaml and what of it was seen.
type spec struct {
	root  map[string]any
	paths []specPath
	seen  map[string]bool
}

type specPath struct {
	template string
	match    *regexp.Regexp
	item     map[string]any
}

func loadSpec(t *testing.T) *spec {
	t.Helper()
	text, err := os.ReadFile("../docs/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := &spec{seen: map[string]bool{}}
	if err := yaml.Unmarshal(text, &s.root); err != nil {
		t.Fatal(err)
	}
	for template, item := range s.root["paths"].(map[string]any) {
		pattern := regexp.QuoteMeta(template)
		pattern = regexp.MustCompile(`\\\{\w+\\\}$`).ReplaceAllString(pattern, `(.+)`)
		pattern = regexp.MustCompile(`\\\{\w+\\\}`).ReplaceAllString(pattern, `([^/]+)`)
		s.paths = append(s.paths, specPath{template, regexp.MustCompile("^" + pattern + "$"), item.(map[string]any)})
	}
	// The most literal template wins.
	slices.SortFunc(s.paths, func(a, b specPath) int {
		literal := func(p specPath) int { return len(regexp.MustCompile(`\{\w+\}`).ReplaceAllString(p.template, "")) }
		return literal(b) - literal(a)
	})
	return s
}

// resolve follows $ref; name is the last reference, or fallback.
func (s *spec) resolve(node any, fallback string) (m map[string]any, name string) {
	m, _ = node.(map[string]any)
	name = fallback
	for m["$ref"] != nil {
		name = m["$ref"].(string)
		var at any = s.root
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

func (s *spec) find(path string) *specPath {
	for i := range s.paths {
		if s.paths[i].match.MatchString(path) {
			return &s.paths[i]
		}
	}
	return nil
}

func (p *specPath) adminOnly() bool { return p.item["servers"] != nil }

// methods returns the declared methods, with HEAD beside GET.
func (p *specPath) methods() []string {
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

// allows reports whether one of the scopes is enough for an operation, or none
// is needed.
func (s *spec) allows(op map[string]any, scopes ...string) bool {
	security, ok := op["security"].([]any)
	if !ok {
		security = s.root["security"].([]any)
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

// check returns what is wrong with an exchange, and remembers what it showed.
// A HEAD is checked as the GET it stands for.
func (s *spec) check(req *nethttp.Request, reqBody []byte, resp *nethttp.Response, body []byte) (errs []error) {
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	path := req.URL.EscapedPath()
	p := s.find(path)
	if p == nil {
		return []error{fmt.Errorf("path %s is not declared", path)}
	}
	if resp.StatusCode == 405 {
		return errs
	}
	op, _ := s.resolve(p.item[strings.ToLower(strings.Replace(req.Method, "HEAD", "GET", 1))], "")
	if op == nil {
		bad("%s %s is not declared", req.Method, p.template)
		return errs
	}
	id := strings.Replace(req.Method, "HEAD", "GET", 1) + " " + p.template
	s.seen[id] = true
	if resp.StatusCode < 400 {
		errs = append(errs, s.checkParameters(id, op, req)...)
		errs = append(errs, s.checkRequestBody(id, op, reqBody)...)
	}
	status := fmt.Sprint(resp.StatusCode)
	node, ok := op["responses"].(map[string]any)[status]
	if !ok {
		bad("%s: status %s is not declared", id, status)
		return errs
	}
	s.seen[id+" "+status] = true
	response, name := s.resolve(node, id+" "+status)
	for _, err := range append(s.checkHeaders(name, response, resp), s.checkBody(name, response, req, resp, body)...) {
		bad("%s %s: %w", id, status, err)
	}
	return errs
}

func (s *spec) checkParameters(id string, op map[string]any, req *nethttp.Request) (errs []error) {
	declared := map[string]bool{}
	query, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		return []error{err}
	}
	list, _ := op["parameters"].([]any)
	for _, node := range list {
		param, _ := s.resolve(node, "")
		name, in := param["name"].(string), param["in"].(string)
		declared[in+" "+name] = true
		declared[in+" "+nethttp.CanonicalHeaderKey(name)] = true
		sent := in == "path" || in == "query" && query.Has(name) || in == "header" && req.Header.Get(name) != ""
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
	for name := range req.Header {
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

func (s *spec) checkRequestBody(id string, op map[string]any, body []byte) (errs []error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	content, _ := s.resolve(op["requestBody"], "")
	if content == nil {
		return []error{fmt.Errorf("%s: a body was taken, but none is declared", id)}
	}
	schema := content["content"].(map[string]any)["application/json"].(map[string]any)["schema"]
	errs = s.validate(id+" request", schema, decodeJSON(body))
	fields, _ := decodeJSON(body).(map[string]any)
	for name := range fields {
		s.seen[id+" field "+name] = true
	}
	return errs
}

func (s *spec) checkHeaders(name string, response map[string]any, resp *nethttp.Response) (errs []error) {
	declared, _ := response["headers"].(map[string]any)
	for header := range resp.Header {
		if slices.Contains(plainHeaders, header) {
			continue
		}
		found := false
		for d := range declared {
			if strings.EqualFold(d, header) {
				s.seen[name+" header "+d] = true
				found = true
			}
		}
		if !found {
			errs = append(errs, fmt.Errorf("header %s is not declared", header))
		}
	}
	for d, node := range declared {
		if h, _ := s.resolve(node, ""); h["required"] == true && resp.Header.Get(d) == "" {
			errs = append(errs, fmt.Errorf("header %s is missing", d))
		}
	}
	return errs
}

func (s *spec) checkBody(name string, response map[string]any, req *nethttp.Request, resp *nethttp.Response, body []byte) (errs []error) {
	content, _ := response["content"].(map[string]any)
	if content == nil {
		if len(body) > 0 {
			errs = append(errs, fmt.Errorf("a body of %d bytes, but none is declared", len(body)))
		}
		return errs
	}
	media, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	node, ok := content[media]
	if resp.StatusCode == 200 && req.URL.Query().Get("view") == "document" {
		ok = false // of whatever media type the registry says
	}
	if !ok {
		if node, ok = content["*/*"]; !ok {
			return []error{fmt.Errorf("media type %q is not declared", media)}
		}
		media = "*/*"
	}
	s.seen[name+" content "+media] = true
	if req.Method == "HEAD" || !strings.HasSuffix(media, "json") {
		return nil
	}
	return s.validate(media, node.(map[string]any)["schema"], decodeJSON(body))
}

// unseen returns what is declared and was not seen.
func (s *spec) unseen() (list []string) {
	want := func(id string) {
		if !s.seen[id] {
			list = append(list, id)
		}
	}
	responses := map[string]map[string]any{}
	for _, p := range s.paths {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH"} {
			op, _ := p.item[strings.ToLower(method)].(map[string]any)
			if op == nil {
				continue
			}
			id := method + " " + p.template
			want(id)
			params, _ := op["parameters"].([]any)
			for _, node := range params {
				param, _ := s.resolve(node, "")
				want(fmt.Sprintf("%s %s %s", id, param["in"], param["name"]))
			}
			if body, _ := op["requestBody"].(map[string]any); body != nil {
				schema, _ := s.resolve(body["content"].(map[string]any)["application/json"].(map[string]any)["schema"], "")
				fields, _ := schema["properties"].(map[string]any)
				for name := range fields {
					want(id + " field " + name)
				}
			}
			for status, node := range op["responses"].(map[string]any) {
				want(id + " " + status)
				response, name := s.resolve(node, id+" "+status)
				responses[name] = response
			}
		}
	}
	for name, response := range responses {
		headers, _ := response["headers"].(map[string]any)
		for h := range headers {
			want(name + " header " + h)
		}
		content, _ := response["content"].(map[string]any)
		for media := range content {
			want(name + " content " + media)
		}
	}
	slices.Sort(list)
	return list
}

func decodeJSON(body []byte) any {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	return v
}

// validate checks a JSON value against the part of JSON Schema that the file
// uses; any other keyword is an error.
func (s *spec) validate(at string, node, value any) (errs []error) {
	schema, _ := s.resolve(node, "")
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf(at+": "+format, args...))
	}
	for _, keyword := range slices.Sorted(maps.Keys(schema)) {
		switch arg := schema[keyword]; keyword {
		case "type":
			if !hasType(value, arg.(string)) {
				bad("%v is no %s", value, arg)
				return errs
			}
		case "enum":
			if !slices.ContainsFunc(arg.([]any), func(e any) bool { return fmt.Sprint(e) == fmt.Sprint(value) }) {
				bad("%v is none of %v", value, arg)
			}
		case "minimum", "maximum":
			if number, ok := value.(json.Number); ok {
				n, _ := number.Float64()
				var limit float64
				fmt.Sscan(fmt.Sprint(arg), &limit)
				if keyword == "minimum" && n < limit || keyword == "maximum" && n > limit {
					bad("%v breaks %s %v", value, keyword, arg)
				}
			}
		case "required":
			for _, name := range arg.([]any) {
				if _, ok := value.(map[string]any)[name.(string)]; !ok {
					bad("%s is missing", name)
				}
			}
		case "properties", "additionalProperties":
		case "items":
			list, _ := value.([]any)
			for i, v := range list {
				errs = append(errs, s.validate(fmt.Sprintf("%s[%d]", at, i), arg, v)...)
			}
		case "maxItems", "minLength", "maxLength", "pattern", "format", "description", "default", "example":
		default:
			bad("the schema uses %s, which this test does not know", keyword)
		}
	}
	object, ok := value.(map[string]any)
	if !ok {
		return errs
	}
	properties, _ := schema["properties"].(map[string]any)
	for name, v := range object {
		if p, ok := properties[name]; ok {
			errs = append(errs, s.validate(at+"."+name, p, v)...)
		} else if extra, isSchema := schema["additionalProperties"].(map[string]any); isSchema {
			errs = append(errs, s.validate(at+"."+name, extra, v)...)
		} else if schema["additionalProperties"] == false {
			bad("field %s is not declared", name)
		}
	}
	return errs
}

func jsonOf(v any) ([]byte, error) { return json.Marshal(v) }

func hasType(value any, name string) bool {
	switch v := value.(type) {
	case map[string]any:
		return name == "object"
	case []any:
		return name == "array"
	case string:
		return name == "string"
	case bool:
		return name == "boolean"
	case json.Number:
		return name == "number" || name == "integer" && !strings.ContainsAny(v.String(), ".eE")
	}
	return false
}

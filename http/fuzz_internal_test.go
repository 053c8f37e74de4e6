package http

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/edgecache/edgecache/registry"
)

// The path is decoded once, like the standard library does it, and no name
// that CheckName refuses reaches the engine.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/v1/services/web", "/v1/services/a%2Fb", "/v1/services/a%252Fb?x", "/v1/registries/r/services/a+b", "http://h/v1/services/x", "//", "/v1/services/%zz"} {
		f.Add([]byte(seed))
	}
	t := newTable(nativeRoutes)
	f.Fuzz(func(tt *testing.T, target []byte) {
		path, search := splitTarget(target)
		if bytes.IndexByte(path, '?') >= 0 || len(path)+len(search) > len(target) {
			tt.Fatalf("%q is cut into %q and %q", target, path, search)
		}
		c := &call{ctx: &fasthttp.RequestCtx{}}
		r, err := t.find(c, path)
		if err != nil || r.pattern != "/v1/services/{name}" {
			return
		}
		raw := strings.TrimPrefix(string(path), "/v1/services/")
		want, err := url.PathUnescape(raw)
		if err != nil || want != c.name {
			tt.Errorf("%q is decoded to %q, want %q %v", raw, c.name, want, err)
		}
		if plainName(c.name) && registry.CheckName(c.name) != nil {
			tt.Errorf("%q passes as a plain name", c.name)
		}
	})
}

// Parsing a query never fails otherwise than with a problem of status 400, and
// what it accepts is what the standard library reads.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"zone=a&tag=b&tag=c", "filter=id+%3D%3D+%22x%22", "index=5&wait=1s", "health=any&&x", "max_age=1h&kind=mcp", "%", "a=%2"} {
		f.Add([]byte(seed))
	}
	p := hitPort(f, false)
	f.Fuzz(func(t *testing.T, search []byte) {
		c := p.server.acquireCall(&fasthttp.RequestCtx{}, p)
		defer c.release(p.server)
		c.search, c.name = search, "web"
		if err := c.prepare(&lookupParameters); err != nil {
			if got := problemOf(err).Status; got != 400 {
				t.Errorf("%q: %d %v, want 400", search, got, err)
			}
			return
		}
		values, err := url.ParseQuery(string(search))
		if err != nil {
			return // a semicolon, which is a character like any other here
		}
		if values.Get("zone") != c.query.Select.Zone || !slices.Equal(values["tag"], c.query.Select.Tags) {
			t.Errorf("%q: zone %q tags %q, want %v", search, c.query.Select.Zone, c.query.Select.Tags, values)
		}
	})
}

// A body that is accepted is JSON of the documented form with right names.
func FuzzBatch(f *testing.F) {
	for _, seed := range []string{`{"services":[{"name":"web"}]}`, `{"services":[{"name":"a","registry":"b"}],"tag":["x"],"zone":"z"}`, `{"services":null}`, `{`, `{"services":[],"filter":"a == b"}`} {
		f.Add([]byte(seed))
	}
	s := hitPort(f, false).server
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := s.parseBatch(raw)
		if err != nil {
			if got := problemOf(err).Status; got != 400 {
				t.Errorf("%q: %d %v, want 400", raw, got, err)
			}
			return
		}
		if !json.Valid(raw) {
			t.Errorf("%q is accepted but not JSON", raw)
		}
		for _, k := range b.keys {
			if err := registry.CheckName(k.Name); err != nil {
				t.Errorf("%q: %v", raw, err)
			}
		}
	})
}

// Only a cursor that was made for a list is accepted for it.
func FuzzCursor(f *testing.F) {
	f.Add("AAAA", "web", "p")
	cursor := string(appendCursor(nil, &registry.NamesQuery{Prefix: "p"}, "web"))
	f.Add(cursor, "web", "p")
	f.Add(cursor[:2]+"\n"+cursor[2:], "web", "p")
	f.Fuzz(func(t *testing.T, cursor, name, prefix string) {
		q := &registry.NamesQuery{Prefix: prefix}
		if after, err := parseCursor(cursor, q); err == nil && string(appendCursor(nil, q, after)) != cursor {
			t.Errorf("%q is accepted as %q, which has another cursor", cursor, after)
		}
		if name == "" {
			return
		}
		made := string(appendCursor(nil, q, name))
		if after, err := parseCursor(made, q); err != nil || after != name {
			t.Errorf("%q comes back as %q, %v", name, after, err)
		}
		if _, err := parseCursor(made, &registry.NamesQuery{Prefix: prefix + "x"}); err == nil {
			t.Errorf("the cursor of prefix %q is accepted for another", prefix)
		}
	})
}

// An expression that compiles can be evaluated for any instance.
func FuzzExpr(f *testing.F) {
	for _, seed := range []string{`zone == "a"`, `metadata.canary == "true" and zone != "b"`, `"v1" in tags`, `any endpoints as e { e.port == 9090 }`, `weight == 0.5`,
		`all metadata as k, v { k != v }`, `url matches "^a.*"`, `tags is empty`, `not tls == true`, `any tags as i, t { i == 0 and t == "v1" }`} {
		f.Add(seed)
	}
	rec := testRecord(2)
	views := []instanceView{viewOf(&rec.Instances[0]), viewOf(&registry.Instance{})}
	f.Fuzz(func(t *testing.T, text string) {
		x, err := compileExpr(text)
		if err != nil {
			return
		}
		for i := range views {
			if _, err := x.eval.Evaluate(views[i]); err != nil {
				t.Errorf("%q passes the check and fails: %v", text, err)
			}
		}
	})
}

package http_test

import (
	"strings"
	"testing"
	"time"

	"github.com/edgecache/edgecache/http"
	"github.com/edgecache/edgecache/registry"
)

func TestLookupCarriesFreshnessHeaders(t *testing.T) {
	e := newMemoryEngine()
	e.set("web", "a", "b")
	s := serve(t, e, nil)
	r := get(t, s.Addr(), "/v1/services/web")
	if r.status != 200 {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	for key, want := range map[string]string{
		"cache-status": "edgecache; hit; ttl=60", "age": "1", "cache-control": "no-cache",
		"edgecache-registry": "file", "content-type": "application/json",
	} {
		if r.header[key] != want {
			t.Errorf("%s: %q, want %q", key, r.header[key], want)
		}
	}
	if !strings.HasPrefix(r.body, `{"age_ms":1500,"stale":false,"name":"web"`) {
		t.Errorf("body %s", r.body)
	}
	if r.header["date"] == "" || r.header["server"] != "" {
		t.Errorf("headers %v: Date and no Server expected", r.header)
	}
	again := get(t, s.Addr(), "/v1/services/web", "If-None-Match: \"x\", "+r.header["etag"])
	if again.status != 304 || again.header["age"] == "" || again.header["edgecache-index"] == "" {
		t.Errorf("conditional: %d %v", again.status, again.header)
	}
}

func TestNameIsDecodedOnceFromTheRawPath(t *testing.T) {
	e := newMemoryEngine()
	for _, name := range []string{"a/b", "a%2Fb", "a+b", "ä", "a b"} {
		e.set(name)
	}
	s := serve(t, e, nil)
	for target, want := range map[string]string{
		"/v1/services/a/b":                                    "a/b",
		"/v1/services/a%2Fb":                                  "a/b",
		"/v1/services/a%2fb":                                  "a/b",
		"/v1/services/a%252Fb":                                "a%2Fb",
		"/v1/services/a+b":                                    "a+b",
		"/v1/services/%C3%A4":                                 "ä",
		"/v1/services/a%20b":                                  "a b",
		"/v1/registries/file/services/a/b":                    "a/b",
		"http://localhost/v1/services/a/b":                    "a/b",
		"/v1/services/a/b?":                                   "a/b",
		"/v1/registries/file/services/a%2Fb?view=record":      "a/b",
		"/v1/registries/f%69le/services/a%2Fb?health=passing": "a/b",
	} {
		r := get(t, s.Addr(), target)
		if r.status != 200 || r.json(t)["name"] != want {
			t.Errorf("%s: %d %s, want the service %q", target, r.status, r.body, want)
		}
	}
	for _, target := range []string{
		"/v1/services/", "/v1/services/a//b", "/v1/services/../x", "/v1/services/a/./b", "/v1/services/a%2F..",
		"/v1/services/%00", "/v1/services/%zz", "/v1/services/%2", "/v1/services/a%", "/v1/services/%ff",
		"/v1/services/" + strings.Repeat("x", 513), "/v1/registries/file/services/",
	} {
		if r := get(t, s.Addr(), target); r.status != 400 || r.json(t)["type"] != "urn:edgecache:bad-request" {
			t.Errorf("%s: %d %s, want 400", target, r.status, r.body)
		}
	}
	w := dial(t, s.Addr())
	w.send(t, "GET /v1/services/"+strings.Repeat("x", 2100)+" HTTP/1.1\r\nHost: x\r\n\r\n")
	if r, err := w.read(); err != nil || r.status != 414 || !w.closed() {
		t.Errorf("long path: %d %v, want 414 and a closed connection", r.status, err)
	}
}

func TestParametersAreStrict(t *testing.T) {
	e := newMemoryEngine()
	e.set("web", "a", "b", "b")
	s := serve(t, e, nil)
	for target, parameter := range map[string]string{
		"?healt=any":                  "healt",
		"?health=bad":                 "health",
		"?health=any&health=any":      "health",
		"?zone=":                      "zone",
		"?view=xml":                   "view",
		"?kind=pod":                   "kind",
		"?max_age=ten":                "max_age",
		"?max_age=-1s":                "max_age",
		"?index=x&wait=1s":            "index",
		"?index=-1":                   "index",
		"?wait=1s":                    "wait",
		"?index=1&wait=1h":            "wait",
		"?zone=%zz":                   "zone",
		"?view=document&zone=a":       "zone",
		"?view=document&filter=id==x": "filter",
		"?filter=zon+==+%22a%22":      "filter",
		"?service=x":                  "service",
		"?a=b&c=d":                    "a",
	} {
		r := get(t, s.Addr(), "/v1/services/web"+target)
		if r.status != 400 || r.json(t)["parameter"] != parameter {
			t.Errorf("%s: %d %s, want 400 for %s", target, r.status, r.body, parameter)
		}
	}
	for target, want := range map[string]int{
		"?zone=b": 2, "?zone=b&health=any": 2, "?filter=zone+==+%22a%22": 1, "?filter=zone%20!=%20a%20and%20port%20==%2080": 2,
		"?tag=none": 0, "?tag=none&tag=x": 0, "?": 3, "?&": 3,
	} {
		r := get(t, s.Addr(), "/v1/services/web"+target)
		if r.status != 200 {
			t.Errorf("%s: %d %s", target, r.status, r.body)
			continue
		}
		if got := len(r.json(t)["instances"].([]any)); got != want {
			t.Errorf("%s: %d instances, want %d", target, got, want)
		}
	}
}

func TestViews(t *testing.T) {
	e := newMemoryEngine()
	rec := &registry.Record{
		Key: registry.Key{Registry: "file", Name: "doc"}, Kind: registry.KindService, Document: []byte{0, 1, 0xff}, MediaType: "application/x-doc",
		Instances: []registry.Instance{
			{ID: "1", Endpoints: []registry.Endpoint{{Address: "10.0.0.1", Port: 80}, {Name: "grpc", Address: "10.0.0.1", Port: 90}}},
			{ID: "2", Endpoints: []registry.Endpoint{{Address: "2001:db8::1", Port: 80}}},
			{ID: "3", Endpoints: []registry.Endpoint{{Address: "/run/x.sock", Protocol: "unix"}}},
			{ID: "4", Endpoints: []registry.Endpoint{{URL: "https://a.example/x"}}},
		},
		Versions: []registry.Version{{Version: "2", Labels: []string{"latest"}, Document: []byte("two")}, {Version: "1", Document: []byte("one")}},
	}
	rec.Seal(8192)
	e.records["doc"], e.index["doc"] = rec, rec.Index
	e.set("plain", "a")
	s := serve(t, e, nil)
	for target, want := range map[string]string{
		"doc?view=document":                "\x00\x01\xff",
		"doc?view=document&version=1":      "one",
		"doc?view=document&version=latest": "two",
		"doc?view=addresses":               "10.0.0.1:80\n[2001:db8::1]:80\nunix:/run/x.sock\na.example:443\n",
		"doc?view=addresses&port=grpc":     "10.0.0.1:90\n",
	} {
		r := get(t, s.Addr(), "/v1/services/"+target)
		if r.status != 200 || r.body != want || !strings.HasPrefix(r.header["etag"], `"`) {
			t.Errorf("%s: %d %q etag %s, want %q and a strong tag", target, r.status, r.body, r.header["etag"], want)
		}
		if again := get(t, s.Addr(), "/v1/services/"+target, "If-None-Match: W/"+r.header["etag"]); again.status != 304 {
			t.Errorf("%s: conditional %d, want 304", target, again.status)
		}
	}
	for _, target := range []string{"plain?view=document", "doc?view=document&version=3"} {
		if r := get(t, s.Addr(), "/v1/services/"+target); r.status != 404 || r.json(t)["type"] != "urn:edgecache:no-document" {
			t.Errorf("%s: %d %s, want no-document", target, r.status, r.body)
		}
	}
	if head := ask(t, s.Addr(), "HEAD", "/v1/services/doc?view=addresses", ""); head.status != 200 || head.header["content-length"] == "0" {
		t.Errorf("HEAD: %d %v", head.status, head.header)
	}
}

func TestMaxAgeIsCappedByTheTTL(t *testing.T) {
	e := newMemoryEngine()
	e.set("web")
	s := serve(t, e, func(o *http.Options, _ *http.Deps) { o.MaxAge = time.Hour })
	if got := get(t, s.Addr(), "/v1/services/web").header["cache-control"]; got != "max-age=60" {
		t.Errorf("Cache-Control %q, want max-age=60: the TTL", got)
	}
}

func TestFailuresAreProblems(t *testing.T) {
	e := newMemoryEngine()
	e.fail("down", errUpstream)
	e.fail("slow", registry.ErrRegistryTimeout)
	e.fail("odd", errDisk)
	s := serve(t, e, nil)
	for target, want := range map[string]struct {
		status int
		word   string
	}{
		"/v1/services/none":              {404, "not-found"},
		"/v1/services/down":              {502, "registry-failed"},
		"/v1/services/slow":              {504, "registry-timeout"},
		"/v1/services/odd":               {500, "internal"},
		"/v1/registries/x/services/none": {404, "no-such-registry"},
		"/v2/services/none":              {404, "no-such-route"},
		"/":                              {404, "no-such-route"},
		"/v1/status":                     {404, "no-such-route"},
	} {
		r := get(t, s.Addr(), target)
		if r.status != want.status || r.json(t)["type"] != "urn:edgecache:"+want.word || r.header["content-type"] != "application/problem+json" {
			t.Errorf("%s: %d %s, want %d %s", target, r.status, r.body, want.status, want.word)
		}
		if strings.Contains(r.body, "secret") {
			t.Errorf("%s: %s tells an internal error", target, r.body)
		}
	}
	r := ask(t, s.Addr(), "DELETE", "/v1/services/web", "")
	if r.status != 405 || r.header["allow"] != "GET, HEAD" {
		t.Errorf("DELETE: %d Allow %q", r.status, r.header["allow"])
	}
}

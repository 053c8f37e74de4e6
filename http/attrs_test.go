package http_test

import (
	"strings"
	"testing"
	"time"

	"github.com/edgecache/edgecache/http"
	"github.com/edgecache/edgecache/registry"
)

// keepZone is a filter that keeps the instances of the client's zone and
// denies who asks for it.
func keepZone(attrs registry.Attrs, rec *registry.Record, sel *registry.Selection) error {
	if _, ok := attrs.Header("X-Deny"); ok {
		return &registry.Deny{Filter: "zone", Status: 451, Reason: "not here"}
	}
	sel.Expand(rec)
	kept := sel.Picks[:0]
	for _, p := range sel.Picks {
		if rec.Instances[p].Zone == attrs.ClientZone() {
			kept = append(kept, p)
		}
	}
	sel.Picks = kept
	return nil
}

func TestFiltersSeeTheClient(t *testing.T) {
	e := newMemoryEngine()
	e.set("web", "near", "far", "here", "said")
	filters := []registry.NamedFilter{{Name: "zone", Filter: registry.FilterFunc(keepZone), Varies: "Edgecache-Zone", Private: true}}
	s := serve(t, e, func(o *http.Options, d *http.Deps) {
		o.Zones = map[string][]string{"near": {"10.1.0.0/16", "2001:db8::/32"}, "far": {"10.0.0.0/8"}}
		o.TrustedProxies = []string{"127.0.0.0/8", "192.0.2.7"}
		d.Answerer.Filters = func() []registry.NamedFilter { return filters }
		d.Zone = "here"
	})
	for header, zone := range map[string]string{
		"A: b":                                    "here",
		"Edgecache-Zone: said":                    "said",
		"X-Forwarded-For: 10.1.2.3":               "near",
		"X-Forwarded-For: 10.2.2.3":               "far",
		"X-Forwarded-For: 8.8.8.8":                "here",
		"X-Forwarded-For: rubbish":                "here",
		"X-Forwarded-For: 2001:db8::1, 192.0.2.7": "near",
		"X-Forwarded-For: 10.1.1.1, 10.2.2.2":     "far", // what an untrusted one says of others is not believed
		"X-Forwarded-For: ::ffff:10.1.1.1":        "near",
	} {
		r := get(t, s.Addr(), "/v1/services/web", header)
		if r.status != 200 || strings.Count(r.body, `"zone":"`) != 1 || !strings.Contains(r.body, `"zone":"`+zone+`"`) {
			t.Errorf("%s: %d %s, want zone %s", header, r.status, r.body, zone)
		}
		if r.header["edgecache-filter"] != "zone=applied" || r.header["vary"] != "Edgecache-Zone" || r.header["cache-control"] != "private, no-cache" {
			t.Errorf("%s: headers %v", header, r.header)
		}
		if !strings.HasPrefix(r.header["etag"], `W/"`) || r.header["etag"] == get(t, s.Addr(), "/v1/services/web", "Edgecache-Zone: none").header["etag"] {
			t.Errorf("%s: ETag %s does not name what was left", header, r.header["etag"])
		}
	}
	if r := get(t, s.Addr(), "/v1/services/web", "X-Deny: 1"); r.status != 451 || r.json(t)["type"] != "urn:edgecache:denied" || r.json(t)["detail"] != "not here" {
		t.Errorf("denied: %d %s", r.status, r.body)
	}
	r := ask(t, s.Addr(), "POST", "/v1/lookup", `{"services":[{"name":"web"}]}`, "Content-Type: application/json", "Edgecache-Zone: said")
	if !strings.Contains(r.body, `"zone":"said"`) || strings.Contains(r.body, `"zone":"far"`) {
		t.Errorf("batch: %s, want zone said alone", r.body)
	}
	f := follow(t, s.Addr(), "/v1/watch?service=web", "edgecache-zone: far")
	f.expect("reset")
	if got := f.expect("upsert web"); !strings.Contains(got.data, `"zone":"far"`) || strings.Contains(got.data, `"zone":"here"`) {
		t.Errorf("watch: %+v, want zone far alone", got)
	}
}

func TestHowOldAnAnswerMayBe(t *testing.T) {
	e := newMemoryEngine()
	e.set("web", "a")
	s := serve(t, e, nil)
	for _, c := range []struct {
		target, header string
		age            time.Duration
		only           bool
	}{
		{"", "A: b", -1, false},
		{"?max_age=10s", "A: b", 10 * time.Second, false},
		{"", "Cache-Control: max-age=7", 7 * time.Second, false},
		{"", "cache-control: No-Cache", 0, false},
		{"", "Cache-Control: max-stale=5, only-if-cached , max-age=\"3\"", 3 * time.Second, true},
		{"?max_age=10s", "Cache-Control: max-age=7", 7 * time.Second, false},
		{"?max_age=5s", "Cache-Control: max-age=7", 5 * time.Second, false},
	} {
		r := get(t, s.Addr(), "/v1/services/web"+c.target, c.header)
		if q := e.last(); r.status != 200 || q.MaxAge != c.age || q.OnlyCached != c.only || q.Timeout != 5*time.Second {
			t.Errorf("%s %s: %d %+v", c.target, c.header, r.status, q)
		}
	}
	if r := get(t, s.Addr(), "/v1/services/web", "Cache-Control: max-age=soon"); r.status != 400 {
		t.Errorf("bad Cache-Control: %d, want 400", r.status)
	}
	if r := ask(t, s.Addr(), "POST", "/v1/lookup", `{"services":[{"name":"web"}],"max_age":"4s"}`, "Content-Type: application/json"); r.status != 200 || e.last().MaxAge != 4*time.Second {
		t.Errorf("batch: %d %+v", r.status, e.last())
	}
}

func TestCORSIsForConfiguredOriginsOnly(t *testing.T) {
	e := newMemoryEngine()
	e.set("web", "a")
	closed := serve(t, e, nil)
	if r := get(t, closed.Addr(), "/v1/services/web", "Origin: https://a.example"); r.header["access-control-allow-origin"] != "" {
		t.Error("allowed without http.cors")
	}
	if r := ask(t, closed.Addr(), "OPTIONS", "/v1/services/web", "", "Origin: https://a.example", "Access-Control-Request-Method: GET"); r.status != 405 {
		t.Errorf("preflight without http.cors: %d, want 405", r.status)
	}
	open := serve(t, e, func(o *http.Options, _ *http.Deps) { o.CORS = []string{"*"} })
	if r := get(t, open.Addr(), "/v1/services/none", "Origin: https://a.example"); r.header["access-control-allow-origin"] != "*" || r.status != 404 {
		t.Errorf("problem with cors *: %d %v", r.status, r.header)
	}
	if r := get(t, open.AdminAddr(), "/v1/services/web", "Origin: https://a.example"); r.status != 403 || r.header["access-control-allow-origin"] != "" {
		t.Errorf("admin port: %d %v, want 403", r.status, r.header)
	}
	w := dial(t, open.Addr())
	w.send(t, "GET /v1/watch?prefix= HTTP/1.0\r\nHost: x\r\n\r\n")
	if r, err := w.read(); err != nil || r.status != 400 {
		t.Errorf("watch over HTTP/1.0: %d %v, want 400", r.status, err)
	}
}

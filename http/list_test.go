package http_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/edgecache/edgecache/registry"
)

func TestListWalksByCursor(t *testing.T) {
	e := newMemoryEngine()
	for i := range 25 {
		e.set(fmt.Sprintf("s/%02d", i), "a")
	}
	e.set("other")
	s := serve(t, e, nil)
	var names []string
	target, cursor := "/v1/services?prefix=s/&limit=10", ""
	for pages := 1; ; pages++ {
		r := get(t, s.Addr(), target+cursor)
		m := r.json(t)
		for _, row := range m["services"].([]any) {
			row := row.(map[string]any)
			names = append(names, row["name"].(string))
			if row["registry"] != "file" || row["kind"] != "service" {
				t.Errorf("row %v", row)
			}
		}
		if m["complete"] != true || m["stale"] != false || m["index"] == nil || m["age_ms"] != 2000.0 {
			t.Errorf("page %s", r.body)
		}
		next, more := m["cursor"].(string)
		if !more {
			if pages != 3 {
				t.Errorf("%d pages, want 3", pages)
			}
			break
		}
		cursor = "&cursor=" + next
		if pages == 1 { // names before and behind the cursor come and go: nothing is missed or doubled
			e.remove("s/03")
			e.set("s/00x", "a")
		}
	}
	if len(names) != 25 || !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != 25 {
		t.Errorf("names %v, want 25 in byte order, once each", names)
	}
	for _, bad := range []string{
		"/v1/services?prefix=t/&limit=10" + cursor, "/v1/services?cursor=", "/v1/services?cursor=AAAA", "/v1/services?cursor=%21",
		"/v1/registries/file/services?prefix=s/" + cursor, "/v1/services?limit=0", "/v1/services?limit=1001", "/v1/services?limit=x", "/v1/services?tag=a",
		"/v1/services?prefix=s/" + cursor + "x",
	} {
		if r := get(t, s.Addr(), bad); r.status != 400 {
			t.Errorf("%s: %d %s, want 400", bad, r.status, r.body)
		}
	}
}

func TestListIsConditionalAndCompressed(t *testing.T) {
	e := newMemoryEngine()
	for i := range 200 {
		e.set(fmt.Sprintf("service-number-%03d", i))
	}
	s := serve(t, e, nil)
	plain := get(t, s.Addr(), "/v1/services?limit=1000")
	packed := get(t, s.Addr(), "/v1/services?limit=1000", "Accept-Encoding: br, gzip;q=0.8")
	if plain.header["content-encoding"] != "" || !strings.Contains(plain.header["vary"], "Accept-Encoding") {
		t.Errorf("plain headers %v", plain.header)
	}
	if packed.header["content-encoding"] != "gzip" || packed.header["etag"] != plain.header["etag"] {
		t.Fatalf("packed headers %v", packed.header)
	}
	body, err := fasthttp.AppendGunzipBytes(nil, []byte(packed.body))
	if err != nil || string(body) != plain.body {
		t.Errorf("unpacked body differs: %v", err)
	}
	for _, refuse := range []string{"gzip;q=0", "br", "identity", "xgzip"} {
		if r := get(t, s.Addr(), "/v1/services?limit=1000", "Accept-Encoding: "+refuse); r.header["content-encoding"] != "" {
			t.Errorf("Accept-Encoding %s: packed", refuse)
		}
	}
	if r := get(t, s.Addr(), "/v1/services?limit=3", "Accept-Encoding: gzip"); r.header["content-encoding"] != "" {
		t.Error("a short list is packed")
	}
	if r := get(t, s.Addr(), "/v1/services?limit=1000", "If-None-Match: *"); r.status != 304 || r.header["edgecache-index"] == "" {
		t.Errorf("conditional: %d %v", r.status, r.header)
	}
	if r := ask(t, s.Addr(), "HEAD", "/v1/services", ""); r.status != 200 || r.header["etag"] == "" {
		t.Errorf("HEAD: %d %v", r.status, r.header)
	}
}

func TestBatchAnswersEachInOrder(t *testing.T) {
	e := newMemoryEngine()
	e.set("web", "a", "b")
	e.set("a/b", "a")
	e.fail("bad", errUpstream)
	s := serve(t, e, nil)
	post := func(body string) reply {
		return ask(t, s.Addr(), "POST", "/v1/lookup", body, "Content-Type: application/json")
	}
	r := post(`{"services":[{"name":"web"},{"name":"none"},{"name":"web","registry":"file"},{"name":"bad"},{"name":"web","registry":"x"},{"name":"a/b"}],"zone":"a"}`)
	results := r.json(t)["results"].([]any)
	want := []float64{200, 404, 200, 502, 404, 200}
	if r.status != 200 || len(results) != len(want) {
		t.Fatalf("%d %s", r.status, r.body)
	}
	for i := range want {
		item := results[i].(map[string]any)
		if item["status"] != want[i] || (item["service"] != nil) != (want[i] == 200) || (item["problem"] != nil) != (want[i] != 200) {
			t.Errorf("result %d: %v, want status %v", i, item, want[i])
		}
	}
	if n := len(results[0].(map[string]any)["service"].(map[string]any)["instances"].([]any)); n != 1 {
		t.Errorf("%d instances with zone a, want 1", n)
	}
	if r := post(`{"services":[]}`); r.status != 200 || r.body != `{"results":[]}` {
		t.Errorf("no services: %d %s", r.status, r.body)
	}
	many := `{"services":[` + strings.Repeat(`{"name":"web"},`, 999) + `{"name":"web"}]}`
	if r := post(many); r.status != 200 || len(r.json(t)["results"].([]any)) != 1000 {
		t.Errorf("1000 services: %d", r.status)
	}
	for body, parameter := range map[string]string{
		`{"services":[` + strings.Repeat(`{"name":"web"},`, 1000) + `{"name":"web"}]}`: "services",
		`{}`:                                    "services",
		``:                                      "",
		`[]`:                                    "",
		`{"services":[{"name":"web"}]} x`:       "",
		`{"services":[{"name":"web","x":1}]}`:   "services[0].x",
		`{"services":[{"name":"a//b"}]}`:        "services[0].name",
		`{"services":[{}]}`:                     "services[0].name",
		`{"services":[],"view":"document"}`:     "view",
		`{"services":[],"index":1}`:             "index",
		`{"services":[],"health":"good"}`:       "health",
		`{"services":[],"filter":"id =="}`:      "filter",
		`{"services":[],"tag":[1]}`:             "tag[0]",
		`{"services":[],"max_age":5}`:           "max_age",
		`{"services":[],"zone":"a","zone":"b"}`: "zone",
	} {
		r := ask(t, s.Addr(), "POST", "/v1/lookup", body, "Content-Type: application/json")
		if got, _ := r.json(t)["parameter"].(string); r.status != 400 || got != parameter {
			t.Errorf("%.60s: %d %s, want 400 for %q", body, r.status, r.body, parameter)
		}
	}
	if r := ask(t, s.Addr(), "POST", "/v1/lookup", `{}`, "Content-Type: text/plain"); r.status != 415 {
		t.Errorf("text: %d, want 415", r.status)
	}
	if r := ask(t, s.Addr(), "GET", "/v1/lookup", ""); r.status != 405 || r.header["allow"] != "POST" {
		t.Errorf("GET: %d Allow %q", r.status, r.header["allow"])
	}
}

var _ registry.Engine = (*memoryEngine)(nil)

package httpjson_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/httpjson"
)

// handled opens a source of documents that the handler answers.
func handled(t testing.TB, h http.HandlerFunc, o httpjson.Options) *httpjson.Source {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	o.Address = registry.Strings{s.URL}
	return open(t, o)
}

const emptyWeb = `{"name":"web","instances":[]}`

func TestNamesAreEscapedOnceInPathAndQuery(t *testing.T) {
	for path, want := range map[string]string{
		"/s/{name}.json":       "/s/a%2Fb%20c%3F&d=+%25é.json",
		"/s?x=1&name={name}":   "/s?x=1&name=a%2Fb+c%3F%26d%3D%2B%25%C3%A9",
		"/{name}/i?n={name}&z": "/a%2Fb%20c%3F&d=+%25é/i?n=a%2Fb+c%3F%26d%3D%2B%25%C3%A9&z",
	} {
		const name = "a/b c?&d=+%é"
		var got atomic.Value
		s := handled(t, func(w http.ResponseWriter, r *http.Request) {
			got.Store(r.RequestURI)
			fmt.Fprintf(w, `{"name":%q,"instances":[]}`, name)
		}, httpjson.Options{Path: path})
		if rec := found(t, s, name); rec.Key.Name != name {
			t.Errorf("got name %q", rec.Key.Name)
		}
		if want := strings.ReplaceAll(want, "+%25é", "+%25%C3%A9"); got.Load() != want {
			t.Errorf("%s: asked %s, want %s", path, got.Load(), want)
		}
	}
}

func TestDocumentsAreKeptAsTheyCame(t *testing.T) {
	const body = "\n {\"name\" : \"web\",  \"instances\":[ ] }\n"
	answer := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.acme+json; charset=utf-8")
		_, _ = w.Write([]byte(body))
	}
	rec := found(t, handled(t, answer, httpjson.Options{Path: "/{name}", Documents: true}), "web")
	if string(rec.Document) != body || rec.MediaType != "application/vnd.acme+json" {
		t.Errorf("got %q of type %q", rec.Document, rec.MediaType)
	}
	if rec := found(t, handled(t, answer, httpjson.Options{Path: "/{name}"}), "web"); rec.Document != nil || rec.MediaType != "" {
		t.Errorf("got a document that nobody wanted: %q", rec.Document)
	}
	own := answering(t, map[string]string{"/web": `{"name":"web","instances":[],"document":{"a": 1}}`})
	rec = found(t, open(t, httpjson.Options{Address: registry.Strings{own}, Path: "/{name}", Documents: true}), "web")
	if string(rec.Document) != `{"a": 1}` {
		t.Errorf("got document %s, want the one that the record brings", rec.Document)
	}
}

func TestLookupsAreConditionalByTheBestValidator(t *testing.T) {
	const long = "Mon, 02 Jan 2006 15:04:05 GMT"
	for _, row := range []struct {
		name               string
		header             map[string]string
		match, since, kind string
	}{
		{"ETag", map[string]string{"ETag": `W/"a:b"`, "Last-Modified": long}, `W/"a:b"`, "", "etag"},
		{"date", map[string]string{"Last-Modified": long}, "", long, "date"},
		{"date of this second", map[string]string{"Last-Modified": time.Now().UTC().Format(http.TimeFormat)}, "", "", "sha256"},
		{"no date", map[string]string{"Last-Modified": "yesterday"}, "", "", "sha256"},
		{"endless ETag", map[string]string{"ETag": `"` + strings.Repeat("x", 300) + `"`}, "", "", "sha256"},
		{"nothing", nil, "", "", "sha256"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var calls atomic.Int32
			s := handled(t, func(w http.ResponseWriter, r *http.Request) {
				for k, v := range row.header {
					w.Header().Set(k, v)
				}
				if calls.Add(1) > 1 {
					if got := r.Header.Get("If-None-Match"); got != row.match {
						t.Errorf("got If-None-Match %q, want %q", got, row.match)
					}
					if got := r.Header.Get("If-Modified-Since"); got != row.since {
						t.Errorf("got If-Modified-Since %q, want %q", got, row.since)
					}
					if row.match+row.since != "" {
						w.WriteHeader(http.StatusNotModified)
						return
					}
				}
				_, _ = w.Write([]byte(emptyWeb))
			}, httpjson.Options{Path: "/{name}"})
			have := found(t, s, "web")
			if !strings.Contains(have.Revision.Token, ":"+row.kind+":") {
				t.Errorf("got revision %q, want one of kind %s", have.Revision.Token, row.kind)
			}
			if rec, err := lookup(t, s, "web", have); !errors.Is(err, registry.ErrNotModified) || rec != nil {
				t.Errorf("got %v, %v; want ErrNotModified", rec, err)
			}
		})
	}
}

func TestAValidatorOfAnotherMappingConfirmsNothing(t *testing.T) {
	answer := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		if r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write([]byte(emptyWeb))
	}
	have := found(t, handled(t, answer, httpjson.Options{Path: "/{name}"}), "web")
	other := handled(t, answer, httpjson.Options{Path: "/{name}", Documents: true})
	if rec, err := lookup(t, other, "web", have); err != nil || rec.Document == nil {
		t.Errorf("got %v, %v; want the record with its document", rec, err)
	}
}

func TestWishesOfTheBodyWinOverThoseOfHTTP(t *testing.T) {
	body := `{"name":"web","instances":[],"ttl_ms":1500}`
	s := handled(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "private, max-age=60, stale-if-error=5")
		_, _ = w.Write([]byte(body))
	}, httpjson.Options{Path: "/{name}"})
	want := registry.Freshness{TTL: 1500 * time.Millisecond, StaleWhileRevalidate: registry.Unsaid, StaleIfError: 5 * time.Second, NoStore: true}
	if got := found(t, s, "web").Wishes; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAbsenceAndOutageAreTold(t *testing.T) {
	for status, absent := range map[int]bool{404: true, 410: true, 401: false, 429: false, 500: false} {
		s := handled(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(status)
		}, httpjson.Options{Path: "/{name}"})
		rec, err := lookup(t, s, "web", nil)
		var up *registry.UpstreamError
		switch {
		case absent && (!errors.Is(err, registry.ErrNotFound) || rec != nil):
			t.Errorf("status %d: got %v", status, err)
		case !absent && (!errors.As(err, &up) || up.Status != status || up.RetryAfter != 3*time.Second):
			t.Errorf("status %d: got %v", status, err)
		}
	}
}

func TestTheTokenFileIsReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write := func(s string) {
		if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var got atomic.Value
	write("one\n")
	s := handled(t, func(w http.ResponseWriter, r *http.Request) {
		got.Store(r.Header.Get("Authorization") + "," + r.Header.Get("X-Tenant") + "," + r.Header.Get("Cache-Control"))
		_, _ = w.Write([]byte(emptyWeb))
	}, httpjson.Options{Path: "/{name}", TokenFile: file, Headers: map[string]string{"x-tenant": "acme"}})
	for _, step := range []struct{ content, want string }{
		{"one", "Bearer one"}, {"two", "Bearer two"}, {"", "Bearer two"}, {"bad\nlines", "Bearer two"}, {"three", "Bearer three"},
	} {
		write(step.content)
		found(t, s, "web")
		if want := step.want + ",acme,"; got.Load() != want {
			t.Errorf("file %q: sent %q, want %q", step.content, got.Load(), want)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lookup(registry.ReadThrough(t.Context()), "web", nil); err != nil || got.Load() != "Bearer three,acme,no-cache" {
		t.Errorf("without the file: sent %q, %v", got.Load(), err)
	}
}

func TestALookupEndsAtItsTimeout(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for _, o := range []httpjson.Options{{Path: "/{name}"}, {List: "/list"}} {
		o.Timeout = 50 * time.Millisecond
		_, err := lookup(t, handled(t, hang, o), "web", nil)
		var up *registry.UpstreamError
		if !errors.As(err, &up) || !up.Timeout || up.Harmless {
			t.Errorf("got %v, want a timeout", err)
		}
	}
}

func FuzzMapping(f *testing.F) {
	f.Add(`{"list":[{"i":"x","a":"10.0.0.1","p":80,"h":"UP","w":0.5,"tags":["a"],"m":{"k":1}}]}`)
	f.Add(`{"list":[{"u":"https://h/x"},{"a":"[::1]:80"}]}`)
	f.Add(`{"list":{"a":"h"}}`)
	f.Add("[[[[")
	var at atomic.Value
	sources := fuzzed(f, &at)
	f.Fuzz(func(t *testing.T, body string) {
		at.Store(body)
		for name, source := range sources {
			rec, err := lookup(t, source, "web", nil)
			var up *registry.UpstreamError
			switch {
			case err != nil && (rec != nil || !errors.As(err, &up) && !errors.Is(err, registry.ErrNotFound)):
				t.Fatalf("%s: %q gives %v, %v", name, body, rec, err)
			case err == nil:
				sound(t, rec, name, body)
			}
		}
	})
}

// fuzzed returns sources of all forms that are answered what at holds.
func fuzzed(t testing.TB, at *atomic.Value) map[string]*httpjson.Source {
	answer := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(at.Load().(string))) }
	words := map[string]string{"UP": "passing", "*": "critical"}
	out := map[string]*httpjson.Source{}
	for name, o := range map[string]httpjson.Options{
		"native":          {Path: "/{name}"},
		"native list":     {List: "/"},
		"mapped":          {Path: "/{name}", Instances: "/list", Fields: allFields, HealthValues: words},
		"mapped list":     {List: "/", Next: "/next", Items: "/list", ItemName: "/i", Fields: allFields, HealthValues: words},
		"prometheus":      {Path: "/{name}", Format: "prometheus"},
		"prometheus list": {List: "/", Format: "prometheus", ItemName: "/labels/job"},
	} {
		out[name] = handled(t, answer, o)
	}
	return out
}

// sound checks what every record promises.
func sound(t *testing.T, rec *registry.Record, form, body string) {
	t.Helper()
	seen := map[string]bool{}
	for _, in := range rec.Instances {
		if in.ID == "" || seen[in.ID] || len(in.Endpoints) == 0 || in.Main().Address == "" && in.Main().URL == "" {
			t.Fatalf("%s: %q gives the instance %+v", form, body, in)
		}
		seen[in.ID] = true
	}
	if rec.Key.Name != "web" || rec.Revision.Token == "" {
		t.Fatalf("%s: %q gives the record %+v", form, body, rec)
	}
}

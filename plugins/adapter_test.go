package plugins_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgecache/edgecache/plugins"
	"github.com/edgecache/edgecache/registry"
)

// openEcho opens an adapter on a host of its own.
func openEcho(t testing.TB, o plugins.AdapterOptions, ho plugins.HostOptions) *plugins.Adapter {
	t.Helper()
	h := adapterHost(t, ho)
	t.Cleanup(h.Close)
	a, err := h.OpenAdapter(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// serve returns the URL of a server that ends with the test.
func serve(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

// writing returns the path of a file with a text.
func writing(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// manifest writes one of an adapter, with further lines.
func manifest(t testing.TB, lines string) string {
	return writing(t, "m.yaml", "name: echo\nkind: adapter\nabi: \"1.0\"\n"+lines)
}

// pairOf looks a name up and returns one pair of its metadata.
func pairOf(t testing.TB, a *plugins.Adapter, name, key string) string {
	t.Helper()
	rec, err := a.Lookup(t.Context(), name, nil)
	if err != nil {
		t.Fatalf("%.200q: %v", name, err)
	}
	value, ok := rec.Metadata.Get(key)
	if !ok {
		t.Fatalf("%.200q: metadata %v, %s expected", name, rec.Metadata, key)
	}
	return value
}

// fails looks a name up, which must fail in a way that names registry, plugin and
// export, and be counted.
func fails(t testing.TB, a *plugins.Adapter, name, kind, text string) *registry.UpstreamError {
	t.Helper()
	before := a.Status().Failures[kind]
	_, err := a.Lookup(t.Context(), name, nil)
	up, ok := errors.AsType[*registry.UpstreamError](err)
	if !ok || up.Registry != "echo" || errors.Is(err, registry.ErrNotFound) {
		t.Fatalf("%.200q: %v, an UpstreamError expected", name, err)
	}
	if f, ok := errors.AsType[*plugins.Failure](err); !ok || f.Kind != kind {
		t.Errorf("%.200q: %v, of kind %+v; %s expected", name, err, f, kind)
	}
	if !strings.HasPrefix(err.Error(), "registry echo: plugin echo, ec_lookup: ") || !strings.Contains(err.Error(), text) {
		t.Errorf("%.200q: %v\nwant %s", name, err, text)
	}
	if after := a.Status().Failures[kind]; after != before+1 {
		t.Errorf("%.200q: %d failures of kind %s, %d before", name, after, kind, before)
	}
	return up
}

// Registries whose answers cannot be used: nothing of them is, the error says
// where it is, and the instance goes on.
func TestAnswersThatCannotBeUsed(t *testing.T) {
	instances := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf(`{"id":"%d","address":"a"}`, i)
		}
		return `{"instances":[` + strings.Join(list, ",") + `]}`
	}
	answer := ""
	o := echoOptions(serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) }))
	o.Pool = 1
	a := openEcho(t, o, plugins.HostOptions{})
	for _, row := range [...]struct{ answer, want string }{
		{"", "empty; the JSON form of a record expected"},
		{`{"instances":[`, "JSON: line 1, column 14: unexpected end of JSON input"},
		{"<p>sign in</p>", "JSON: line 1, column 1: invalid character '<'"},
		{"null", "object expected"},
		{"[]", "object expected"},
		{`{"instances":{}}`, "instances: "},
		{strings.Repeat("[", 1<<20), "JSON: "},
		{`{"name":"web","instances":[{"id":"a","address":"x","port":"80"}]}`, `instances[0].port: `},
		{`{"instances":[{"id":"a","address":"x","port":65536}]}`, `instances[0].port: `},
		{`{"instances":[{"id":"a","address":"x"},{"id":"b"}]}`, "instances[1]: address or url expected"},
		{`{"instances":[{"id":"a","address":"x","pory":1}]}`, "instances[0].pory: "},
		{`{"instances":[{"id":"a","address":"x"},{"id":"a","address":"y"}]}`, `instances[1]: id "a" is taken by instance 0`},
		{`{"name":"db","instances":[]}`, `name: "db", and "web" was asked`},
		{`{"name":"","instances":[]}`, "name: name is empty"},
		{`{"name":7,"instances":[]}`, "name: "},
		{"{\"instances\":[{\"id\":\"\xff\",\"address\":\"x\"}]}", "not UTF-8"},
		{instances(registry.MaxInstances + 1), "more than 10000 instances"},
		{strings.Repeat(" ", 4<<20+1), "output 0 has 4194305 bytes, at most 4194304 expected"},
	} {
		answer = row.answer
		fails(t, a, "web", "output", row.want)
	}
	if n := pairOf(t, a, "x-held", "calls"); n != "1" {
		t.Errorf("calls %s", n)
	}
	for _, good := range [...]string{`{}`, ` {"instances":[]}`, `{"name":"web"}`, instances(registry.MaxInstances), "{}" + strings.Repeat(" ", 4<<20-2)} {
		answer = good
		if rec, err := a.Lookup(t.Context(), "web", nil); err != nil || rec.Key.Name != "web" {
			t.Errorf("%.100s: %v, %v", good, rec, err)
		}
	}
}

// A version that the registry gives is asked with; a record without one is known
// by its content.
func TestVersionsOfRecords(t *testing.T) {
	tag, asked := `"1"`, ""
	a := openEcho(t, echoOptions(serve(t, func(w http.ResponseWriter, r *http.Request) {
		if asked = r.Header.Get("If-None-Match"); asked != "" && asked == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		if tag != "" {
			w.Header().Set("ETag", tag)
		}
		_, _ = io.WriteString(w, `{"instances":[{"address":"10.0.0.1"}]}`)
	})), plugins.HostOptions{})
	rec, err := a.Lookup(t.Context(), "web", nil)
	if err != nil || asked != "" || rec.Revision.Token != tag {
		t.Fatalf("%+v, %v; asked with %q", rec, err, asked)
	}
	if _, err := a.Lookup(t.Context(), "web", rec); !errors.Is(err, registry.ErrNotModified) || asked != tag {
		t.Errorf("%v; asked with %q", err, asked)
	}
	tag = ""
	rec, err = a.Lookup(t.Context(), "web", rec)
	if err != nil || !strings.HasPrefix(rec.Revision.Token, "sha256:") {
		t.Fatalf("%+v, %v", rec, err)
	}
	if _, err := a.Lookup(t.Context(), "web", rec); !errors.Is(err, registry.ErrNotModified) || asked != "" {
		t.Errorf("%v; asked with %q", err, asked)
	}
}

func TestListsThatCannotBeUsed(t *testing.T) {
	answer, next := "", ""
	a := openEcho(t, echoOptions(serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if next != "" {
			w.Header().Set("X-Next", next)
		}
		_, _ = io.WriteString(w, answer)
	})), plugins.HostOptions{})
	for _, row := range [...]struct{ answer, next, want string }{
		{"web\n\ndb\n", "", `name 1, "": name is empty`},
		{"web\na\tb\n", "", `name 1, "a\tb": `},
		{"\xff\n", "", `name 0, "\xff": name is not valid UTF-8`},
		{strings.Repeat("a", 513), "", `name 0, "` + strings.Repeat("a", 100) + `": name has 513 bytes, the most is 512`},
		{"web\n", "again", `page "again": its cursor leads to itself`},
	} {
		answer, next = row.answer, row.next
		if names, err := a.List(t.Context()); err == nil || len(names) > 0 || !strings.Contains(err.Error(), "registry echo: plugin echo, ec_list: "+row.want) {
			t.Errorf("%.50q: %q, %v\nwant %s", row.answer, names, err, row.want)
		}
	}
	if s := a.Status(); s.Failures["output"] != 5 {
		t.Errorf("status %+v", s)
	}
}

// A manifest that asks for more than is granted is refused, and each that misses
// is named.
func TestManifestsThatAskForMoreThanIsGranted(t *testing.T) {
	h := adapterHost(t, plugins.HostOptions{})
	defer h.Close()
	for _, row := range [...]struct {
		http  string
		allow []string
		want  []string
	}{
		{`["https://a.example", "https://b.example:8443"]`, []string{"https://c.example"}, []string{`"https://a.example"`, `"https://b.example:8443"`}},
		{`["https://a.example", "https://b.example"]`, []string{"https://a.example"}, []string{`"https://b.example"`}},
		{`["https://a.example"]`, []string{"http://a.example", "https://a.example:444"}, []string{`"https://a.example"`}},
		{`["https://*.a.example"]`, []string{"https://b.a.example"}, []string{`"https://*.a.example"`}},
		{`["*"]`, nil, []string{`"*"`}},
		{`["http://10.0.0.1"]`, []string{"http://10.0.0.2"}, []string{`"http://10.0.0.1"`}},
		{`["http://10.0.0.1"]`, []string{"http://10.0.0.1"}, nil},
		{`["https://a.example"]`, []string{"https://*.example"}, nil},
		{`["https://*.a.example"]`, []string{"https://*.example"}, nil},
	} {
		o := echoOptions("http://x")
		o.Manifest, o.Allow = manifest(t, "http: "+row.http+"\n"), row.allow
		a, err := h.OpenAdapter(o)
		if len(row.want) == 0 {
			if err != nil {
				t.Errorf("%s by %q: %v", row.http, row.allow, err)
			} else if err := a.Close(); err != nil {
				t.Error(err)
			}
			continue
		}
		for _, want := range row.want {
			if text := "its manifest asks for http: " + want + ", which the configuration does not grant: allow"; err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%s by %q: %v\nwant %s", row.http, row.allow, err, text)
			}
		}
	}
	if s := h.Status(); len(s) != 0 {
		t.Errorf("status %+v", s)
	}
}

// A lineLog keeps what is logged.
func lineLog(text *strings.Builder) *slog.Logger {
	return slog.New(slog.NewTextHandler(text, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

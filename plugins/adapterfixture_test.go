package plugins_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgecache/edgecache/plugins"
)

func TestHalfABodyIsRecordedAndAnswered(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, `{"name":"web"`) // and no more
	}))
	defer server.Close()
	m, err := plugins.Load("testdata/adapter/echo.wasm", "", "")
	if err != nil {
		t.Fatal(err)
	}
	log := lineLog(&strings.Builder{})
	f, err := plugins.Record(t.Context(), m, echoOptions(server.URL), []plugins.AdapterCase{{Name: "half", Lookup: "web"}}, log)
	if err != nil {
		t.Fatal(err)
	}
	e, c := f.Exchanges[0], f.Cases[0]
	if e.Cut == nil || *e.Cut != 13 || e.Answer != `{"name":"web"` || !strings.Contains(c.Error, "UNAVAILABLE") {
		t.Errorf("recorded is %+v, %+v", e, c)
	}
	server.Close()
	path := filepath.Join(t.TempDir(), "f.yaml")
	if err := f.Write(path); err != nil {
		t.Fatal(err)
	}
	again, err := plugins.ReadAdapterFixture(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range again.Run(m, log) {
		t.Error(err)
	}
}

func TestAnAnswerIsNotCutBeyondItsEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.yaml")
	for cut, want := range map[string]string{"3": "cut: 3: 0 to 2 expected", "-1": "cut: -1: 0 to 2 expected", "2": "", "0": ""} {
		text := "exchanges: [{request: GET http://registry.test/, answer: 'ab', cut: " + cut + "}]\n"
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := plugins.ReadAdapterFixture(path)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("cut %s: %v, want %q", cut, err, want)
		}
	}
}

// What the author of an adapter reads whose fixture says otherwise.
func TestWhatAnAdapterDoesOtherwiseIsSaid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.yaml")
	text := `config: {url: "http://r.test"}
exchanges:
  - {request: GET http://r.test/s/web, headers: {If-None-Match: seven}, answer: '{"instances":[]}'}
  - {request: GET http://r.test/s/db, answer: '{"instances":[]}', answer_headers: {ETag: two}}
  - {request: GET http://r.test/names, answer: "a\nb\n"}
  - {request: GET http://r.test/poll, answer: "U web {\"instances\":[]}\nD db\nC 1\nW 100\n"}
cases:
  - {name: none, lookup: other, not_found: true}
  - {name: header, lookup: web, record: {name: web, instances: []}}
  - {name: version, lookup: db, record: {name: db, instances: []}, version: one}
  - {name: found, lookup: db, not_found: true}
  - {name: record, lookup: db, record: {name: db, instances: [{id: a, address: 10.0.0.1, port: 80}]}}
  - {name: error, lookup: db, error: broken}
  - {name: list, list: [a, c]}
  - {name: number, poll: "", emits: []}
  - {name: order, poll: "", emits: [{delete: db}, {upsert: {name: web, instances: []}}]}
  - {name: cursor, poll: "", emits: [{upsert: {name: web, instances: []}}, {delete: db}], cursor: "2"}
  - {name: wait, poll: "", emits: [{upsert: {name: web, instances: []}}, {delete: db}], wait_ms: 200}
`
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	m, err := plugins.Load("testdata/adapter/echo.wasm", "", "")
	if err != nil {
		t.Fatal(err)
	}
	f, err := plugins.ReadAdapterFixture(path)
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for _, err := range f.Run(m, lineLog(&strings.Builder{})) {
		engine, rest, _ := strings.Cut(err.Error(), ": ")
		name, what, _ := strings.Cut(rest, ": ")
		if engine == "compiler" {
			said[name] = what
		}
	}
	for name, want := range map[string]string{
		"none":    "request GET http://r.test/s/other has no exchange",
		"header":  `request GET http://r.test/s/web has If-None-Match: "", want "seven"`,
		"version": `its version is "two", want "one"`,
		"found":   "it found a record, want that it does not",
		"record":  `"id":"a"`,
		"error":   `it ended with no error, want an error that has "broken"`,
		"list":    `it lists ["a" "b"], want ["a" "c"]`,
		"number":  "it emits 2: upsert web, delete db, want 0",
		"order":   "emit 0 is upsert web, want operation 1 of db",
		"cursor":  `its cursor is "1", want "2"`,
		"wait":    "it wants to wait 100ms, want 200 ms",
	} {
		if !strings.Contains(said[name], want) {
			t.Errorf("%s: %q, want %q", name, said[name], want)
		}
	}
}

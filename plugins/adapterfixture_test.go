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

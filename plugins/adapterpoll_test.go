package plugins_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgecache/edgecache/plugins"
	"github.com/edgecache/edgecache/registry"
)

// downFor answers polls by a script, and a number of lookups with 503.
func downFor(lookups int, s *pollScript) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/s/") && lookups > 0 {
			lookups--
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		s.ServeHTTP(w, r)
	}
}

func TestNamesThatChangedAreLookedUpAgain(t *testing.T) {
	s := &pollScript{answers: []string{
		up("web", "a") + "C 1\n",
		"I flaky\nI absent\nI second\nC 2\n", // the first is not answered, the others are not asked
		up("web", "b") + "C 3\n",
	}}
	server := httptest.NewServer(downFor(1, s))
	defer server.Close()
	a := openEcho(t, echoOptions(server.URL), plugins.HostOptions{})
	var events []string
	err := a.Watch(t.Context(), registry.Revision{}, nil, func(e registry.Event) { events = append(events, told(e)) })
	want := []string{"upsert web a", "synced", "alive", "upsert flaky looked", "delete absent true", "upsert second looked", "upsert web b", "alive"}
	if err == nil || !slices.Equal(events, want) || !slices.Equal(s.lookups, []string{"flaky", "absent", "second"}) {
		t.Errorf("%q, lookups %q, %v; want %q", events, s.lookups, err, want)
	}
}

func TestAListWithoutANameThatIsNotAnsweredIsNone(t *testing.T) {
	s := &pollScript{answers: []string{up("web", "a") + "I flaky\nC 1\n"}}
	server := httptest.NewServer(downFor(1, s))
	defer server.Close()
	a := openEcho(t, echoOptions(server.URL), plugins.HostOptions{})
	var events []string
	err := a.Watch(t.Context(), registry.Revision{}, nil, func(e registry.Event) { events = append(events, told(e)) })
	if err == nil || !strings.Contains(err.Error(), "flaky: ") || slices.Contains(events, "synced") {
		t.Errorf("%q, %v", events, err)
	}
}

func TestAConfigurationThatDoesNotPoll(t *testing.T) {
	s := &pollScript{answers: []string{"X code:8\n", "X code:8\n"}}
	server := httptest.NewServer(s.handler())
	defer server.Close()
	a := openEcho(t, echoOptions(server.URL), plugins.HostOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond) // five polls, if it did
	defer cancel()
	err := a.Watch(ctx, registry.Revision{}, nil, func(e registry.Event) { t.Error(told(e)) })
	if !errors.Is(err, context.DeadlineExceeded) || len(s.cursors) != 1 {
		t.Errorf("%v after %d polls, want one", err, len(s.cursors))
	}
}

func (s *pollScript) handler() http.Handler { return http.HandlerFunc(s.ServeHTTP) }

func TestDocumentsAreKeptIfTheyAreWanted(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"name":"web","document":{"a":1},"versions":[{"version":"1","document":{"b":2}}]}`)
	}))
	defer server.Close()
	for _, wanted := range []bool{true, false} {
		o := echoOptions(server.URL)
		o.Documents = wanted
		rec, err := openEcho(t, o, plugins.HostOptions{}).Lookup(t.Context(), "web", nil)
		if err != nil || (len(rec.Document) > 0) != wanted || (len(rec.Versions[0].Document) > 0) != wanted {
			t.Errorf("wanted %t: %+v, %v", wanted, rec, err)
		}
	}
}

func TestWhatTheHostKnowsIsToldWithTheGuestsWords(t *testing.T) {
	a := openEcho(t, echoOptions("http://127.0.0.1:1"), plugins.HostOptions{})
	_, err := a.Lookup(t.Context(), "web", nil)
	if err == nil || !strings.Contains(err.Error(), "UNAVAILABLE: ") || !strings.Contains(err.Error(), "refused") {
		t.Error(err)
	}
}

func TestARecordedFixtureIsPassed(t *testing.T) {
	s := newEchoServer(t)
	defer s.stop()
	s.put("web", registry.Instance{ID: "a", Endpoints: []registry.Endpoint{{Address: "10.0.0.1", Port: 80}}})
	s.put("db", registry.Instance{ID: "b", Endpoints: []registry.Endpoint{{Address: "10.0.0.2", Port: 80}}})
	m, err := plugins.Load("testdata/adapter/echo.wasm", "", "")
	if err != nil {
		t.Fatal(err)
	}
	cases := []plugins.AdapterCase{{Name: "web", Lookup: "web"}, {Name: "absent", Lookup: "absent"}, {Name: "trap", Lookup: "x-trap"}, {Name: "all", List: &[]string{}}, {Name: "poll", Poll: new(string)}}
	f, err := plugins.Record(t.Context(), m, echoOptions(s.url()), cases, lineLog(&strings.Builder{}))
	if err != nil || len(f.Exchanges) != 4 {
		t.Fatal(f, err)
	}
	s.stop() // what follows asks nobody
	path := t.TempDir() + "/f.yaml"
	if err := f.Write(path); err != nil {
		t.Fatal(err)
	}
	again, err := plugins.ReadAdapterFixture(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range again.Run(m, lineLog(&strings.Builder{})) {
		t.Error(err)
	}
	again.Cases[0].Version = "another"
	if errs := again.Run(m, lineLog(&strings.Builder{})); len(errs) != 2 {
		t.Errorf("%v, want one for each engine", errs)
	}
}

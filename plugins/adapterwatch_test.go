package plugins_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgecache/edgecache/plugins"
	"github.com/edgecache/edgecache/registry"
)

// A pollScript answers polls one after the other, and lookups with a record.
type pollScript struct {
	mu      sync.Mutex // protects the fields below
	answers []string
	cursors []string // that polls came with; "none"
	lookups []string
}

func (s *pollScript) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name, ok := strings.CutPrefix(r.URL.Path, "/s/"); ok {
		s.lookups = append(s.lookups, name)
		if name == "absent" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, `{"instances":[{"id":"looked","address":"10.0.0.9"}]}`)
		return
	}
	cursor := "none"
	if r.URL.Query().Has("from") {
		cursor = r.FormValue("from")
	}
	s.cursors = append(s.cursors, cursor)
	if len(s.answers) == 0 {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	_, _ = io.WriteString(w, s.answers[0])
	s.answers = s.answers[1:]
}

// told writes an event as a word.
func told(e registry.Event) string {
	switch e.Kind {
	case registry.EventUpsert:
		return "upsert " + e.Name + " " + e.Record.Instances[0].ID
	case registry.EventDelete:
		return fmt.Sprintf("delete %s %v", e.Name, e.Deliberate)
	case registry.EventSynced:
		return "synced"
	}
	return "alive"
}

func up(name, id string) string {
	return fmt.Sprintf("U %s {\"instances\":[{\"id\":%q,\"address\":\"10.0.0.1\"}]}\n", name, id)
}

// watchOf runs a watch over some polls, up to the one that fails.
func watchOf(t *testing.T, s *pollScript, o func(*plugins.AdapterOptions), names ...string) (a *plugins.Adapter, events []string, err error) {
	t.Helper()
	options := echoOptions(serve(t, s.ServeHTTP))
	if o != nil {
		o(&options)
	}
	a = openEcho(t, options, plugins.HostOptions{})
	err = a.Watch(t.Context(), registry.Revision{}, names, func(e registry.Event) { events = append(events, told(e)) })
	return a, events, err
}

func TestWhatPollsTell(t *testing.T) {
	s := &pollScript{answers: []string{
		up("web", "a") + up("db", "b") + "C 1\nW 1\n",
		"W 1\n", // without a cursor
		"U web {\"name\":\"web\",\"instances\":[{\"id\":\"c\",\"address\":\"x\"}]}\nD db\nI cart\nI absent\nC 3\nW 1\n",
		up("lost", "d") + "A\n" + up("web", "e") + up("new", "f") + "C 4\nW 1\n",
		"A\n" + up("web", "g") + "C 5\nW 1\n",
	}}
	a, events, err := watchOf(t, s, nil)
	want := []string{
		"upsert web a", "upsert db b", "synced",
		"alive",
		"upsert web c", "delete db true", "upsert cart looked", "delete absent true", "alive",
		"delete absent false", "delete cart false", "delete db false", "upsert web e", "upsert new f", "synced",
		"upsert web g", "synced",
	}
	slices.Sort(events[9:min(12, len(events))]) // of a map
	if !slices.Equal(events, want) {
		t.Errorf("events\n%q\nwant\n%q", events, want)
	}
	if up, ok := errors.AsType[*registry.UpstreamError](err); !ok || up.Harmless || up.Error() != "registry echo: plugin echo, ec_poll: UNAVAILABLE: its status is 418" {
		t.Errorf("%v", err)
	}
	if want := []string{"none", "1", "", "3", "4", "5"}; !slices.Equal(s.cursors, want) {
		t.Errorf("cursors %q, want %q", s.cursors, want)
	}
	if s := a.Status(); s.Failures["guest"] != 1 {
		t.Errorf("status %+v", s)
	}
	// The next watch begins without a cursor.
	if err := a.Watch(t.Context(), registry.Revision{}, nil, func(registry.Event) {}); err == nil || s.cursors[6] != "none" {
		t.Errorf("%v, cursors %q", err, s.cursors)
	}
}

func TestPollsOfSomeNames(t *testing.T) {
	s := &pollScript{answers: []string{up("web", "a") + up("db", "b") + "I cart\nC 1\nW 1\n", up("db", "c") + "D web\nC 2\nW 1\n"}}
	_, events, _ := watchOf(t, s, nil, "web", "none")
	if want := []string{"upsert web a", "synced", "delete web true", "alive"}; !slices.Equal(events, want) {
		t.Errorf("events %q, want %q", events, want)
	}
	if len(s.lookups) > 0 {
		t.Errorf("looked up %q", s.lookups)
	}
}

// Polls that break: each ends the watch with an error, and tells nothing.
func TestHowPollsFail(t *testing.T) {
	for _, row := range [...]struct{ answer, kind, want string }{
		{"U web {\n", "output", `emit of web: JSON: line 1`},
		{"U web {\"name\":\"db\"}\n", "output", `emit of web: name: "db", and "web" was asked`},
		{"U a//b {}\n", "output", `emit of "a//b": name has an empty segment`},
		{"D \n", "output", `emit of "": name is empty`},
		{up("web", "a") + "U db {\"instances\":[{\"id\":\"a\",\"address\":\"x\"},{\"id\":\"a\",\"address\":\"x\"}]}\n", "output", `emit of db: instances[1]: id "a" is taken`},
		{"C \xff\n", "output", "output 2 is not UTF-8"},
		{"C " + strings.Repeat("c", 64<<10+1) + "\n", "output", "output 2 has 65537 bytes, at most 65536 expected"},
		{"X spin-slow\n", "fuel", "out of fuel: "},
		{"X spin\n", "fuel", "out of fuel: "},
		{"X trap\n", "trap", "trap: unreachable"},
		{"X code:9\n", "guest", "RATE_LIMITED"},
		{"X many:300\n", "guest", "RATE_LIMITED: requests made: 255"},
		{"X code:1\n", "guest", "NOT_FOUND: "},
		{up("web", "a") + "Z\n", "guest", "INTERNAL: a line begins with the character 90"},
		{up("web", "a") + up("web", "a")[:10], "output", "emit of web: JSON: line 1"},
		{up("web", "a") + "U we", "guest", "INTERNAL: "},
	} {
		s := &pollScript{answers: []string{up("old", "a") + "C 1\nW 1\n", row.answer}}
		a, events, err := watchOf(t, s, func(o *plugins.AdapterOptions) {
			o.Manifest = manifest(t, "http: [\"*\"]\nkv: true\nlimits: {fuel: 5000000}\n")
		})
		if err == nil || errors.Is(err, registry.ErrNotFound) || !strings.Contains(err.Error(), "registry echo: plugin echo, ec_poll: "+row.want) {
			t.Errorf("%.50q: %v\nwant %s", row.answer, err, row.want)
		}
		if want := []string{"upsert old a", "synced"}; !slices.Equal(events, want) {
			t.Errorf("%.50q: events %q", row.answer, events)
		}
		if s := a.Status(); s.Failures[row.kind] != 1 {
			t.Errorf("%.50q: status %+v", row.answer, s)
		}
	}
}

// What a poll emits counts at least so much for each instance: records take more
// than their text.
func TestPollsThatTellTooMuch(t *testing.T) {
	list := make([]string, registry.MaxInstances)
	for i := range list {
		list[i] = fmt.Sprintf(`{"address":"%d"}`, i)
	}
	one := " web {\"instances\":[" + strings.Join(list, ",") + "]}\n"
	s := &pollScript{answers: []string{"U" + one + "W 1\n", "R" + one}} // again and again: 10 MB, which stand for 77
	_, events, err := watchOf(t, s, nil)
	if len(events) != 2 || err == nil || !strings.Contains(err.Error(), "emit of web: more than 67108864 bytes of a poll") {
		t.Errorf("%d events, %v", len(events), err)
	}
}

// A poll is begun anew by another instance, such as after the memory of the first
// grew: from the cursor, and without a trace in what is told.
func TestANewInstanceInTheMiddle(t *testing.T) {
	s := &pollScript{answers: []string{
		up("web", "a") + "X keep:k=v\nC 1\nW 1\n",
		"X grow\nX forget:k\nC 2\nW 1\n", up("web", "b") + "X grow\nC 3\nW 1\n", "X grow\nC 4\nW 1\n", "X grow\nC 5\nW 1\n", up("web", "c") + "C 6\nW 1\n",
	}}
	a, events, _ := watchOf(t, s, func(o *plugins.AdapterOptions) {
		o.Manifest = manifest(t, "http: [\"*\"]\nkv: true\nlimits: {memory_pages: 10}\n")
	})
	if want := []string{"upsert web a", "synced", "alive", "upsert web b", "alive", "alive", "alive", "upsert web c", "alive"}; !slices.Equal(events, want) {
		t.Errorf("events %q, want %q", events, want)
	}
	if want := []string{"none", "1", "2", "3", "4", "5", "6"}; !slices.Equal(s.cursors, want) {
		t.Errorf("cursors %q", s.cursors)
	}
	if s := a.Status(); s.Recycled == 0 {
		t.Errorf("status %+v", s)
	}
}

// A poll that waits for a change ends with its watch, and with the adapter.
func TestWatchesEnd(t *testing.T) {
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for _, how := range [...]string{"context", "close"} {
		h := adapterHost(t, plugins.HostOptions{})
		a, err := h.OpenAdapter(echoOptions(url))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Watch(ctx, registry.Revision{}, nil, func(registry.Event) {}) }()
		for until := time.Now().Add(20 * time.Second); a.Status().Requests == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(until) {
				t.Fatal("it does not poll")
			}
		}
		if how == "context" {
			cancel()
		} else if err := a.Close(); err != nil {
			t.Error(err)
		}
		if up, ok := errors.AsType[*registry.UpstreamError](<-done); !ok || !up.Harmless {
			t.Errorf("%s: it ended with %v", how, up)
		}
		cancel()
		_ = a.Close()
		h.Close()
		if s := a.Status(); len(s.Failures) > 0 {
			t.Errorf("%s: status %+v", how, s)
		}
	}
}

package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgecache/edgecache/client"
)

const oneLine = `{"age_ms":1,"stale":false,"name":"web","registry":"consul","kind":"service","index":%d,"instances":[]}`

// stream answers each connection by one of the scripts; the last one's
// connection then stays open.
func stream(t *testing.T, seen chan<- *http.Request, scripts ...string) *client.Client {
	t.Helper()
	left := make(chan string, len(scripts))
	for _, s := range scripts {
		left <- s
	}
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		select {
		case script := <-left:
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "retry: 1\n\n"+script)
			w.(http.Flusher).Flush()
			if len(left) > 0 {
				return
			}
			<-r.Context().Done()
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
}

func upsert(index int) string {
	return "event: upsert\ndata: " + fmt.Sprintf(oneLine, index) + "\n\n"
}

const reset, synced = "event: reset\n\n", "event: synced\ndata: {\"index\":10}\nid: 10\n\n"

// collect runs a watch until it has seen n events.
func collect(t *testing.T, c *client.Client, q client.WatchQuery, n int) []client.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var events []client.Event
	for event, err := range c.Watch(ctx, q) {
		if err != nil {
			t.Fatalf("watch ended after %d events of %d: %v", len(events), n, err)
		}
		if events = append(events, event); len(events) == n {
			break
		}
	}
	return events
}

func kinds(events []client.Event) string {
	var out []string
	for _, e := range events {
		out = append(out, string(e.Kind))
	}
	return strings.Join(out, " ")
}

func TestWatchHandsOverEachKindOfEvent(t *testing.T) {
	seen := make(chan *http.Request, 10)
	c := stream(t, seen, reset+upsert(7)+": ping\n\n"+synced+
		"event: delete\ndata: {\"name\":\"web\",\"registry\":\"consul\",\"index\":11}\nid: 11\n\n"+
		"event: of-a-later-version\ndata: x\n\n"+
		"event: unavailable\ndata: {\"type\":\"urn:edgecache:registry-failed\",\"status\":502,\"name\":\"db\"}\nid: 12\n\n")
	prefix := ""
	got := collect(t, c, client.WatchQuery{Services: []string{"web", "db"}, Prefix: &prefix, Query: client.Query{Zone: "z", Registry: "consul"}}, 5)
	if want := "reset upsert synced delete unavailable"; kinds(got) != want {
		t.Fatalf("events = %s, want %s", kinds(got), want)
	}
	if got[1].Service == nil || got[1].Index != 7 || got[1].ID != "" || got[1].Service.Freshness.Age != time.Millisecond {
		t.Errorf("upsert = %+v", got[1])
	}
	if got[2].ID != "10" || got[2].Index != 10 || got[3].Name != "web" || got[3].ID != "11" {
		t.Errorf("synced, delete = %+v", got[2:4])
	}
	if p := got[4].Problem; p == nil || p.Kind() != "registry-failed" || got[4].Name != "db" {
		t.Errorf("unavailable = %+v", got[4])
	}
	r := <-seen
	if want := "prefix=&registry=consul&service=web&service=db&zone=z"; r.URL.RawQuery != want {
		t.Errorf("query = %s, want %s", r.URL.RawQuery, want)
	}
}

func TestWatchResumesAfterTheLastEvent(t *testing.T) {
	seen := make(chan *http.Request, 10)
	c := stream(t, seen, reset+upsert(7)+synced, upsert(8)+"id: 11\n", "event: upsert\ndata: "+fmt.Sprintf(oneLine, 9)+"\nid: 12\n\n")
	got := collect(t, c, client.WatchQuery{Services: []string{"web"}}, 5)
	if want := "reset upsert synced upsert upsert"; kinds(got) != want {
		t.Errorf("events = %s, want %s", kinds(got), want)
	}
	var ids []string
	for len(seen) > 0 {
		ids = append(ids, (<-seen).Header.Get("Last-Event-ID"))
	}
	// The id of the cut off event of the second connection does not count.
	if want := []string{"", "10", "10"}; !slices.Equal(ids, want) {
		t.Errorf("Last-Event-ID = %q, want %q", ids, want)
	}
}

func TestWatchCutInsideALaterListDoesNotResumeBeforeIt(t *testing.T) {
	seen := make(chan *http.Request, 10)
	c := stream(t, seen, reset+upsert(7)+synced+reset+upsert(8), reset+upsert(8)+synced)
	got := collect(t, c, client.WatchQuery{Services: []string{"web"}}, 8)
	if want := "reset upsert synced reset upsert reset upsert synced"; kinds(got) != want {
		t.Errorf("events = %s, want %s", kinds(got), want)
	}
	<-seen
	if id := (<-seen).Header.Get("Last-Event-ID"); id != "" {
		t.Errorf("Last-Event-ID = %q after a cut list, want none", id)
	}
}

func TestWatchOutlivesANodeThatIsAway(t *testing.T) {
	failures := make(chan struct{}, 2)
	failures <- struct{}{}
	failures <- struct{}{}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-failures:
			problem(w, 503, `{"type":"urn:edgecache:not-ready"}`)
		default:
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, reset+synced)
		}
	})
	if got := collect(t, c, client.WatchQuery{Services: []string{"web"}}, 2); kinds(got) != "reset synced" {
		t.Errorf("events = %s", kinds(got))
	}
}

func TestWatchEndsWhereAskingAgainCannotHelp(t *testing.T) {
	calls := 0
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		calls++
		problem(w, 400, `{"type":"urn:edgecache:bad-request","detail":"neither service nor prefix"}`)
	})
	for _, err := range c.Watch(t.Context(), client.WatchQuery{}) {
		if p, ok := errors.AsType[*client.Problem](err); !ok || p.Status != 400 {
			t.Errorf("Watch: %v, want a 400", err)
		}
	}
	if calls != 1 {
		t.Errorf("%d calls, want 1", calls)
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	c := stream(t, make(chan *http.Request, 1), reset)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for event, err := range c.Watch(ctx, client.WatchQuery{Services: []string{"web"}}) {
		last = err
		if event.Kind == client.Reset {
			cancel()
		}
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("the last error is %v, want %v", last, context.Canceled)
	}
}

func TestWatchLeavesAConnectionThatIsSilent(t *testing.T) {
	seen := make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- struct{}{}
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "retry: 1\n\n"+reset)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()
	c, err := client.New(client.Options{Address: server.URL, Silence: 30 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := collect(t, c, client.WatchQuery{Services: []string{"web"}}, 3); kinds(got) != "reset reset reset" {
		t.Errorf("events = %s", kinds(got))
	}
	if len(seen) < 3 {
		t.Errorf("%d connections, want 3", len(seen))
	}
}

func TestWatchKeepsAConnectionThatPings(t *testing.T) {
	const silence, ping, pings = time.Second, 10 * time.Millisecond, 150
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, reset)
		for range pings {
			io.WriteString(w, ": ping\n\n")
			w.(http.Flusher).Flush()
			<-time.After(ping)
		}
		io.WriteString(w, synced)
	}))
	defer server.Close()
	c, err := client.New(client.Options{Address: server.URL, Silence: silence})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := collect(t, c, client.WatchQuery{Services: []string{"web"}}, 2); kinds(got) != "reset synced" {
		t.Errorf("events = %s, want one connection that lasts", kinds(got))
	}
}

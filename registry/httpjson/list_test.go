package httpjson_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/httpjson"
)

func listOf(t *testing.T, body string, o httpjson.Options) *httpjson.Source {
	t.Helper()
	o.Address = registry.Strings{answering(t, map[string]string{"/list": body})}
	o.List = "/list"
	return open(t, o)
}

func names(t *testing.T, s *httpjson.Source) string {
	t.Helper()
	got, err := s.List(t.Context())
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	slices.Sort(got)
	return strings.Join(got, " ")
}

func TestShapesOfLists(t *testing.T) {
	for _, row := range []struct {
		name, body, want string
		o                httpjson.Options
	}{
		{"native", `{"services":[{"name":"web"},{"name":"a/b"}]}`, "a/b web", httpjson.Options{}},
		{"bare", `[{"name":"web"},{"name":"db"}]`, "db web", httpjson.Options{}},
		{"texts", `["web","db"]`, "db web", httpjson.Options{}},
		{"keys", `{"web":["v1"],"db":[]}`, "db web", httpjson.Options{}},
		{"one called services", `{"services":{"x":1},"web":{}}`, "services web", httpjson.Options{}},
		{"below a pointer", `{"a":{"b":{"web":{}}}}`, "web", httpjson.Options{Items: "/a/b"}},
		{"item_name", `[{"meta":{"id":"web"}}]`, "web", httpjson.Options{ItemName: "/meta/id"}},
		{"item_name wins over keys", `{"1":{"id":"web"}}`, "web", httpjson.Options{ItemName: "/id"}},
		{"none", `[]`, "", httpjson.Options{}},
		{"null is none", `{"apps":null}`, "", httpjson.Options{Items: "/apps"}},
		{"what cannot be a name is left out", `["web","/x","a//b","",".."]`, "", httpjson.Options{}},
		{"the rest stays", `["web","/x","a//b",".."]`, "web", httpjson.Options{}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := listOf(t, row.body, row.o)
			if strings.Contains(row.body, `""`) {
				if _, err := s.List(t.Context()); err == nil || !strings.Contains(err.Error(), "items[3]: a name expected") {
					t.Errorf("got %v, want the empty name to be refused", err)
				}
				return
			}
			if got := names(t, s); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestBadListsSayWhere(t *testing.T) {
	for _, row := range []struct {
		body, want string
		o          httpjson.Options
	}{
		{`{"a":1}`, "items: /apps: there is nothing", httpjson.Options{Items: "/apps"}},
		{`{"apps":"x"}`, "items: /apps: a list or an object expected", httpjson.Options{Items: "/apps"}},
		{`[{"name":"web"},{"id":1}]`, "items[1]: item_name: /name: there is nothing", httpjson.Options{}},
		{`[{"name":7}]`, "items[0]: item_name: /name: a name expected, found 7", httpjson.Options{}},
		{`[7]`, "items[0]: item_name: /name: there is nothing", httpjson.Options{}},
		{`<html>`, "is not JSON", httpjson.Options{}},
		{`{"services":[],"next":7}`, "next: /next: a text expected", httpjson.Options{Next: "/next"}},
		{`{"services":[],"next":"/list"}`, "next: after", httpjson.Options{Next: "/next"}},
		{`{"services":[],"next":"http://elsewhere.test/"}`, "not the origin", httpjson.Options{Next: "/next"}},
		{strings.Repeat(" ", 5000) + `[]`, "cap of 4KiB", httpjson.Options{MaxBytes: 4096}},
	} {
		refusedAs(t, listOf(t, row.body, row.o), "web", row.want)
	}
}

func TestAMissingListIsNotAnEmptyOne(t *testing.T) {
	s := open(t, httpjson.Options{Address: registry.Strings{answering(t, nil)}, List: "/list"})
	refusedAs(t, s, "web", "HTTP status 404", "there is no list")
}

func TestABadServiceHarmsNoOther(t *testing.T) {
	s := listOf(t, `[{"name":"web","instances":[{"address":"h"}]},{"name":"db","instances":[{"port":"x"}]},{"name":"two"},{"name":"two","metadata":{}}]`, httpjson.Options{Documents: true})
	if rec := found(t, s, "web"); len(rec.Instances) != 1 || string(rec.Document) != `{"name":"web","instances":[{"address":"h"}]}` {
		t.Errorf("got %+v", rec)
	}
	refusedAs(t, s, "db", "db: ", "instances[0].port")
	refusedAs(t, s, "two", "comes twice")
	if _, err := lookup(t, s, "none", nil); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func TestRowsOfOneNameAreItsInstances(t *testing.T) {
	s := listOf(t, `[{"svc":"web","a":"h1"},{"svc":"db","a":"h2"},{"svc":"web","a":"h3"}]`, httpjson.Options{
		ItemName: "/svc", Fields: httpjson.Fields{Address: "/a"},
	})
	if rec := found(t, s, "web"); len(rec.Instances) != 2 || rec.Instances[1].ID != "h3" {
		t.Errorf("got %+v", rec.Instances)
	}
}

func TestAllPagesAreRead(t *testing.T) {
	pages := func(t *testing.T, link func(w http.ResponseWriter, next int) string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			at := 0
			if c := r.URL.Query().Get("c"); c != "" {
				_, _ = fmt.Sscan(c, &at)
			}
			next := ""
			if at < 3 {
				next = link(w, at+1)
			}
			if r.URL.Query().Get("k") != "v" {
				t.Errorf("asked %s", r.RequestURI)
			}
			fmt.Fprintf(w, `{"services":["s%d"],"next":%s}`, at, next+strings.Repeat("null", len("x")-min(1, len(next))))
		}
	}
	for _, row := range []struct {
		name, param string
		next        string
		link        func(w http.ResponseWriter, next int) string
	}{
		{"relative URL", "", "/next", func(_ http.ResponseWriter, n int) string { return fmt.Sprintf(`"?k=v&c=%d"`, n) }},
		{"absolute path", "", "/next", func(_ http.ResponseWriter, n int) string { return fmt.Sprintf(`"/list?k=v&c=%d#x"`, n) }},
		{"cursor", "c", "/next", func(_ http.ResponseWriter, n int) string { return fmt.Sprintf(`"%d"`, n) }},
		{"Link", "", "link", func(w http.ResponseWriter, n int) string {
			w.Header().Add("Link", `</other>; title="a, b"; rel=prev, </first>;rel="first"`)
			w.Header().Add("Link", fmt.Sprintf(`</x>; rel=last, <?k=v&c=%d>; type="t"; rel="up Next"`, n))
			return ""
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := httpjson.Options{List: "/list?k=v", Items: "/services", Next: row.next, NextParam: row.param}
			if got := names(t, handled(t, pages(t, row.link), o)); got != "s0 s1 s2 s3" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestPagesTogetherHaveACap(t *testing.T) {
	var page atomic.Int32
	s := handled(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"services":[%q],"next":"/list?c=%d"}`, strings.Repeat("x", 500), page.Add(1))
	}, httpjson.Options{List: "/list", Items: "/services", Next: "/next", MaxBytes: 4096})
	refusedAs(t, s, "web", "cap of 4KiB")
	if page.Load() > 9 {
		t.Errorf("%d pages were read", page.Load())
	}
}

func TestTheListIsConfirmedInsteadOfSentAgain(t *testing.T) {
	s := newServer(t)
	defer s.stop()
	s.list, s.etag = nativeList, true
	s.put("web", registry.Instance{ID: "a", Endpoints: []registry.Endpoint{{Address: "h", Port: 1}}})
	source := open(t, httpjson.Options{Address: registry.Strings{s.url()}, List: "/list"})
	have := found(t, source, "web")
	if _, err := lookup(t, source, "web", have); !errors.Is(err, registry.ErrNotModified) {
		t.Errorf("unchanged: got %v", err)
	}
	s.put("db")
	if _, err := lookup(t, source, "web", have); !errors.Is(err, registry.ErrNotModified) {
		t.Errorf("another service changed: got %v", err)
	}
	s.put("web")
	if rec, err := lookup(t, source, "web", have); err != nil || len(rec.Instances) != 0 {
		t.Errorf("changed: got %v, %v", rec, err)
	}
	if s.count() != 4 {
		t.Errorf("%d calls, want one for each lookup", s.count())
	}
}

// gated counts calls and holds each back until it is let go.
type gated struct {
	calls atomic.Int32
	held  chan struct{}
	goOn  chan int // status
}

func (g *gated) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.calls.Add(1)
	g.held <- struct{}{}
	select {
	case status := <-g.goOn:
		w.WriteHeader(status)
		fmt.Fprintf(w, `[{"name":"web","metadata":{"call":"%d"}}]`, g.calls.Load())
	case <-r.Context().Done():
	}
}

func newGated() *gated { return &gated{held: make(chan struct{}, 100), goOn: make(chan int)} }

func TestOneFetchServesAllThatBeganBeforeIt(t *testing.T) {
	for _, status := range []int{200, 500} {
		g := newGated()
		s := handled(t, g.ServeHTTP, httpjson.Options{List: "/list"})
		var callers sync.WaitGroup
		results := make(chan string, 100)
		ask := func() {
			rec, err := lookup(t, s, "web", nil)
			if err != nil {
				results <- "error"
				return
			}
			call, _ := rec.Metadata.Get("call")
			results <- call
		}
		callers.Go(ask)
		<-g.held
		const late = 50 // all these come while the first fetch runs
		for range late {
			callers.Go(ask)
		}
		waitUntil(t, func() bool { return httpjson.Arrived(s) >= late+2 }) // two of the first
		g.goOn <- status
		<-g.held
		g.goOn <- status
		callers.Wait()
		close(results)
		count := map[string]int{}
		for r := range results {
			count[r]++
		}
		if g.calls.Load() != 2 {
			t.Errorf("status %d: %d calls, want 2", status, g.calls.Load())
		}
		if status == 200 && (count["1"] != 1 || count["2"] != late) {
			t.Errorf("got answers of calls %v, want one of the first and %d of the second", count, late)
		}
		if status == 500 && count["error"] != late+1 {
			t.Errorf("got %v", count)
		}
	}
}

type callerKey struct{}

func TestACancelledFetchHarmsNobody(t *testing.T) {
	g := newGated()
	fetching := make(chan string, 100)
	s := handled(t, func(w http.ResponseWriter, r *http.Request) {
		fetching <- r.Header.Get("X-Caller")
		g.ServeHTTP(w, r)
	}, httpjson.Options{List: "/list", Inject: func(ctx context.Context, h http.Header) {
		caller, _ := ctx.Value(callerKey{}).(string)
		h.Set("X-Caller", caller)
	}})
	var callers sync.WaitGroup
	cancels, errs := map[string]context.CancelFunc{}, map[string]chan error{}
	ask := func(caller string) {
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), callerKey{}, caller))
		ended := make(chan error, 1)
		cancels[caller], errs[caller] = cancel, ended
		callers.Go(func() {
			_, err := s.Lookup(ctx, "web", nil)
			ended <- err
		})
	}
	ask("first")
	<-fetching
	ask("a")
	ask("b")
	waitUntil(t, func() bool { return httpjson.Arrived(s) >= 4 })
	g.goOn <- 200
	leader := <-fetching // for both
	cancels[leader]()
	var up *registry.UpstreamError
	if err := <-errs[leader]; !errors.As(err, &up) || !up.Harmless {
		t.Errorf("the cancelled one: got %v", err)
	}
	delete(errs, leader)
	<-fetching
	g.goOn <- 200
	for caller, err := range errs {
		if err := <-err; err != nil {
			t.Errorf("%s: %v", caller, err)
		}
		cancels[caller]()
	}
	callers.Wait()
}

func TestOneWhoWaitsForTheListEndsWithItsContext(t *testing.T) {
	g := newGated()
	s := handled(t, g.ServeHTTP, httpjson.Options{List: "/list"})
	var first sync.WaitGroup
	first.Go(func() { _, _ = lookup(t, s, "web", nil) })
	<-g.held
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := s.Lookup(ctx, "web", nil)
	var up *registry.UpstreamError
	if !errors.As(err, &up) || !up.Timeout {
		t.Errorf("got %v, want a timeout", err)
	}
	g.goOn <- 200
	first.Wait()
}

func waitUntil(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within 10 s")
		}
	}
}

package client_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgecache/edgecache/client"
	"github.com/edgecache/edgecache/registry"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a node made of one handler and returns a client of it.
func serve(t *testing.T, handler http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	c, err := client.New(client.Options{Address: server.URL, Token: "secret", Silence: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); server.Close() })
	return c
}

const webJSON = `{"age_ms":412,"stale":false,"name":"web","registry":"consul","kind":"service","revision":"1532","index":890211220766725,
 "instances":[{"id":"web-1","address":"10.0.0.1","port":8080,"health":"passing","weight":0.5,"region":"eu","zone":"eu-1a","node":"host-7",
   "version":"1.4.2","tags":["v1"],"metadata":{"canary":"false"},"endpoints":[{"name":"http","port":8080},{"name":"grpc","port":9090,"tls":true}]}],
 "versions":[{"version":"1.4.2","status":"active","labels":["latest"]}],"metadata":{"team":"a"},"tags":["t"],"field_of_a_later_version":1}`

func problem(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	io.WriteString(w, body)
}

func TestLookupReadsTheServiceAndItsFreshness(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer secret" {
			t.Errorf("Authorization = %q", got)
		}
		w.Header().Set("Cache-Status", `edgecache; hit; ttl=-40; detail="stale-if-error, partial"`)
		w.Header().Set("ETag", `W/"abc"`)
		w.Header().Set("Edgecache-Filter", "zone=applied")
		io.WriteString(w, webJSON)
	})
	s, err := c.Lookup(t.Context(), "web", client.Query{})
	if err != nil {
		t.Fatal(err)
	}
	in := s.Instances[0]
	if s.Name != "web" || s.Index != 890211220766725 || s.Revision != "1532" || s.Metadata["team"] != "a" ||
		in.Address != "10.0.0.1" || in.Port != 8080 || *in.Weight != 0.5 || in.Endpoints[1].Name != "grpc" || !in.Endpoints[1].TLS ||
		s.Versions[0].Labels[0] != "latest" {
		t.Errorf("Lookup = %+v", s)
	}
	f := s.Freshness
	if f.Age != 412*time.Millisecond || f.Stale || f.ETag != `W/"abc"` || f.Filters != "zone=applied" {
		t.Errorf("Freshness = %+v", f)
	}
	if got := f.Details(); !slices.Equal(got, []string{"stale-if-error", "partial"}) {
		t.Errorf("Details = %q", got)
	}
}

func TestLookupSendsEveryParameter(t *testing.T) {
	var path, query string
	var header http.Header
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		path, query, header = r.URL.EscapedPath(), r.URL.RawQuery, r.Header
		io.WriteString(w, webJSON)
	})
	q := client.Query{
		Registry: "consul", Kind: registry.KindService, Health: "any", Tags: []string{"a", "b"}, Version: "latest", Zone: "z",
		Port: "grpc", Filter: `metadata.canary == "true"`, MaxAge: 250 * time.Millisecond, OnlyCached: true,
		Header: http.Header{"X-Tenant": {"blue"}},
	}
	if _, err := c.Lookup(t.Context(), "team a/w%b+c?d", q); err != nil {
		t.Fatal(err)
	}
	if want := "/v1/registries/consul/services/team%20a/w%25b+c%3Fd"; path != want {
		t.Errorf("path = %s, want %s", path, want)
	}
	want := `filter=metadata.canary+%3D%3D+%22true%22&health=any&kind=service&max_age=250ms&port=grpc&tag=a&tag=b&version=latest&zone=z`
	if query != want {
		t.Errorf("query = %s, want %s", query, want)
	}
	if header.Get("Cache-Control") != "only-if-cached" || header.Get("X-Tenant") != "blue" {
		t.Errorf("headers = %v", header)
	}
	if _, err := c.Lookup(t.Context(), "web", client.Query{MaxAge: -1}); err != nil || query != "max_age=0s" {
		t.Errorf("a negative MaxAge sent %q, err %v; want max_age=0s", query, err)
	}
}

func TestLookupRefusesWhatIsNoName(t *testing.T) {
	c := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	for _, name := range []string{"", "/a", "a/../b", "a\nb"} {
		if _, err := c.Lookup(t.Context(), name, client.Query{}); err == nil {
			t.Errorf("Lookup(%q) was not refused", name)
		}
	}
}

func TestLookupWithAnETagSaysNotModified(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") != `W/"abc"` {
			t.Errorf("If-None-Match = %q", r.Header.Get("If-None-Match"))
		}
		w.Header().Set("Cache-Status", "edgecache; hit; ttl=-2")
		w.Header().Set("Age", "32")
		w.Header().Set("Edgecache-Index", "17")
		w.WriteHeader(http.StatusNotModified)
	})
	s, err := c.Lookup(t.Context(), "web", client.Query{ETag: `W/"abc"`})
	if err != nil {
		t.Fatal(err)
	}
	if f := s.Freshness; !f.NotModified || f.Age != 32*time.Second || !f.Stale || s.Index != 17 {
		t.Errorf("Lookup = %+v", s)
	}
}

func TestAProblemIsATypedError(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		problem(w, 502, `{"type":"urn:edgecache:registry-failed","title":"registry failed","status":502,"detail":"consul is down",
			"name":"web","registries":[{"registry":"consul","outcome":"down","error":"connection refused"}]}`)
	})
	_, err := c.Lookup(t.Context(), "web", client.Query{})
	p, ok := errors.AsType[*client.Problem](err)
	if !ok {
		t.Fatalf("Lookup: %v, want a *Problem", err)
	}
	if p.Kind() != "registry-failed" || p.Status != 502 || p.Name != "web" || p.RetryAfter != 7*time.Second ||
		len(p.Registries) != 1 || p.Registries[0].Error != "connection refused" {
		t.Errorf("problem = %+v", p)
	}
	if errors.Is(err, client.ErrNotFound) {
		t.Error("a 502 matches ErrNotFound")
	}
	if want := "consul is down (502 registry-failed)"; err.Error() != want {
		t.Errorf("Error() = %q, want %q", err, want)
	}
}

func TestNotFoundHasAnIndexToWaitOn(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("index") == "99" {
			io.WriteString(w, webJSON)
			return
		}
		w.Header().Set("Edgecache-Index", "99")
		problem(w, 404, `{"type":"urn:edgecache:not-found","title":"not found","status":404,"detail":"no registry has web"}`)
	})
	_, err := c.Lookup(t.Context(), "web", client.Query{})
	p, _ := errors.AsType[*client.Problem](err)
	if !errors.Is(err, client.ErrNotFound) || p == nil || p.Index != 99 {
		t.Fatalf("Lookup: %v (%+v), want ErrNotFound with index 99", err, p)
	}
	s, err := c.Wait(t.Context(), "web", client.Query{}, p.Index, time.Second)
	if err != nil || s.Name != "web" {
		t.Errorf("Wait = %+v, %v", s, err)
	}
}

func TestAnAnswerThatIsNotTheNodesIsAnError(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int
		body   string
		want   string
	}{
		{"HTML with 200", 200, "<html>login</html>", "is it an edgecache node?"},
		{"JSON of something else", 200, `{"hello":1}`, "is it an edgecache node?"},
		{"HTML with 500", 500, "<html>oops</html>", "not edgecache's"},
		{"a redirect", 302, "", "302"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", "http://198.51.100.1/")
				w.WriteHeader(tc.status)
				io.WriteString(w, tc.body)
			})
			if _, err := c.Lookup(t.Context(), "web", client.Query{}); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Lookup: %v, want an error with %q", err, tc.want)
			}
			if _, err := c.Status(t.Context()); err == nil && tc.status != 200 {
				t.Error("Status: no error")
			}
		})
	}
}

func TestViewsReturnWhatTheyName(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("view") == "document" {
			w.Header().Set("Content-Type", "application/vnd.x+json")
			io.WriteString(w, "{ \"raw\" : 1 }\n")
			return
		}
		io.WriteString(w, "10.0.0.1:80\n[::1]:81\nunix:/run/a.sock\n")
	})
	document, media, err := c.Document(t.Context(), "web", client.Query{})
	if err != nil || string(document) != "{ \"raw\" : 1 }\n" || media != "application/vnd.x+json" {
		t.Errorf("Document = %q, %q, %v", document, media, err)
	}
	addresses, err := c.Addresses(t.Context(), "web", client.Query{})
	if want := []string{"10.0.0.1:80", "[::1]:81", "unix:/run/a.sock"}; err != nil || !slices.Equal(addresses, want) {
		t.Errorf("Addresses = %q, %v, want %q", addresses, err, want)
	}
}

func TestBatchKeepsTheOrderAndTellsEachFailure(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Services []client.Key
			Tag      []string
			MaxAge   string `json:"max_age"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("body: %v, type %s", err, r.Header.Get("Content-Type"))
		}
		if len(body.Services) != 3 || body.Services[1].Registry != "file" || !slices.Equal(body.Tag, []string{"x", "y"}) || body.MaxAge != "1s" {
			t.Errorf("body = %+v", body)
		}
		fmt.Fprintf(w, `{"results":[{"status":200,"service":%s},{"status":404,"problem":{"type":"urn:edgecache:not-found","detail":"no"}},{"status":504}]}`, webJSON)
	})
	got, err := c.Batch(t.Context(), []client.Key{{Name: "web"}, {Name: "x", Registry: "file"}, {Name: "y"}},
		client.Query{Tags: []string{"x", "y"}, MaxAge: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Service == nil || got[0].Service.Freshness.Age != 412*time.Millisecond {
		t.Errorf("item 0 = %+v", got[0])
	}
	if !errors.Is(got[1].Err, client.ErrNotFound) {
		t.Errorf("item 1 = %+v, want ErrNotFound", got[1])
	}
	if p, ok := errors.AsType[*client.Problem](got[2].Err); !ok || p.Status != 504 {
		t.Errorf("item 2 = %+v, want a problem of status 504", got[2])
	}
}

func TestListWalksAllPages(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.URL.Query().Get("prefix"); got != "w" {
			t.Errorf("prefix = %q", got)
		}
		switch r.URL.Query().Get("cursor") {
		case "":
			io.WriteString(w, `{"services":[{"name":"wa","registry":"r","kind":"service"},{"name":"wb","registry":"r","kind":"service"}],"index":5,"complete":true,"cursor":"c1"}`)
		case "c1":
			io.WriteString(w, `{"services":[{"name":"wc","registry":"r","kind":"service"}],"index":5,"complete":true}`)
		default:
			problem(w, 400, `{"type":"urn:edgecache:bad-request","detail":"cursor"}`)
		}
	})
	var names []string
	for row, err := range c.List(t.Context(), client.ListQuery{Prefix: "w"}) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, row.Name)
	}
	if want := []string{"wa", "wb", "wc"}; !slices.Equal(names, want) {
		t.Errorf("List = %q, want %q", names, want)
	}
	for _, err := range c.List(t.Context(), client.ListQuery{Prefix: "w", Cursor: "other"}) {
		if p, ok := errors.AsType[*client.Problem](err); !ok || p.Status != 400 {
			t.Errorf("List from a bad cursor: %v, want a 400", err)
		}
	}
}

func TestTheAdministratorsCallsSpeakTheInterface(t *testing.T) {
	var got string
	answers := map[string]string{
		"POST /v1/invalidate":             `{"id":"9f2c/14/8812","members":2,"confirmed":["a"],"fenced":[],"pending":["b"],"elapsed_ms":3.2}`,
		"GET /v1/invalidations/9f2c/14/8": `{"id":"9f2c/14/8","members":1,"confirmed":["a"],"fenced":[],"pending":[],"elapsed_ms":3.2}`,
		"POST /v1/refresh":                `{"id":"1","running":false,"services":[{"name":"web","registry":"consul","result":"changed"}]}`,
		"GET /v1/report":                  `{"id":"1","running":false,"services":[]}`,
		"GET /v1/status":                  `{"node":"edge-1","ready":true,"lookups":{"hits":3}}`,
		"GET /v1/members":                 `{"members":[{"name":"edge-1","state":"alive"}]}`,
		"GET /v1/registries":              `{"registries":[{"name":"consul","state":"up"}]}`,
		"GET /v1/entries":                 `{"entries":[{"name":"web","state":"fresh"}]}`,
		"GET /v1/plugins":                 `{"plugins":[{"name":"zone","breaker":"closed","failures":{"fuel":2}}]}`,
		"POST /v1/plugins/zone/reload":    `{"reloaded":"zone"}`,
		"POST /v1/config/reload":          `{}`,
	}
	status := http.StatusOK
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = string(body)
		answer, ok := answers[r.Method+" "+r.URL.Path]
		if !ok {
			t.Errorf("request %s %s", r.Method, r.URL.Path)
		}
		if r.URL.Path == "/v1/readyz" || len(body) > 0 && r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("Content-Type = %q", r.Header.Get("Content-Type"))
		}
		w.WriteHeader(status)
		io.WriteString(w, answer)
	})
	ctx := t.Context()
	sel := client.Selectors{Services: []client.Key{{Name: "web", Registry: "consul"}}, Tags: []string{"t"}, Prefixes: []string{"p"}, Registry: "r", All: true}

	done, err := c.Invalidate(ctx, sel, client.InvalidateOptions{Mode: "hard", Wait: registry.LevelAll, Timeout: 2 * time.Second})
	if err != nil || !done.Done || done.ID != "9f2c/14/8812" || done.ElapsedMS != 3.2 {
		t.Errorf("Invalidate = %+v, %v", done, err)
	}
	if want := `{"services":[{"name":"web","registry":"consul"}],"tags":["t"],"prefixes":["p"],"registry":"r","all":true,"mode":"hard","wait":"all","timeout":"2s"}`; got != want {
		t.Errorf("Invalidate sent %s, want %s", got, want)
	}
	status = http.StatusAccepted
	if done, err := c.Invalidate(ctx, sel, client.InvalidateOptions{}); err != nil || done.Done || done.Pending[0] != "b" {
		t.Errorf("Invalidate answered by 202 = %+v, %v, want not Done", done, err)
	}
	if report, err := c.Refresh(ctx, client.Selectors{All: true}, 0); err != nil || !report.Running || got != `{"all":true}` {
		t.Errorf("Refresh answered by 202 = %+v, %v (sent %s), want Running", report, err, got)
	}
	status = http.StatusOK
	if done, err := c.Invalidation(ctx, "9f2c/14/8"); err != nil || !done.Done {
		t.Errorf("Invalidation = %+v, %v", done, err)
	}
	if report, err := c.Refresh(ctx, client.Selectors{All: true}, time.Second); err != nil || report.Running || report.Services[0].Result != "changed" {
		t.Errorf("Refresh = %+v, %v", report, err)
	}
	if report, err := c.Report(ctx); err != nil || report.ID != "1" {
		t.Errorf("Report = %+v, %v", report, err)
	}
	if s, err := c.Status(ctx); err != nil || s.Node != "edge-1" || s.Lookups.Hits != 3 {
		t.Errorf("Status = %+v, %v", s, err)
	}
	if m, err := c.Members(ctx); err != nil || len(m) != 1 || m[0].State != "alive" {
		t.Errorf("Members = %+v, %v", m, err)
	}
	if r, err := c.Registries(ctx); err != nil || len(r) != 1 || r[0].State != "up" {
		t.Errorf("Registries = %+v, %v", r, err)
	}
	for e, err := range c.Entries(ctx, client.EntriesQuery{}) {
		if err != nil || e.State != "fresh" {
			t.Errorf("Entries = %+v, %v", e, err)
		}
	}
	if p, err := c.Plugins(ctx); err != nil || len(p) != 1 || p[0].Failures["fuel"] != 2 {
		t.Errorf("Plugins = %+v, %v", p, err)
	}
	if err := c.ReloadPlugin(ctx, "zone"); err != nil {
		t.Errorf("ReloadPlugin: %v", err)
	}
	if err := c.ReloadConfig(ctx); err != nil {
		t.Errorf("ReloadConfig: %v", err)
	}
}

func TestReadyTellsThatTheNodeIsNot(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, `{"ready":false,"degraded":["draining"]}`)
	})
	r, err := c.Ready(t.Context())
	if err != nil || r.Ready || !slices.Equal(r.Degraded, []string{"draining"}) {
		t.Errorf("Ready = %+v, %v", r, err)
	}
}

func TestARequestEndsAtItsTimeout(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	c, err := client.New(client.Options{Address: server.URL, Timeout: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Lookup(t.Context(), "web", client.Query{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Lookup of a node that hangs: %v, want a deadline", err)
	}
}

func TestTLSWithTheAuthorityOfAFile(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, webJSON) }))
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Options{Address: strings.TrimPrefix(server.URL, "https://"), CAFile: ca})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if !strings.HasPrefix(c.Address(), "https://") {
		t.Errorf("Address() = %s, want https", c.Address())
	}
	if _, err := c.Lookup(t.Context(), "web", client.Query{}); err != nil {
		t.Errorf("Lookup over TLS: %v", err)
	}
}

func TestNewRefusesAnAddressThatIsNone(t *testing.T) {
	for _, address := range []string{"", "ftp://a", "http://", "http://a/path", "http://a?x=1", "http://[::1"} {
		if c, err := client.New(client.Options{Address: address}); err == nil {
			t.Errorf("New(%q) = %s, want an error", address, c.Address())
		}
	}
	if _, err := client.New(client.Options{Address: "a:1", CAFile: os.Args[0]}); err == nil {
		t.Error("New took a binary for a PEM file")
	}
}

package fetch_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/fetch"
)

func TestNewNamesAllMistakesInOptions(t *testing.T) {
	for _, row := range []struct {
		name string
		o    fetch.Options
		want []string
	}{
		{"no address", fetch.Options{}, []string{"address: missing"}},
		{"no scheme", fetch.Options{Address: []string{"consul:8500"}}, []string{"address: ", "http:// or https://"}},
		{"no host", fetch.Options{Address: []string{"http:///x"}}, []string{"has no host"}},
		{"query", fetch.Options{Address: []string{"http://a?b=c"}}, []string{"without query"}},
		{"two bad ones", fetch.Options{Address: []string{"ftp://a", "x"}}, []string{"ftp://a", `"x"`}},
		{"password", fetch.Options{Address: []string{"ftp://u:secret@a"}}, []string{"u:xxxxx@a"}},
		{"not a URL", fetch.Options{Address: []string{"http://u:secret@a:port"}}, []string{"not a URL"}},
		{"missing CA", fetch.Options{Address: []string{"https://a"}, TLS: fetch.TLS{CA: "none.pem"}}, []string{"tls.ca: ", "none.pem"}},
		{"CA without PEM", fetch.Options{Address: []string{"https://a"}, TLS: fetch.TLS{CA: "main_test.go"}}, []string{"holds no PEM"}},
		{"cert without key", fetch.Options{Address: []string{"https://a"}, TLS: fetch.TLS{Cert: "c"}}, []string{"tls.key: missing"}},
		{"key without cert", fetch.Options{Address: []string{"https://a"}, TLS: fetch.TLS{Key: "k"}}, []string{"tls.cert: missing"}},
		{"address and TLS", fetch.Options{TLS: fetch.TLS{Key: "k"}}, []string{"address: missing", "tls.cert: missing"}},
		{"negative cap", fetch.Options{Address: []string{"http://a"}, MaxBytes: -1}, []string{"max_bytes: "}},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := fetch.New(row.o)
			if err == nil {
				t.Fatal("New accepted it")
			}
			for _, want := range row.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows the password: %q", err)
			}
		})
	}
}

func TestGetReturnsTheWholeAnswer(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "Application/JSON; charset=utf-8")
		w.Header().Set("ETag", `"v1"`)
		w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = w.Write([]byte(r.URL.EscapedPath() + "?" + r.URL.RawQuery))
	})
	c := client(t, fetch.Options{Address: []string{s.URL + "/base%2Fx/"}})
	resp, err := get(t, c, fetch.Request{Path: "/a%2Fb?k=1", Query: url.Values{"q": {"x y"}}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(resp.Body), "/base%2Fx/a%2Fb?k=1&q=x+y"; got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
	if resp.MediaType != "application/json" || resp.ETag != `"v1"` || resp.LastModified == "" || resp.Status != 200 {
		t.Errorf("got %+v", resp)
	}
	if resp.Wishes.TTL != time.Minute {
		t.Errorf("got wishes %+v, want a TTL of 1m", resp.Wishes)
	}
	if resp.Address != s.URL+"/base%2Fx" || resp.URL != s.URL+"/base%2Fx/a%2Fb?k=1&q=x+y" {
		t.Errorf("got address %q and URL %q", resp.Address, resp.URL)
	}
}

func TestGetIsConditionalWithAValidator(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Consul-Index", "7")
		if r.Header.Get("If-None-Match") == `"v1"` && r.Header.Get("If-Modified-Since") == "then" {
			w.WriteHeader(http.StatusNotModified)
		}
	})
	c := client(t, fetch.Options{Address: []string{s.URL}})
	resp, err := get(t, c, fetch.Request{Path: "/", ETag: `"v1"`, LastModified: "then"})
	if !errors.Is(err, registry.ErrNotModified) || resp == nil || resp.Header.Get("X-Consul-Index") != "7" {
		t.Fatalf("got %+v, %v; want ErrNotModified with headers", resp, err)
	}
	if _, err := get(t, c, fetch.Request{Path: "/"}); err != nil {
		t.Fatalf("unconditional: %v", err)
	}
}

func TestNotModifiedWithoutAConditionIsAnError(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) })
	c := client(t, fetch.Options{Address: []string{s.URL}})
	resp, err := get(t, c, fetch.Request{Path: "/"})
	if up := upstream(t, resp, err); up.Status != 304 {
		t.Errorf("got status %d", up.Status)
	}
}

func TestStatusTellsAbsenceFromOutage(t *testing.T) {
	for _, row := range []struct {
		status int
		absent bool
	}{{404, true}, {410, true}, {201, false}, {204, false}, {206, false}, {400, false}, {401, false}, {403, false}, {429, false}, {500, false}, {503, false}} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.Header().Set("X-Consul-Index", "9")
			w.WriteHeader(row.status)
			if row.status != 204 {
				_, _ = w.Write([]byte("<b>no\x00\x1b[31m\n way</b>\xff" + strings.Repeat("x", 9000)))
			}
		})
		resp, err := get(t, client(t, fetch.Options{Address: []string{s.URL}}), fetch.Request{Path: "/"})
		if row.absent {
			if !errors.Is(err, registry.ErrNotFound) || resp == nil || resp.Header.Get("X-Consul-Index") != "9" || resp.Body != nil {
				t.Errorf("status %d: got %+v, %v; want ErrNotFound with headers", row.status, resp, err)
			}
			continue
		}
		up := upstream(t, resp, err)
		if up.Status != row.status || up.RetryAfter != 7*time.Second || up.Timeout || up.Harmless {
			t.Errorf("status %d: got %+v", row.status, up)
		}
		if row.status != 204 && !strings.Contains(err.Error(), "<b>no [31m way</b> xxx") || len(err.Error()) > 300 {
			t.Errorf("status %d: the error does not quote the body: %q", row.status, err)
		}
	}
}

func TestConnectErrorsMoveOnAndTheLastThatWorkedIsFirst(t *testing.T) {
	var broken, good atomic.Int32
	bad := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		broken.Add(1)
		w.WriteHeader(http.StatusBadGateway)
	})
	ok := serve(t, func(http.ResponseWriter, *http.Request) { good.Add(1) })
	c := client(t, fetch.Options{Address: []string{refused(t), bad.URL, ok.URL}})
	for range 3 {
		if resp, err := get(t, c, fetch.Request{Path: "/"}); err != nil || resp.Address != ok.URL {
			t.Fatalf("got %+v, %v", resp, err)
		}
	}
	if broken.Load() != 1 || good.Load() != 3 {
		t.Errorf("the broken address was asked %d times and the good one %d, want 1 and 3", broken.Load(), good.Load())
	}
}

func TestAnAnswerDoesNotMoveOn(t *testing.T) {
	for _, status := range []int{404, 400, 403, 429} {
		first := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		second := serve(t, func(http.ResponseWriter, *http.Request) { t.Errorf("status %d moved on", status) })
		c := client(t, fetch.Options{Address: []string{first.URL, second.URL}})
		if _, err := get(t, c, fetch.Request{Path: "/"}); err == nil {
			t.Errorf("status %d is no error", status)
		}
	}
}

func TestAllAddressesDownNamesEach(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	gone := refused(t)
	c := client(t, fetch.Options{Address: []string{s.URL, gone}})
	resp, err := get(t, c, fetch.Request{Path: "/"})
	up := upstream(t, resp, err)
	if !strings.Contains(err.Error(), s.URL) || !strings.Contains(err.Error(), gone) || up.RetryAfter != 30*time.Second {
		t.Errorf("got %v with Retry-After %s", err, up.RetryAfter)
	}
}

func TestAHungAddressLeavesTimeForTheNext(t *testing.T) {
	hung := serve(t, hang)
	ok := serve(t, func(http.ResponseWriter, *http.Request) {})
	c := client(t, fetch.Options{Address: []string{hung.URL, ok.URL}})
	resp, err := get(t, c, fetch.Request{Path: "/", Timeout: 2 * time.Second})
	if err != nil || resp.Address != ok.URL {
		t.Fatalf("got %+v, %v", resp, err)
	}
}

func TestALongPollHasTheWholeTimeAndTheNextGetBeginsElsewhere(t *testing.T) {
	var others atomic.Int32
	hung := serve(t, hang)
	ok := serve(t, func(http.ResponseWriter, *http.Request) { others.Add(1) })
	c := client(t, fetch.Options{Address: []string{hung.URL, ok.URL}})
	r := fetch.Request{Path: "/", Timeout: 200 * time.Millisecond, LongPoll: true}
	resp, err := get(t, c, r)
	if up := upstream(t, resp, err); !up.Timeout || others.Load() != 0 {
		t.Fatalf("got %+v after %d calls of the other address, want a timeout of the first", up, others.Load())
	}
	r.Timeout = 10 * time.Second
	if resp, err := get(t, c, r); err != nil || resp.Address != ok.URL {
		t.Fatalf("second poll: got %+v, %v", resp, err)
	}
}

func TestACancelledCallerHarmsNobody(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	first := serve(t, func(w http.ResponseWriter, r *http.Request) {
		cancel()
		hang(w, r)
	})
	second := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a cancelled call moved on") })
	c := client(t, fetch.Options{Address: []string{first.URL, second.URL}})
	resp, err := c.Get(ctx, fetch.Request{Path: "/"})
	if up := upstream(t, resp, err); !up.Harmless || up.Timeout || !errors.Is(err, context.Canceled) {
		t.Errorf("got %+v, want a harmless error", up)
	}
}

func TestTheCallersDeadlineIsATimeout(t *testing.T) {
	s := serve(t, hang)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	resp, err := client(t, fetch.Options{Address: []string{s.URL}}).Get(ctx, fetch.Request{Path: "/"})
	if up := upstream(t, resp, err); !up.Timeout || up.Harmless {
		t.Errorf("got %+v, want a timeout", up)
	}
}

func TestAbsoluteURLStaysOnAnOriginOfTheRegistry(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.RequestURI)) })
	other := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("another origin was asked") })
	c := client(t, fetch.Options{Address: []string{refused(t), s.URL + "/base"}})
	resp, err := get(t, c, fetch.Request{Path: s.URL + "/page?c=2"})
	if err != nil || string(resp.Body) != "/page?c=2" {
		t.Fatalf("got %+v, %v", resp, err)
	}
	for _, path := range []string{other.URL + "/x", "//" + strings.TrimPrefix(other.URL, "http://") + "/x", "relative", "", "http://[::1"} {
		resp, err := get(t, c, fetch.Request{Path: path})
		upstream(t, resp, err)
	}
}

func TestRedirectsStayOnTheOrigin(t *testing.T) {
	other := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("credentials left the origin") })
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/3", "/2", "/1":
			http.Redirect(w, r, "/"+string(r.URL.Path[1]-1), http.StatusFound)
		case "/0":
			_, _ = w.Write([]byte(r.Header.Get("X-Token")))
		case "/away":
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		default:
			http.Redirect(w, r, "/loop", http.StatusFound)
		}
	})
	c := client(t, fetch.Options{Address: []string{s.URL, other.URL}, Header: func(h http.Header) { h.Set("X-Token", "t") }})
	resp, err := get(t, c, fetch.Request{Path: "/3"})
	if err != nil || string(resp.Body) != "t" || resp.URL != s.URL+"/0" {
		t.Fatalf("three redirects: got %+v, %v", resp, err)
	}
	for _, path := range []string{"/away", "/loop"} {
		resp, err := get(t, c, fetch.Request{Path: path})
		if upstream(t, resp, err); !strings.Contains(err.Error(), "redirect refused") {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

func TestHeadersOfRequestCredentialsAndTraceAreSent(t *testing.T) {
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "u" || password != "p" || r.Header.Get("A") != "1" || r.Header.Get("B") != "2" || r.Header.Get("Traceparent") != "span upstream" {
			t.Errorf("got headers %v", r.Header)
		}
	})
	type spanKey struct{}
	var ended atomic.Int32
	c := client(t, fetch.Options{
		Address: []string{strings.Replace(s.URL, "://", "://u:p@", 1)},
		Header:  func(h http.Header) { h.Set("B", "2") },
		Trace: func(ctx context.Context, span string, key registry.Key) (context.Context, func(error)) {
			if key != (registry.Key{Registry: "reg", Name: "web"}) {
				t.Errorf("got span key %v", key)
			}
			return context.WithValue(ctx, spanKey{}, span), func(error) { ended.Add(1) }
		},
		Inject: func(ctx context.Context, h http.Header) {
			span, _ := ctx.Value(spanKey{}).(string)
			h.Set("Traceparent", "span "+span)
		},
	})
	resp, err := get(t, c, fetch.Request{Path: "/", Name: "web", Header: http.Header{"a": {"1"}}})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(resp.Address+resp.URL, "u:p") {
		t.Errorf("credentials in %q or %q", resp.Address, resp.URL)
	}
	if ended.Load() != 1 {
		t.Errorf("the span ended %d times", ended.Load())
	}
}

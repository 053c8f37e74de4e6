//go:build !wasip1

package edgecache

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// during runs f as a look-up does.
func during(t *testing.T, exchanges []Exchange, f func()) {
	t.Helper()
	Adapter(nil, func(string, string) (Answer, error) {
		f()
		return NotFound(), nil
	}, nil, nil)
	if err := Start(""); err != nil {
		t.Fatal(err)
	}
	Exchanges(exchanges...)
	Lookup("web", "")
	if len(native.open) != 0 {
		t.Errorf("%d answers are open after the call", len(native.open))
	}
}

func TestExchanges(t *testing.T) {
	during(t, []Exchange{
		{Request: "GET http://r.test/a", Headers: map[string]string{"Accept": "text/plain"}, Status: 404, AnswerHeaders: map[string]string{"ETag": `"1"`}, Answer: "none"},
		{Request: "GET http://r.test/b", Answer: "first"},
		{Request: "GET http://r.test/b", Answer: "second"},
		{Request: "POST http://r.test/b", Body: "x=1", Answer: "posted"},
		{Request: "GET http://r.test/c", Error: ErrTimeout},
		{Request: "GET http://r.test/d", Answer: "half", Broken: ErrUnavailable},
	}, func() {
		r, err := NewRequest("GET", "http://r.test/a").Header("Accept", "text/plain").Timeout(time.Second).Send()
		if err != nil {
			t.Fatal(err)
		}
		text, err := r.Text()
		if r.Status() != 404 || r.Header("etag") != `"1"` || r.Header("none") != "" || text != "none" || err != nil {
			t.Errorf("a is %d, %q, %q, %v", r.Status(), r.Header("etag"), text, err)
		}
		if err := errors.Join(r.Close()); err != nil || r.Close() == nil {
			t.Error("it must close, once")
		}
		for i, want := range []string{"first", "second", "second"} {
			r, _ := NewRequest("GET", "http://r.test/b").Send()
			if got, err := r.Text(); got != want || err != nil {
				t.Errorf("answer %d is %q, %v", i, got, err)
			}
			r.Close()
		}
		r, _ = NewRequest("POST", "http://r.test/b").Body([]byte("x=1")).Send()
		if got, err := io.ReadAll(r); string(got) != "posted" || err != nil {
			t.Errorf("the answer to a body is %q, %v", got, err)
		}
		if _, err := NewRequest("GET", "http://r.test/c").Send(); !errors.Is(err, ErrTimeout) || err.Error() != "GET http://r.test/c: timed out" {
			t.Errorf("c: %v", err)
		}
		r, _ = NewRequest("GET", "http://r.test/d").Send()
		if _, err := r.Bytes(); !errors.Is(err, ErrUnavailable) {
			t.Errorf("half a body: %v", err)
		}
	})
	if got := Requested(); len(got) != 7 || got[4] != "POST http://r.test/b" {
		t.Errorf("requested %q", got)
	}
}

func TestRequestsThatCannotBe(t *testing.T) {
	during(t, nil, func() {
		for name, r := range map[string]*Request{
			"line feed in a URL":      NewRequest("GET", "http://r.test/a\nX: y"),
			"blank in a URL":          NewRequest("GET", "http://r.test/a b"),
			"no method":               NewRequest("", "http://r.test"),
			"line feed in a value":    NewRequest("GET", "http://r.test").Header("A", "b\nC: d"),
			"line feed in a header":   NewRequest("GET", "http://r.test").Header("A\nB", "c"),
			"colon in a header":       NewRequest("GET", "http://r.test").Header("A: b", "c"),
			"a header of the host":    NewRequest("GET", "http://r.test").Header("Host", "other.test"),
			"what the host asks for":  NewRequest("GET", "http://r.test").Header("Accept-Encoding", "br"),
			"a header of the proxies": NewRequest("GET", "http://r.test").Header("Proxy-Authorization", "x"),
		} {
			if _, err := r.Send(); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestFourAnswersMayBeOpen(t *testing.T) {
	during(t, []Exchange{{Request: "GET http://r.test/"}}, func() {
		for i := range 5 {
			if _, err := NewRequest("GET", "http://r.test/").Send(); (err != nil) != (i == 4) {
				t.Errorf("request %d: %v", i, err)
			}
		}
	})
}

func TestARequestWithoutAnExchangeFailsTheTest(t *testing.T) {
	defer func() {
		if said := fmt.Sprint(recover()); !strings.Contains(said, `no exchange for "GET http://r.test/other"`) {
			t.Errorf("it said %q", said)
		}
	}()
	during(t, nil, func() { _, _ = NewRequest("GET", "http://r.test/other").Send() })
}

func TestLive(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/half":
			w.Header().Set("Content-Length", "10")
			fmt.Fprint(w, "half")
		default:
			body, _ := io.ReadAll(r.Body)
			w.Header().Add("X-Two", "1")
			w.Header().Add("X-Two", "2")
			fmt.Fprint(w, r.Method, r.Header.Get("X-Test"), string(body))
		}
	}))
	defer server.Close()
	during(t, nil, func() {
		Live(server.Client())
		r, err := NewRequest("POST", server.URL+"/").Header("X-Test", " here ").Body([]byte("body")).Send()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.Text(); got != "POSTherebody" || r.Header("x-two") != "1\n2" || err != nil {
			t.Errorf("got %q, %q, %v", got, r.Header("x-two"), err)
		}
		r, err = NewRequest("GET", server.URL+"/moved").Send()
		if err != nil || r.Status() != 302 || r.Header("location") != "/" {
			t.Errorf("a redirect: %d, %v", r.Status(), err)
		}
		r, _ = NewRequest("GET", server.URL+"/half").Send()
		if _, err := r.Text(); !errors.Is(err, ErrUnavailable) {
			t.Errorf("half a body: %v", err)
		}
		if _, err := NewRequest("GET", "http://127.0.0.1:1/").Send(); !errors.Is(err, ErrUnavailable) {
			t.Errorf("nobody there: %v", err)
		}
	})
}

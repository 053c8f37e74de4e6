package http_test

import (
	"strings"
	"testing"
	"time"

	"github.com/edgecache/edgecache/http"
)

// Requests that servers and proxies read differently. None may be answered
// like a good one, and after none may the connection go on: what follows in it
// is not the next request for everybody.
func TestAmbiguousRequestsAreRefusedAndClosed(t *testing.T) {
	e := newMemoryEngine()
	e.set("web", "a")
	s := serve(t, e, nil)
	const next = "GET /v1/services/web HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, raw := range map[string]string{
		"length and chunked":      "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunked and length":      "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
		"lower case both":         "GET /v1/services/web HTTP/1.1\r\nHost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n0\r\n\r\n",
		"two hosts":               "GET /v1/services/web HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
		"no host":                 "GET /v1/services/web HTTP/1.1\r\nAccept: */*\r\n\r\n",
		"empty host":              "GET /v1/services/web HTTP/1.1\r\nHost:\r\n\r\n",
		"two lengths":             "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
		"two different lengths":   "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\n{}",
		"list of lengths":         "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nContent-Length: 2, 2\r\n\r\n{}",
		"signed length":           "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\n{}",
		"negative length":         "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nContent-Length: -2\r\n\r\n{}",
		"hexadecimal length":      "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nContent-Length: 0x2\r\n\r\n{}",
		"overflowing length":      "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551618\r\n\r\n{}",
		"length with a space":     "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nContent-Length : 2\r\n\r\n{}",
		"two encodings":           "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"unknown encoding":        "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"identity":                "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n",
		"identity on GET":         "GET /v1/services/web HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n",
		"encoding list":           "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"encoding with a tab":     "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\tx chunked\r\n\r\n0\r\n\r\n",
		"folded header":           "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
		"chunked on HTTP/1.0":     "POST /v1/lookup HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunk size not a number": "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
		"chunk size negative":     "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
		"chunk size overflows":    "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\nx\r\n0\r\n\r\n",
		"chunk too long":          "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}x\r\n0\r\n\r\n",
		"HTTP/2.0":                "GET /v1/services/web HTTP/2.0\r\nHost: x\r\n\r\n",
		"HTTP/0.9":                "GET /v1/services/web\r\n\r\n",
		"no method":               " /v1/services/web HTTP/1.1\r\nHost: x\r\n\r\n",
		"space in the target":     "GET /v1/services/web x HTTP/1.1\r\nHost: x\r\n\r\n",
		"header without colon":    "GET /v1/services/web HTTP/1.1\r\nHost: x\r\nbroken\r\n\r\n",
		"NUL in a header":         "GET /v1/services/web HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
		"lone CR in a header":     "GET /v1/services/web HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
		"space before a colon":    "GET /v1/services/web HTTP/1.1\r\nHost : x\r\n\r\n",
		"garbage":                 "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"preface of HTTP/2":       "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			before := s.Stats().Malformed
			w := dial(t, s.Addr())
			w.send(t, raw+next)
			r, err := w.read()
			if err == nil && r.status != 400 {
				t.Errorf("status %d %s, want 400 or nothing", r.status, r.body)
			}
			if err == nil && !w.closed() {
				t.Error("the connection goes on")
			}
			if s.Stats().Malformed != before+1 {
				t.Errorf("counted %d times, want once", s.Stats().Malformed-before)
			}
		})
	}
	for name, raw := range map[string]string{
		"pipelined":      next + next,
		"body on GET":    "GET /v1/services/web HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nGET " + next,
		"chunked on GET": "GET /v1/services/web HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + next,
	} {
		w := dial(t, s.Addr())
		w.send(t, raw)
		for range 2 {
			if r, err := w.read(); err != nil || r.status != 200 {
				t.Errorf("%s: %d %v, want two answers", name, r.status, err)
			}
		}
	}
}

func TestSizesAreLimited(t *testing.T) {
	e := newMemoryEngine()
	s := serve(t, e, nil)
	for name, c := range map[string]struct {
		raw    string
		status int
	}{
		"one long header": {"GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("x", 10<<10) + "\r\n\r\n", 431},
		"many headers":    {"GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: b\r\n", 3000) + "\r\n", 431},
		"body":            {"POST /v1/lookup HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n", 413},
		"chunked body":    {"POST /v1/lookup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1fffff\r\n" + strings.Repeat("x", 1<<20+9), 413},
	} {
		w := dial(t, s.Addr())
		w.send(t, c.raw)
		r, err := w.read()
		if err != nil {
			t.Logf("%s: %v: the reset overtook the answer", name, err)
		} else if r.status != c.status || r.json(t)["type"] != "urn:edgecache:too-large" || !w.closed() {
			t.Errorf("%s: %d %s, want %d and a closed connection", name, r.status, r.body, c.status)
		}
	}
}

func TestSlowClientsLoseTheirConnection(t *testing.T) {
	s := serve(t, newMemoryEngine(), func(o *http.Options, _ *http.Deps) {
		o.Limits.Read, o.Limits.Idle = 200*time.Millisecond, 300*time.Millisecond
	})
	for name, raw := range map[string]string{
		"half a request line": "GET /v1/serv",
		"half the headers":    "GET /v1/services/web HTTP/1.1\r\nHost: x\r\n",
		"half a body":         "POST /v1/lookup HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
	} {
		w := dial(t, s.Addr())
		w.send(t, raw)
		if r, err := w.read(); err != nil || r.status != 408 || !w.closed() {
			t.Errorf("%s: %d %v, want 408 and a closed connection", name, r.status, err)
		}
	}
	w := dial(t, s.Addr())
	w.send(t, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	if r, err := w.read(); err != nil || r.status != 200 || !w.closed() {
		t.Errorf("idle: %d %v, want 200 and then a quiet end", r.status, err)
	}
	if s.Stats().Malformed != 3 {
		t.Errorf("%d counted, want 3", s.Stats().Malformed)
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	for name, change := range map[string]func(*http.Options, *http.Deps){
		"in all":         func(o *http.Options, _ *http.Deps) { o.Limits.Connections = 2 },
		"of one address": func(o *http.Options, _ *http.Deps) { o.Limits.PerIP = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, newMemoryEngine(), change)
			first, second := dial(t, s.Addr()), dial(t, s.Addr())
			for _, w := range []*wire{first, second} {
				w.send(t, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
				if r, err := w.read(); err != nil || r.status != 200 {
					t.Fatalf("%d %v", r.status, err)
				}
			}
			third := dial(t, s.Addr())
			if r, err := third.read(); err != nil || r.status != 429 || !third.closed() {
				t.Errorf("third: %d %v, want 429 and a closed connection", r.status, err)
			}
			if s.Stats().Refused != 1 {
				t.Errorf("refused %d, want 1", s.Stats().Refused)
			}
			first.Close()
			eventually(t, "a place is free", func() bool { return s.Stats().Connections == 1 })
			if r := get(t, s.Addr(), "/healthz"); r.status != 200 {
				t.Errorf("after one left: %d, want 200", r.status)
			}
		})
	}
}

func TestRequestRateIsLimited(t *testing.T) {
	e := newMemoryEngine()
	e.set("web", "a")
	s := serve(t, e, func(o *http.Options, _ *http.Deps) {
		o.Limits.RequestsPerSecond, o.TrustedProxies = 5, []string{"127.0.0.1"}
	})
	limited := 0
	for range 10 {
		if r := get(t, s.Addr(), "/v1/services/web"); r.status == 429 {
			limited++
		}
	}
	if limited == 0 {
		t.Error("10 requests at once, none was limited to 5 a second")
	}
	if r := get(t, s.Addr(), "/v1/services/web", "X-Forwarded-For: 192.0.2.1"); r.status != 200 {
		t.Errorf("another client behind a trusted proxy: %d, want 200", r.status)
	}
	if s.Stats().Limited != uint64(limited) {
		t.Errorf("counted %d, want %d", s.Stats().Limited, limited)
	}
}

package plugins_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgecache/edgecache/plugins"
)

// Hosts that are not granted are not reached, in whatever form they are written.
func TestHostsThatAreNotGranted(t *testing.T) {
	var reached atomic.Int64
	server := serve(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	at, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	port := at.Port()
	o := echoOptions("http://registry.example.com")
	o.Allow = append(o.Allow, "http://localhost:"+port, "http://*.example.com:"+port)
	a := openEcho(t, o, plugins.HostOptions{})
	denied := uint64(0)
	for _, row := range [...]struct{ url, text string }{
		{"http://127.0.0.1:PORT/", "DENIED: http://127.0.0.1:PORT is not among what the operator allows: allow: [\"http://127.0.0.1:PORT\"] would"},
		{"http://localhost:PORT/", "which no entry of allow grants: \"http://localhost:PORT "},
		{"HTTP://LocalHost:PORT/", "which no entry of allow grants: \"http://localhost:PORT "},
		{"https://localhost:PORT/", "DENIED: https://localhost:PORT is not among"},
		{"http://[::1]:PORT/", "DENIED: "},
		{"http://[::ffff:127.0.0.1]:PORT/", "DENIED: "},
		{"http://[::ffff:7f00:1]:PORT/", "DENIED: "},
		{"http://[::]:PORT/", "DENIED: "},
		{"http://0.0.0.0:PORT/", "DENIED: "},
		{"http://169.254.169.254/latest/meta-data/", "DENIED: http://169.254.169.254 is not among"},
		{"http://[fe80::1]/", "DENIED: "},
		{"http://[fe80::1%25lo]:PORT/", "DENIED: http://[fe80::1]:PORT is not among what the operator allows: allow: [\"http://[fe80::1]:PORT\"] would"},
		{"http://[0::0:1]:PORT/", "DENIED: http://[::1]:PORT is not among"}, {"http://Evil.EXAMPLE.com.:81/", "DENIED: http://evil.example.com:81 is not among"},
		{"http://[fd00:ec2::254]/", "DENIED: "},
		{"http://127.0.0.1.example.com.:80/", "DENIED: "},
		{"http://example.com:PORT/", "DENIED: "},
		{"http://evilexample.com:PORT/", "DENIED: "},
		{"http://registry.example.com:81/", "DENIED: "},
		{"http://registry.example.com@localhost:PORT/", "INVALID: http://registry.example.com@localhost:PORT/: no user in a URL"},
		{"http://user:pass@localhost:PORT/", "INVALID: http://user:xxxxx@localhost:PORT/: no user in a URL"},
		{"file:///etc/passwd", "INVALID: "}, {"gopher://localhost:PORT/", "INVALID: "}, {"http:///x", "INVALID: "}, {"//localhost:PORT/", "INVALID: "}, {"http:localhost", "INVALID: "},
	} {
		put := func(s string) string { return strings.ReplaceAll(s, "PORT", port) }
		fails(t, a, "x-head:GET "+put(row.url)+"\n", "guest", put(row.text))
		if strings.HasPrefix(row.text, "DENIED") || strings.HasPrefix(row.text, "which") {
			denied++
		}
	}
	if s := a.Status(); s.Denied < denied || reached.Load() != 0 {
		t.Errorf("%d requests arrived, status %+v", reached.Load(), s)
	}
}

// An address is the same however it is written: what is denied names the entry
// of allow that would grant it, which it then does.
func TestAddressesInUnusualForms(t *testing.T) {
	var reached atomic.Int64
	server := serve(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	at, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	without, with := openEcho(t, echoOptions("http://registry.example.com"), plugins.HostOptions{}), openEcho(t, echoOptions(server), plugins.HostOptions{})
	for n, host := range [...]string{
		"127.0.0.1", "2130706433", "017700000001", "0x7f000001", "0X7F000001", "0177.0.0.1", "0177.0.0.01", "0x7f.1", "0x7f.0.0.1", "0x7f.0.1", "127.1", "127.0.1", "127.0x000001",
		"[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "127.0.0.1.", "127.1.", "2130706433.",
		"\uff11\uff12\uff17.0.0.1", "\u2460\u2461\u2466.0.0.1", "127\u30020\u30020\u30021", "\uff12\uff11\uff13\uff10\uff17\uff10\uff16\uff14\uff13\uff13", "0\uff587f.1",
	} {
		head := "x-head:GET http://" + host + ":" + at.Port() + "/\n"
		fails(t, without, head, "guest", "DENIED: "+server+" is not among what the operator allows: allow: [\""+server+"\"] would")
		if s := without.Status(); s.Denied != uint64(n+1) || reached.Load() != int64(n) {
			t.Errorf("%s: %d requests arrived, status %+v", host, reached.Load(), s)
		}
		fails(t, with, head, "guest", "status 200")
		if reached.Load() != int64(n+1) {
			t.Errorf("%s: granted, and not reached", host)
		}
	}
	seen := reached.Load()
	for _, user := range [...]string{"127.0.0.2@", "registry.example.com@", "a:secret@", "registry.example.com%2f@"} {
		head := "x-head:GET http://" + user + "127.1:" + at.Port() + "/\n"
		up := fails(t, without, head, "guest", "DENIED: "+server+" is not among what the operator allows: allow: [\""+server+"\"] would")
		if strings.Contains(up.Error(), "secret") {
			t.Errorf("the password is told: %v", up)
		}
		fails(t, with, head, "guest", "127.0.0.1:"+at.Port()+"/: no user in a URL; a header expected")
	}
	for _, host := range [...]string{"256.0.0.1", "127.0.0.08", "1.2.3.4.5", "4294967296", "0x7f.0.0.1.example.com", "127.256.1", "0x", "1_0", "-1", "0b1"} { // names, or nothing
		fails(t, with, "x-head:GET http://"+host+":"+at.Port()+"/\n", "guest", "DENIED: http://"+host+":"+at.Port()+" is not among")
	}
	if reached.Load() != seen {
		t.Errorf("%d requests arrived", reached.Load()-seen)
	}
}

// What names that are granted resolve to must be granted too, or be public.
func TestNamesOfThisHostAreReachedIfSaidSo(t *testing.T) {
	server := strings.Replace(serve(t, empty), "127.0.0.1", "localhost", 1)
	o := echoOptions(server)
	fails(t, openEcho(t, o, plugins.HostOptions{}), "web", "guest", "DENIED: GET "+server+": dial tcp")
	o.Allow[0] += " 127.0.0.0/8 ::1/128"
	a := openEcho(t, o, plugins.HostOptions{})
	if _, err := a.Lookup(t.Context(), "web", nil); err != nil {
		t.Error(err)
	}
	o.Manifest = manifest(t, "http: [\"http://localhost:1\"]\n")
	o.Allow = append(o.Allow, "http://localhost:1")
	fails(t, openEcho(t, o, plugins.HostOptions{}), "web", "guest", "DENIED: "+server+" is not among what its manifest wants: http: [\""+server+"\"] would")
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var reached atomic.Int64
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	var to string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			reached.Add(1)
		}
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusFound)
	})
	a := openEcho(t, echoOptions(server), plugins.HostOptions{})
	for _, to = range [...]string{elsewhere, "/elsewhere", "http://169.254.169.254/", "file:///etc/passwd"} {
		fails(t, a, "x-head:GET "+server+"/\n", "guest", "status 302")
		fails(t, a, "web", "guest", "UNAVAILABLE: its status is 302")
	}
	if reached.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

// A guest writes no head but of the form that there is.
func TestHeadsThatAreRefused(t *testing.T) {
	var seen atomic.Pointer[http.Request]
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) { seen.Store(r) })
	a := openEcho(t, echoOptions(server), plugins.HostOptions{})
	many := strings.Repeat("A: b\n", 33)
	for head, want := range map[string]string{
		"":                                          "INVALID: \"\": a method of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS and a URL expected",
		"GET":                                       "INVALID: ",
		"get URL/":                                  "INVALID: ",
		"TRACE URL/":                                "INVALID: ",
		"CONNECT URL/":                              "INVALID: ",
		"GET  URL/":                                 "INVALID: ",
		"GET URL/ HTTP/1.1":                         "a space in a URL is %20",
		"GET URL/?a b":                              "a space in a URL is %20",
		"GET URL/a\rb":                              "INVALID: ",
		"GET URL/a\x00b":                            "INVALID: ",
		"GET URL/a\x7fb":                            "INVALID: ",
		"GET URL/\nA":                               "INVALID: \"A\": a header as in \"Accept: application/json\" expected",
		"GET URL/\nA b: c":                          "INVALID: ",
		"GET URL/\nA : c":                           "INVALID: ",
		"GET URL/\n: c":                             "INVALID: ",
		"GET URL/\n\nA: b":                          "INVALID: ",
		"GET URL/\nA: b\rHost: evil":                "INVALID: ",
		"GET URL/\nA: b\x00c":                       "INVALID: ",
		"GET URL/\nA: b\r\n\r\nGET / x":             "INVALID: ",
		"GET URL/\nhost: evil":                      "INVALID: header Host is the host's",
		"GET URL/\nTRANSFER-encoding: chunked":      "INVALID: header Transfer-Encoding is the host's",
		"GET URL/\nContent-Length: 5":               "INVALID: header Content-Length is the host's",
		"GET URL/\nConnection: close":               "INVALID: header Connection is the host's",
		"GET URL/\nProxy-Authorization: x":          "INVALID: header Proxy-Authorization is the host's",
		"GET URL/\nproxy-connection: x":             "INVALID: header Proxy-Connection is the host's",
		"GET URL/\nUpgrade: h2c":                    "INVALID: header Upgrade is the host's",
		"GET URL/\nTE: trailers":                    "INVALID: header Te is the host's",
		"GET URL/\nTrailer: a":                      "INVALID: header Trailer is the host's",
		"GET URL/\nKeep-Alive: 1":                   "INVALID: header Keep-Alive is the host's",
		"GET URL/\nExpect: 100-continue":            "INVALID: header Expect is the host's",
		"GET URL/\nAccept-Encoding: br":             "INVALID: header Accept-Encoding is the host's",
		"GET URL/\n" + many:                         "TOO_LARGE: 33 headers, at most 32 expected",
		"GET URL/\n" + strings.Repeat("A: b\n", 32): "status 200",
	} {
		seen.Store(nil)
		head = strings.ReplaceAll(head, "URL", server)
		fails(t, a, "x-head:"+head, "guest", want)
		switch r := seen.Load(); {
		case want == "status 200" && (r == nil || len(r.Header["A"]) != 32):
			t.Errorf("%.100q: it was not sent whole: %v", head, r)
		case want != "status 200" && r != nil:
			t.Errorf("%.100q: it was sent: %v", head, r)
		}
	}
}

// What a registry may say, and how long.
func TestAnswersWithoutEnd(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body := io.Writer(w)
		switch r.URL.Path {
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer z.Close()
			body = z
		case "/head":
			for i := range 200 {
				w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("a", 1000))
			}
		case "/most":
			_, _ = w.Write(make([]byte, 8<<20))
			return
		case "/broken":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "this is not gzip")
			return
		}
		for chunk := make([]byte, 64<<10); r.Context().Err() == nil; {
			if _, err := body.Write(chunk); err != nil {
				return
			}
		}
	})
	a := openEcho(t, echoOptions(server), plugins.HostOptions{})
	fails(t, a, "x-fetch:/endless", "guest", "TOO_LARGE: the answer's body is larger than 8388608 bytes")
	fails(t, a, "x-fetch:/bomb", "guest", "TOO_LARGE: the answer's body is larger than 8388608 bytes")
	fails(t, a, "x-fetch:/head", "guest", "UNAVAILABLE: GET "+server+": net/http: HTTP/1.x transport connection broken: net/http: server response headers exceeded 65536 bytes; aborted")
	fails(t, a, "x-fetch:/broken", "guest", "UNAVAILABLE: the answer's body: gzip: invalid header")
	if n := pairOf(t, a, "x-fetch:/most", "length"); n != "8388608" {
		t.Errorf("length %s", n)
	}
}

// Answers that a guest leaves open end with its call.
func TestAnswersThatAreLeftOpen(t *testing.T) {
	ended := make(chan struct{}, 3)
	a := openEcho(t, echoOptions(serve(t, func(w http.ResponseWriter, r *http.Request) {
		for chunk := make([]byte, 64<<10); r.Context().Err() == nil; {
			if _, err := w.Write(chunk); err != nil {
				break
			}
		}
		ended <- struct{}{}
	})), plugins.HostOptions{})
	pairOf(t, a, "x-leak:3", "requests")
	for range 3 {
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Fatal("a request goes on")
		}
	}
}

// A registry that is down is unavailable, and no timeout.
func TestARegistryThatIsDown(t *testing.T) {
	s := newEchoServer(t)
	s.stop()
	up := fails(t, openEcho(t, echoOptions(s.url()), plugins.HostOptions{}), "web", "guest", "UNAVAILABLE: GET "+s.url()+": dial tcp "+s.address+": ")
	if up.Timeout || up.Harmless {
		t.Errorf("%+v", up)
	}
}

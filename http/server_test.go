package http_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"testing"
	"time"

	"github.com/edgecache/edgecache/http"
	"github.com/edgecache/edgecache/registry"
)

func TestPanicCostsOneRequest(t *testing.T) {
	e := newMemoryEngine()
	e.set("web", "a")
	s := serve(t, e, nil)
	setPanics := func(on bool) { e.mu.Lock(); e.panics = on; e.mu.Unlock() }
	w := dial(t, s.Addr())
	for i, want := range []int{200, 500, 500, 200} {
		setPanics(want == 500)
		w.send(t, "GET /v1/services/web HTTP/1.1\r\nHost: x\r\n\r\n")
		r, err := w.read()
		if err != nil || r.status != want {
			t.Fatalf("request %d: %d %v, want %d on the same connection", i, r.status, err, want)
		}
		if want == 500 && r.json(t)["type"] != "urn:edgecache:internal" {
			t.Errorf("problem %s", r.body)
		}
	}
	setPanics(true)
	r := ask(t, s.Addr(), "POST", "/v1/lookup", `{"services":[{"name":"web"},{"name":"web"}]}`, "Content-Type: application/json")
	if r.status != 200 || strings.Count(r.body, `"status":500,"problem"`) != 2 {
		t.Errorf("batch: %d %s, want two internal problems", r.status, r.body)
	}
	f := follow(t, s.Addr(), "/v1/watch?service=web&service=db")
	f.expect("reset", "unavailable", "unavailable", "synced")
	setPanics(false)
	if got := s.Stats().Panics; got < 6 {
		t.Errorf("%d panics counted, want 6 or more", got)
	}
}

func TestDrainIsUnreadyThenCloses(t *testing.T) {
	e := newMemoryEngine()
	e.set("web", "a")
	s := serve(t, e, func(o *http.Options, _ *http.Deps) { o.Drain = time.Minute })
	if r := get(t, s.Addr(), "/readyz"); r.status != 200 || r.body != `{"ready":true,"degraded":[]}` {
		t.Errorf("before: %d %s", r.status, r.body)
	}
	f := follow(t, s.Addr(), "/v1/watch?prefix=")
	f.expect("reset", "upsert web", "synced")
	idle := dial(t, s.Addr())
	idle.send(t, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	if r, err := idle.read(); err != nil || r.status != 200 || r.header["connection"] == "close" {
		t.Fatalf("idle: %d %v", r.status, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Drain(ctx) }()
	eventually(t, "it is not ready", func() bool { return get(t, s.Addr(), "/readyz").status == 503 })
	r := get(t, s.Addr(), "/v1/services/web")
	if r.status != 200 || r.header["connection"] != "close" {
		t.Errorf("lookup while draining: %d %v, want 200 and Connection: close", r.status, r.header)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, w := range []*wire{idle, f.wire} {
		if _, err := io.Copy(io.Discard, w.r); err != nil {
			t.Errorf("a connection outlives the server: %v", err)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

func TestCloseLetsRequestsFinish(t *testing.T) {
	e := newMemoryEngine()
	e.set("web", "a")
	s := serve(t, e, nil)
	release := e.holdLookups()
	defer release()
	done := make(chan reply)
	go func() { done <- get(t, s.Addr(), "/v1/services/web") }()
	eventually(t, "the lookup is in flight", func() bool { e.mu.Lock(); defer e.mu.Unlock(); return e.lookups == 1 })
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	eventually(t, "nothing listens", func() bool { return s.Stats().Connections == 1 })
	release()
	if r := <-done; r.status != 200 {
		t.Errorf("in flight: %d, want 200", r.status)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

func TestARequestUnderWayWhenTheListenerClosesIsAnswered(t *testing.T) {
	e := newMemoryEngine()
	e.set("web", "a")
	for try := 1; ; try++ { // a slow machine may miss the time that is left for it
		s := serve(t, e, nil)
		conn, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET /v1/services/web HTTP/1.1\r\nHost: x\r\n\r\n")
		answers := bufio.NewReader(conn)
		res, err := nethttp.ReadResponse(answers, nil)
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("%v, %v", res, err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		closed := make(chan error, 1)
		go func() { closed <- s.Close() }()
		eventually(t, "the listener is closed", func() bool {
			probe, err := net.Dial("tcp", s.Addr())
			if err == nil {
				probe.Close()
			}
			return err != nil
		})
		fmt.Fprint(conn, "GET /v1/services/web HTTP/1.1\r\nHost: x\r\n\r\n")
		res, err = nethttp.ReadResponse(answers, nil)
		if closing := <-closed; closing != nil {
			t.Error(closing)
		}
		if err == nil && res.StatusCode == 200 && res.Close {
			return
		}
		if try == 5 {
			t.Fatalf("%v, %v; want an answer that closes the connection", res, err)
		}
	}
}

func TestCloseEndsRequestsThatHang(t *testing.T) {
	e := newMemoryEngine()
	s := serve(t, e, nil)
	defer e.holdLookups()()
	w := dial(t, s.Addr())
	w.send(t, "GET /v1/services/web HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "the lookup is in flight", func() bool { e.mu.Lock(); defer e.mu.Unlock(); return e.lookups == 1 })
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestPortTakenIsAnError(t *testing.T) {
	first := serve(t, newMemoryEngine(), nil)
	o, a := http.Defaults(), http.AdminDefaults()
	d := http.Deps{Answerer: &registry.Answerer{Engine: newMemoryEngine()}, Control: idleControl{}, Ready: func() (bool, []string) { return true, nil }}
	for _, c := range []struct{ data, admin, section string }{
		{first.Addr(), "127.0.0.1:0", "http.listen"}, {"127.0.0.1:0", first.Addr(), "admin.listen"},
	} {
		o.Listen, a.Listen = c.data, c.admin
		s, err := http.New(o, a, d)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Open(); err == nil || !strings.Contains(err.Error(), c.section) {
			t.Errorf("Open: %v, want an error of %s", err, c.section)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestReloadTakesEffect(t *testing.T) {
	e := newMemoryEngine()
	e.set("web", "a")
	s := serve(t, e, nil)
	o, a := http.Defaults(), http.AdminDefaults()
	o.MaxAge, o.CORS = 30*time.Second, []string{"https://app.example"}
	o.Limits.Body = 16
	o.Tokens = []http.Token{{Name: "ci", Scopes: []string{"read"}, SHA256: "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"}} // "secret"
	if err := s.SetLive(o, a); err != nil {
		t.Fatal(err)
	}
	if r := get(t, s.Addr(), "/v1/services/web"); r.status != 401 || r.header["www-authenticate"] == "" {
		t.Errorf("without token: %d, want 401", r.status)
	}
	r := get(t, s.Addr(), "/v1/services/web", "Authorization: Bearer secret", "Origin: https://app.example")
	if r.status != 200 || r.header["cache-control"] != "max-age=30" || r.header["access-control-allow-origin"] != "https://app.example" {
		t.Errorf("with token: %d %v", r.status, r.header)
	}
	if r := get(t, s.Addr(), "/v1/services/web", "Authorization: Bearer secret", "Origin: https://evil.example"); r.header["access-control-allow-origin"] != "" {
		t.Error("a foreign origin may read")
	}
	if r := ask(t, s.Addr(), "OPTIONS", "/v1/services/web", "", "Origin: https://app.example", "Access-Control-Request-Method: GET"); r.status != 204 {
		t.Errorf("preflight: %d, want 204", r.status)
	}
	if r := ask(t, s.Addr(), "POST", "/v1/lookup", strings.Repeat("x", 17)); r.status != 413 {
		t.Errorf("long body: %d, want 413", r.status)
	}
	if r := get(t, s.Addr(), "/healthz"); r.status != 200 {
		t.Errorf("healthz: %d, it needs no token", r.status)
	}
	bad := o
	bad.MaxAge, bad.CORS = -1, []string{"x"}
	if err := s.SetLive(bad, a); err == nil || !strings.Contains(err.Error(), "http.max_age") || !strings.Contains(err.Error(), "http.cors[0]") {
		t.Errorf("bad reload: %v, want both mistakes", err)
	}
	if r := get(t, s.Addr(), "/v1/services/web", "Authorization: Bearer secret"); r.header["cache-control"] != "max-age=30" {
		t.Error("a bad reload changed something")
	}
}

func TestOptionsSayAllMistakesAtOnce(t *testing.T) {
	if err := http.Defaults().Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
	if err := http.AdminDefaults().Validate(); err != nil {
		t.Errorf("admin defaults: %v", err)
	}
	o := http.Options{
		Listen: "nowhere", TLS: http.TLSOptions{Cert: "x"}, Tokens: []http.Token{{}}, Faces: []string{"consul"}, PublicURL: "ftp://x",
		CORS: []string{"https://a/b"}, MaxAge: -1, Zones: map[string][]string{"a": {"10.0.0.0/99"}}, TrustedProxies: []string{"x"},
		Limits: http.Limits{PerIP: -1, Header: 3},
	}
	err := o.Validate()
	for _, key := range []string{"listen: ", "tls: ", "tokens[0].name: ", "tokens[0].sha256: ", "tokens[0].scopes: ", "faces: ", "public_url: ",
		"cors[0]: ", "max_age: ", "timeout: ", "zones.a[0]: ", "trusted_proxies[0]: ", "limits.per_ip: ", "limits.header: "} {
		if err == nil || !strings.Contains("\n"+err.Error(), "\n"+key) {
			t.Errorf("no mistake at %q in %v", key, err)
		}
	}
	a := http.AdminOptions{Listen: "0.0.0.0:7401"}
	if err := a.Validate(); err == nil {
		t.Error("an open admin port off loopback is accepted")
	}
	a.Insecure = true
	if err := a.Validate(); err != nil {
		t.Errorf("insecure: %v", err)
	}
}

func TestStatsCountByRouteAndStatus(t *testing.T) {
	e := newMemoryEngine()
	e.set("web", "a")
	s := serve(t, e, nil)
	w := dial(t, s.Addr())
	for range 200 {
		w.send(t, "GET /v1/services/web HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := w.read(); err != nil {
			t.Fatal(err)
		}
	}
	get(t, s.Addr(), "/v1/services/none")
	get(t, s.Addr(), "/nothing")
	got := map[string]uint64{}
	stats := s.Stats()
	for _, r := range stats.Requests {
		got[r.Route+string(rune('0'+r.Status))] += r.Count
	}
	if got["lookup2"] != 200 || got["lookup4"] != 1 || got["other4"] != 1 {
		t.Errorf("requests %v", got)
	}
	var timed uint64
	for _, n := range stats.Latency.Buckets {
		timed += n
	}
	if timed == 0 && !raceEnabled {
		t.Error("no call was timed")
	}
}

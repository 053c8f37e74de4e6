package http_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	nethttp "net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/edgecache/edgecache/http"
	"github.com/edgecache/edgecache/registry"
)

// request sends one request and returns status, headers and body. Headers are
// "Name: value" on lines.
func request(t *testing.T, method, url, header, body string) (*nethttp.Response, string) {
	t.Helper()
	req, err := nethttp.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(header) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if name == "Host" {
			req.Host = value
		} else {
			req.Header.Set(name, value)
		}
	}
	resp, answer := exchange(t, req)
	return resp, string(answer)
}

// openAdmin starts a server over the fakes and returns its admin port's URL.
func openAdmin(t *testing.T, n *contractNode, change func(*http.Options, *http.AdminOptions)) string {
	t.Helper()
	if change == nil {
		change = func(*http.Options, *http.AdminOptions) {}
	}
	return "http://" + openServer(t, n, change).AdminAddr()
}

func TestInvalidateBuildsSelectors(t *testing.T) {
	n := newContractNode()
	url := openAdmin(t, n, nil) + invalidateURL
	key := func(r, name string) registry.Key { return registry.Key{Registry: r, Name: name} }
	for _, c := range []struct {
		body string
		mode registry.Mode
		want []registry.Selector
	}{
		{`{"services":[{"name":"web","registry":"consul"},{"name":"db"}]}`, registry.ModeVerify,
			[]registry.Selector{{Key: key("consul", "web")}, {Key: key("", "db")}}},
		{`{"services":[{"name":"db"}],"registry":"file","mode":"soft"}`, registry.ModeSoft, []registry.Selector{{Key: key("file", "db")}}},
		{`{"tags":["a"],"prefixes":["p/"],"mode":"hard"}`, registry.ModeHard, []registry.Selector{{Tag: "a"}, {Prefix: "p/"}}},
		{`{"tags":["a"],"prefixes":["p/"],"registry":"file"}`, registry.ModeVerify,
			[]registry.Selector{{Key: key("file", ""), Tag: "a"}, {Key: key("file", ""), Prefix: "p/"}}},
		{`{"registry":"consul"}`, registry.ModeVerify, []registry.Selector{{Key: key("consul", "")}}},
		{`{"registry":"consul","all":true}`, registry.ModeVerify, []registry.Selector{{Key: key("consul", "")}}},
		{`{"all":true,"services":[{"name":"a/b"}]}`, registry.ModeVerify, []registry.Selector{{Key: key("", "a/b")}, {All: true}}},
		{`{"registry":"","mode":"","wait":"","all":true}`, registry.ModeVerify, []registry.Selector{{All: true}}},
	} {
		resp, answer := request(t, "POST", url, jsonType, c.body)
		inv := n.control.last()
		if resp.StatusCode != 200 || inv == nil {
			t.Fatalf("%s: %d %s", c.body, resp.StatusCode, answer)
		}
		if inv.Mode != c.mode || !reflect.DeepEqual(inv.Selectors, c.want) {
			t.Errorf("%s: mode %s, selectors %+v, want %s, %+v", c.body, inv.Mode, inv.Selectors, c.mode, c.want)
		}
	}
}

func TestBodyErrorsNameTheNearestField(t *testing.T) {
	url := openAdmin(t, newContractNode(), nil) + invalidateURL
	for body, part := range map[string]string{
		`{"servces":[]}`:                    `did you mean \"services\"?`,
		`{"services":[{"nmae":"a"}]}`:       `services[0].nmae: unknown field; did you mean \"name\"?`,
		`{"zzzzzz":1}`:                      `known are [all mode prefixes registry services tags timeout wait]`,
		`{"registry":"consl"}`:              `did you mean \"consul\"?`,
		`{"registry":"zzzzzzzz"}`:           `there are consul, file`,
		`{"all":true,"timeout":"1h"}`:       `at most 1m0s expected`,
		`{"all":true}x`:                     `more follows the object`,
		`{"all":`:                           `ends too early`,
		`{"services":[{"name":"a"},{}]}`:    `services[1].name: name is empty`,
		`{"all":true,"mode":"purge"}`:       `soft, verify or hard expected`,
		`{"services":[{"name":"a","b":1}]}`: `services[0].b`,
	} {
		resp, answer := request(t, "POST", url, jsonType, body)
		if resp.StatusCode != 400 || !strings.Contains(answer, part) {
			t.Errorf("%s: %d %s, want 400 with %q", body, resp.StatusCode, answer, part)
		}
	}
}

func TestRefusedRequestChangesNothing(t *testing.T) {
	n := newContractNode()
	url := openAdmin(t, n, func(_ *http.Options, a *http.AdminOptions) { a.Tokens = contractTokens })
	for _, header := range []string{
		jsonType, jsonType + "\n" + bearer + "wrong", jsonType + "\n" + bearer + "read-secret", jsonType + "\n" + bearer + "ci-secret",
		jsonType + "\n" + bearer + "root-secret\nOrigin: http://evil.example", jsonType + "\n" + bearer + "root-secret\nHost: evil.example",
		"Content-Type: text/plain\n" + bearer + "root-secret", jsonType + "\nAuthorization: Basic root-secret", jsonType + "\nAuthorization: Bearer",
		jsonType + "\nAuthorization: root-secret",
	} {
		for _, path := range []string{invalidateURL, refreshURL} {
			if resp, _ := request(t, "POST", url+path, header, `{"all":true}`); resp.StatusCode < 400 {
				t.Errorf("%s with %q: %d", path, header, resp.StatusCode)
			}
		}
	}
	if n.control.last() != nil || len(n.control.refs) > 0 {
		t.Error("a refused request was carried out")
	}
	if resp, _ := request(t, "POST", url+invalidateURL, jsonType+"\nauthorization: bearer root-secret", `{"all":true}`); resp.StatusCode != 200 {
		t.Errorf("with the right token in another case of the scheme: %d", resp.StatusCode)
	}
}

func TestChangesAreLoggedWithTokenAndAddress(t *testing.T) {
	n := newContractNode()
	url := openAdmin(t, n, func(_ *http.Options, a *http.AdminOptions) { a.Tokens = contractTokens })
	root := bearer + "root-secret\n" + jsonType
	request(t, "POST", url+invalidateURL, root, `{"tags":["edge"],"mode":"hard"}`)
	request(t, "POST", url+refreshURL, root, `{"registry":"file"}`)
	request(t, "POST", url+"/v1/config/reload", root, "")
	bad := errors.New("no such file")
	n.reload.Store(&bad)
	request(t, "POST", url+"/v1/config/reload", root, "")
	log := n.log.String()
	for _, part := range []string{
		"msg=invalidated token=root address=127.0.0.1:", `mode=hard selectors="tag edge" durable=true`,
		`msg="refresh asked" token=root address=127.0.0.1:`, `selectors="all in file"`,
		`msg="configuration reloaded" token=root address=127.0.0.1:`,
		`msg="configuration reload refused" token=root`, `error="no such file"`,
	} {
		if !strings.Contains(log, part) {
			t.Errorf("the log lacks %q:\n%s", part, log)
		}
	}
	if strings.Contains(log, "root-secret") {
		t.Errorf("the log has a token:\n%s", log)
	}
}

func TestOnlyANodeWithADiskSpeaksOfDurability(t *testing.T) {
	n := newContractNode()
	url := openAdmin(t, n, nil) + invalidateURL
	request(t, "POST", url, jsonType, `{"services":[{"name":"disk"}]}`)
	if log := n.log.String(); !strings.Contains(log, `selectors="service disk" durable=false err="applied, but not on this disk: no space left"`) {
		t.Errorf("the log does not tell what the disk did:\n%s", log)
	}
	n = newContractNode()
	n.diskless = true
	request(t, "POST", openAdmin(t, n, nil)+invalidateURL, jsonType, `{"all":true}`)
	if log := n.log.String(); !strings.Contains(log, "msg=invalidated") || strings.Contains(log, "durable") {
		t.Errorf("a node without a disk logs\n%s", log)
	}
}

func TestReloadReplacesTokensAtOnce(t *testing.T) {
	n := newContractNode()
	o, a := http.Defaults(), http.AdminDefaults()
	srv := openServer(t, n, func(oo *http.Options, aa *http.AdminOptions) {
		aa.Tokens = []http.Token{hashed("old", "old-secret", nil, "admin")}
		o, a = *oo, *aa
	})
	url := "http://" + srv.AdminAddr() + "/v1/status"
	status := func(secret string) int {
		resp, _ := request(t, "GET", url, bearer+secret, "")
		return resp.StatusCode
	}
	if status("old-secret") != 200 || status("new-secret") != 401 {
		t.Fatal("the first tokens do not hold")
	}
	a.Tokens = []http.Token{{Name: "bad", SHA256: "xyz", Scopes: []string{"admin"}}}
	if err := srv.SetLive(o, a); err == nil || status("old-secret") != 200 {
		t.Errorf("bad tokens: error %v; want one, and the old tokens kept", err)
	}
	a.Tokens = []http.Token{hashed("new", "new-secret", nil, "read")}
	if err := srv.SetLive(o, a); err != nil {
		t.Fatal(err)
	}
	if old, now := status("old-secret"), status("new-secret"); old != 401 || now != 200 {
		t.Errorf("after the reload: old token %d, new token %d; want 401, 200", old, now)
	}
}

func TestSlowAndHugeBodiesAreRefused(t *testing.T) {
	n := newContractNode()
	srv := openServer(t, n, func(o *http.Options, _ *http.AdminOptions) {
		o.Limits.Read = 200 * time.Millisecond
		o.Limits.Body = 1 << 10
	})
	for name, c := range map[string]struct {
		raw    string
		status int
	}{
		"a body that never comes":   {"POST /v1/invalidate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{", 408},
		"headers that never end":    {"POST /v1/invalidate HTTP/1.1\r\nHost: localhost\r\nX-A: ", 408},
		"a length beyond the limit": {"POST /v1/invalidate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n{", 413},
		"chunks beyond the limit": {"POST /v1/invalidate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n" +
			strings.Repeat(" ", 2048) + "\r\n0\r\n\r\n", 413},
		"length and chunks": {"POST /v1/invalidate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 12\r\n" +
			"Transfer-Encoding: chunked\r\n\r\nc\r\n{\"all\":true}\r\n0\r\n\r\n", 400},
		"two hosts": {"POST /v1/invalidate HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{\"all\":true}", 400},
		"no host":   {"POST /v1/invalidate HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{\"all\":true}", 400},
	} {
		t.Run(name, func(t *testing.T) {
			w := dial(t, srv.AdminAddr())
			w.send(t, c.raw)
			rest, err := io.ReadAll(w.r) // the connection ends
			if err != nil {
				t.Logf("read: %v", err)
			}
			if !bytes.HasPrefix(rest, fmt.Appendf(nil, "HTTP/1.1 %d ", c.status)) {
				t.Errorf("answer %.100q, want status %d", rest, c.status)
			}
		})
	}
	if n.control.last() != nil {
		t.Error("one of them was carried out")
	}
}

func TestOneProfileAtATime(t *testing.T) {
	n := newContractNode()
	srv := openServer(t, n, func(*http.Options, *http.AdminOptions) {})
	w := dial(t, srv.AdminAddr())
	w.send(t, "GET /debug/pprof/mutex?seconds=2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	eventually(t, "the profile runs", func() bool { return strings.Contains(n.log.String(), "profile taken") })
	url := "http://" + srv.AdminAddr() + "/debug/pprof/"
	if resp, answer := request(t, "GET", url+"block?seconds=1", "", ""); resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a second profile meanwhile: %d %s, want 429", resp.StatusCode, answer)
	}
	if resp, _ := request(t, "GET", url+"heap", "", ""); resp.StatusCode != 200 {
		t.Errorf("a snapshot meanwhile: %d, want 200", resp.StatusCode)
	}
	if first, err := io.ReadAll(w.r); err != nil || !bytes.HasPrefix(first, []byte("HTTP/1.1 200 ")) {
		t.Errorf("the first profile: %v %.100q", err, first)
	}
}

func TestCloseEndsAProfile(t *testing.T) {
	n := newContractNode()
	srv := openServer(t, n, func(*http.Options, *http.AdminOptions) {})
	w := dial(t, srv.AdminAddr())
	w.send(t, "GET /debug/pprof/profile?seconds=120 HTTP/1.1\r\nHost: localhost\r\n\r\n")
	eventually(t, "the profile runs", func() bool { return strings.Contains(n.log.String(), "profile taken") })
	start := time.Now()
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("Close took %s with a profile of two minutes running", took)
	}
}

func TestAdminOffLoopbackNeedsTLSAndTokens(t *testing.T) {
	token := []http.Token{hashed("root", "s", nil, "admin")}
	files := http.TLSOptions{Cert: "c.pem", Key: "k.pem"}
	for _, c := range []struct {
		name string
		o    http.AdminOptions
		ok   bool
	}{
		{"loopback", http.AdminOptions{Listen: "127.0.0.1:7401"}, true},
		{"loopback v6", http.AdminOptions{Listen: "[::1]:7401"}, true},
		{"localhost", http.AdminOptions{Listen: "localhost:7401"}, true},
		{"all addresses", http.AdminOptions{Listen: ":7401"}, false},
		{"0.0.0.0", http.AdminOptions{Listen: "0.0.0.0:7401"}, false},
		{"tls alone", http.AdminOptions{Listen: ":7401", TLS: files}, false},
		{"tokens alone", http.AdminOptions{Listen: ":7401", Tokens: token}, false},
		{"tls and tokens", http.AdminOptions{Listen: ":7401", TLS: files, Tokens: token}, true},
		{"insecure", http.AdminOptions{Listen: ":7401", Insecure: true}, true},
	} {
		if err := c.o.Validate(); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

package http_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	nethttp "net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/edgecache/edgecache/http"
	"github.com/edgecache/edgecache/http/apitest"
)

// A contractRow is one request and what the interface says of its answer.
type contractRow struct {
	at     string // "open/data", …: a server of contractServers and its port
	method string // "": GET, or POST with a body
	target string
	header string // "Name: value", several on lines
	body   string
	status int
	word   string // of the problem's type
	want   string // headers: "Name: value", "Name: ~part", "Name" (there) or "!Name" (not there), on lines
	match  string // part of the body, several on lines
}

const (
	jsonType  = "Content-Type: application/json"
	lookupWeb = "/v1/services/web"
)

var contractRows = slices.Concat(contractLookups, contractLists, contractFaults, contractChanges, contractInspections, contractKeyring)

// TestContract walks the interface of one node, row by row, and checks each
// exchange against docs/openapi.yaml; what that file declares and no row shows
// is an error too.
func TestContract(t *testing.T) {
	s := loadSpec(t)
	servers := contractServers(t)
	for _, row := range contractRows {
		t.Run(row.name(), func(t *testing.T) { row.run(t, s, servers) })
	}
	if t.Failed() {
		return
	}
	for _, id := range s.Unseen() {
		t.Errorf("docs/openapi.yaml declares %q, which no row shows", id)
	}
}

// TestContractMethods asks every declared path with methods it does not have,
// on both ports.
func TestContractMethods(t *testing.T) {
	s := loadSpec(t)
	servers := contractServers(t)
	for _, p := range s.Paths {
		for _, port := range []string{"open/data", "open/admin"} {
			row := contractRow{at: port, method: "DELETE", target: contractPath.Replace(p.Template), status: 405, word: "method"}
			if p.AdminOnly() && port == "open/data" {
				row.status, row.word = 404, "no-such-route"
			} else {
				row.want = "Allow: " + strings.Join(slices.Sorted(slices.Values(p.Methods())), ", ")
			}
			t.Run(row.name(), func(t *testing.T) { row.run(t, s, servers) })
		}
	}
}

// TestContractScopes asks every declared operation with a token of each scope.
func TestContractScopes(t *testing.T) {
	s := loadSpec(t)
	servers := contractServers(t)
	secrets := map[string]string{"read": "read-secret", "metrics": "metrics-secret", "invalidate": "ci-secret", "admin": "root-secret"}
	for _, p := range s.Paths {
		for _, method := range p.Methods() {
			op := p.Operation(method)
			if op == nil || strings.HasSuffix(p.Template, "/watch") {
				continue // HEAD, or what does not end
			}
			for scope, secret := range secrets {
				url := servers["tokens/admin"] + contractPath.Replace(p.Template)
				resp, answer := request(t, method, url, jsonType+"\n"+bearer+secret, `{"services":[{"name":"web","registry":"consul"}]}`)
				if refused := resp.StatusCode == 403; refused == s.Allows(op, scope) {
					t.Errorf("%s %s with scope %s: %d %.200s", method, p.Template, scope, resp.StatusCode, answer)
				}
			}
			resp, _ := request(t, method, servers["tokens/admin"]+contractPath.Replace(p.Template), jsonType, "{}")
			if refused := resp.StatusCode == 401; refused == s.Allows(op) {
				t.Errorf("%s %s without a token: %d", method, p.Template, resp.StatusCode)
			}
		}
	}
}

// contractPath fills path parameters with what the fakes know.
var contractPath = strings.NewReplacer("{name}", "web", "{registry}", "consul", "{id}", "9f2c/14/8812", "{profile}", "heap")

// TestContractExamples checks the examples of docs/openapi.yaml against its
// own schemas.
func TestContractExamples(t *testing.T) {
	s := loadSpec(t)
	found := 0
	var walk func(at string, node any)
	check := func(at string, schema, example any) {
		found++
		text, err := json.Marshal(example)
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range s.Validate(at, schema, apitest.DecodeJSON(text)) {
			t.Error(err)
		}
	}
	walk = func(at string, node any) {
		switch n := node.(type) {
		case map[string]any:
			if example, ok := n["example"]; ok {
				if schema, ok := n["schema"]; ok {
					check(at, schema, example)
				} else if n["type"] == "object" {
					check(at, n, example)
				}
			}
			for key, child := range n {
				if key != "example" {
					walk(at+"/"+key, child)
				}
			}
		case []any:
			for _, child := range n {
				walk(at, child)
			}
		}
	}
	walk("", s.Root)
	if found < 10 {
		t.Errorf("found %d examples, want at least 10", found)
	}
}

func loadSpec(t *testing.T) *apitest.Spec {
	t.Helper()
	s, err := apitest.Load("../docs/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (row *contractRow) name() string {
	name := row.verb() + " " + row.target
	if len(name) > 70 {
		name = name[:70]
	}
	return row.at + " " + strings.ReplaceAll(name, "/", "_")
}

func (row *contractRow) verb() string {
	switch {
	case row.method != "":
		return row.method
	case row.body != "":
		return "POST"
	}
	return "GET"
}

func (row *contractRow) run(t *testing.T, s *apitest.Spec, servers map[string]string) {
	t.Helper()
	body := []byte(row.body)
	target := strings.Replace(row.target, "{cursor}", servers["cursor"], 1)
	req, err := nethttp.NewRequest(row.verb(), servers[row.at]+target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(row.header) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if name == "Host" {
			req.Host = value
			continue
		}
		req.Header.Set(name, value)
	}
	resp, answer := exchange(t, req)
	for range 5 {
		if row.status != 429 || resp.StatusCode == 429 {
			break
		}
		resp, answer = exchange(t, req) // uses up what may be asked
	}
	if _, rest, ok := bytes.Cut(answer, []byte(`"cursor":"`)); ok {
		cursor, _, _ := bytes.Cut(rest, []byte(`"`))
		servers["cursor"] = string(cursor) // for the next row
	}
	if resp.StatusCode != row.status {
		t.Fatalf("status %d, want %d: %.300s", resp.StatusCode, row.status, answer)
	}
	p := s.Find(req.URL.EscapedPath())
	if known := p != nil && !(p.AdminOnly() && strings.HasSuffix(row.at, "/data")); known || row.status != 404 {
		for _, err := range s.Check(apitest.Exchange{
			Method: req.Method, Target: req.URL.RequestURI(), RequestHeader: req.Header, RequestBody: body,
			Status: resp.StatusCode, Header: resp.Header, Body: answer,
		}) {
			t.Error(err)
		}
	}
	row.compare(t, resp, answer)
}

// compare checks what the row itself says.
func (row *contractRow) compare(t *testing.T, resp *nethttp.Response, answer []byte) {
	t.Helper()
	if row.word != "" && !bytes.Contains(answer, []byte(`"type":"urn:edgecache:`+row.word+`"`)) {
		t.Errorf("the problem is not of type %s: %s", row.word, answer)
	}
	if row.word != "" && !bytes.Contains(answer, []byte(`"detail":"`)) {
		t.Errorf("the problem has no detail: %s", answer)
	}
	for line := range strings.Lines(row.want) {
		name, value, valued := strings.Cut(strings.TrimSpace(line), ": ")
		got, there := resp.Header.Get(name), len(resp.Header.Values(name)) > 0
		part, isPart := strings.CutPrefix(value, "~")
		switch {
		case strings.HasPrefix(name, "!"):
			if v := resp.Header.Get(name[1:]); v != "" {
				t.Errorf("%s: %s, want no such header", name[1:], v)
			}
		case !there || valued && !isPart && got != value || isPart && !strings.Contains(got, part):
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	for line := range strings.Lines(row.match) {
		if part := strings.TrimSuffix(line, "\n"); !bytes.Contains(answer, []byte(part)) {
			t.Errorf("the body does not hold %q: %.400s", part, answer)
		}
	}
}

var contractClient = &nethttp.Client{
	Transport: &nethttp.Transport{DisableCompression: true, DisableKeepAlives: true},
	Timeout:   20 * time.Second,
}

// exchange sends the request and reads the answer; of a watch, until its list
// is complete.
func exchange(t *testing.T, req *nethttp.Request) (*nethttp.Response, []byte) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	resp, err := contractClient.Do(req.WithContext(ctx))
	for range 5 {
		// A body that is too large is refused while it is still being sent, and
		// the connection closed: the client may see that before the answer.
		if err == nil || !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) || req.GetBody == nil {
			break
		}
		req.Body, _ = req.GetBody()
		resp, err = contractClient.Do(req.WithContext(ctx))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Header.Get("Content-Type") != "text/event-stream" {
		answer, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Header.Get("Content-Encoding") == "gzip" && len(answer) > 0 {
			unpacked, err := gzip.NewReader(bytes.NewReader(answer))
			if err != nil {
				t.Fatal(err)
			}
			if answer, err = io.ReadAll(unpacked); err != nil {
				t.Fatal(err)
			}
		}
		return resp, answer
	}
	var answer []byte
	for buf := make([]byte, 4096); !bytes.Contains(answer, []byte("event: synced")); {
		n, err := resp.Body.Read(buf)
		if answer = append(answer, buf[:n]...); err != nil {
			t.Fatalf("the stream ended before its list was complete: %v: %s", err, answer)
		}
	}
	return resp, answer
}

func hashed(name, secret string, registries []string, scopes ...string) http.Token {
	sum := sha256.Sum256([]byte(secret))
	return http.Token{Name: name, SHA256: hex.EncodeToString(sum[:]), Scopes: scopes, Registries: registries}
}

// contractServers starts the servers that the rows ask: "open" has no tokens,
// "tokens" has one of each scope, "cors" takes pages of one origin, "tight"
// one request a second, "cold" has loaded nothing, drains and cannot reload.
func contractServers(t *testing.T) map[string]string {
	t.Helper()
	urls := map[string]string{}
	start := func(name string, n *contractNode, change func(*http.Options, *http.AdminOptions)) {
		srv := openServer(t, n, change)
		urls[name+"/data"], urls[name+"/admin"] = "http://"+srv.Addr(), "http://"+srv.AdminAddr()
	}
	start("open", newContractNode(), func(o *http.Options, _ *http.AdminOptions) { o.Limits.Body = 64 << 10 })
	start("tokens", newContractNode(), func(o *http.Options, a *http.AdminOptions) {
		o.Tokens = contractTokens
		a.Tokens = contractTokens
	})
	start("cors", newContractNode(), func(o *http.Options, _ *http.AdminOptions) {
		o.CORS = []string{"https://app.example.com"}
		o.MaxAge = time.Minute
	})
	start("tight", newContractNode(), func(o *http.Options, _ *http.AdminOptions) { o.Limits.Waiters = 0; o.Limits.RequestsPerSecond = 1 })
	cold := newContractNode()
	cold.ready.Store(false)
	cold.engine.notReady.Store(true)
	cold.control.none = true
	bad := errors.New("http.listen: cannot change while running\nregistries[0].type: \"consull\": did you mean \"consul\"?")
	cold.reload.Store(&bad)
	start("cold", cold, func(*http.Options, *http.AdminOptions) {})
	return urls
}

var contractTokens = []http.Token{
	hashed("reader", "read-secret", nil, "read"),
	hashed("scraper", "metrics-secret", nil, "metrics"),
	hashed("ci", "ci-secret", []string{"consul"}, "invalidate"),
	hashed("root", "root-secret", nil, "admin"),
}

// openServer starts a server over the fakes on ports of its own.
func openServer(t *testing.T, n *contractNode, change func(*http.Options, *http.AdminOptions)) *http.Server {
	t.Helper()
	o, a := http.Defaults(), http.AdminDefaults()
	o.Listen, a.Listen = "127.0.0.1:0", "127.0.0.1:0"
	change(&o, &a)
	d := n.deps()
	d.Logger = slog.New(slog.NewTextHandler(&n.log, nil))
	srv, err := http.New(o, a, d)
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	return srv
}

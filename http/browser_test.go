package http_test

import (
	"strings"
	"testing"

	"github.com/edgecache/edgecache/http"
)

func TestAdminHostMustBeLoopbackOrConfigured(t *testing.T) {
	url := openAdmin(t, newContractNode(), func(_ *http.Options, a *http.AdminOptions) {
		a.Hosts = []string{"Edge.example.com", "10.0.0.7:7401"}
	})
	for host, ok := range map[string]bool{
		"127.0.0.1:7401": true, "127.9.9.9": true, "localhost": true, "LocalHost:7401": true, "localhost.": true, "[::1]:7401": true, "[::1]": true,
		"[::ffff:127.0.0.1]": true, "edge.example.com": true, "edge.example.com:443": true, "EDGE.example.com.": true, "10.0.0.7:7401": true,
		"evil.example": false, "127.0.0.1.evil.example": false, "localhost.evil.example": false, "10.0.0.7": false, "10.0.0.7:80": false,
		"10.0.0.8:7401": false, "0.0.0.0": false, "[::]": false, "xedge.example.com": false, "2130706433": false, "0x7f.1": false, "127.1": false,
	} {
		for _, path := range []string{"/v1/status", "/v1/services/web", "/metrics", "/debug/pprof/heap", "/healthz"} {
			resp, answer := request(t, "GET", url+path, "Host: "+host, "")
			if want := map[bool]int{true: 200, false: 403}[ok]; resp.StatusCode != want {
				t.Errorf("%s with Host %s: %d, want %d: %s", path, host, resp.StatusCode, want, answer)
			}
		}
	}
}

func TestForeignPagesAreRefusedOnTheAdminPort(t *testing.T) {
	n := newContractNode()
	url := openAdmin(t, n, func(_ *http.Options, a *http.AdminOptions) { a.Hosts = []string{"edge.example.com"} })
	own := strings.TrimPrefix(url, "http://")
	for _, c := range []struct {
		header string
		ok     bool
	}{
		{"", true},
		{"Origin: " + url, true},
		{"Host: edge.example.com\nOrigin: https://edge.example.com", true},
		{"Origin: http://" + own + "\nSec-Fetch-Site: same-origin", true},
		{"Sec-Fetch-Site: none", true},
		{"Origin: http://evil.example", false},
		{"Origin: http://localhost:3000", false},
		{"Origin: http://127.0.0.1", false},
		{"Origin: null", false},
		{"Origin: https://edge.example.com", false},
		{"Host: edge.example.com\nOrigin: https://edge.example.com.evil.example", false},
		{"Sec-Fetch-Site: cross-site", false},
		{"Sec-Fetch-Site: same-site", false},
		{"Sec-Fetch-Site: cross-site\nSec-Fetch-Mode: no-cors", false},
	} {
		want := map[bool]int{true: 200, false: 403}[c.ok]
		if resp, answer := request(t, "POST", url+invalidateURL, jsonType+"\n"+c.header, `{"all":true}`); resp.StatusCode != want {
			t.Errorf("POST with %q: %d, want %d: %s", c.header, resp.StatusCode, want, answer)
		}
		resp, answer := request(t, "GET", url+"/v1/status", c.header, "")
		if resp.StatusCode != want {
			t.Errorf("GET with %q: %d, want %d: %s", c.header, resp.StatusCode, want, answer)
		}
		for name := range resp.Header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("GET with %q: %s on the admin port", c.header, name)
			}
		}
	}
	// A link from elsewhere may be followed, a form may not be sent.
	navigate := "Sec-Fetch-Site: cross-site\nSec-Fetch-Mode: navigate"
	if resp, _ := request(t, "GET", url+"/v1/status", navigate, ""); resp.StatusCode != 200 {
		t.Errorf("a link that is followed: %d, want 200", resp.StatusCode)
	}
	if resp, _ := request(t, "POST", url+invalidateURL, jsonType+"\n"+navigate, `{"all":true}`); resp.StatusCode != 403 {
		t.Errorf("a form that is sent: %d, want 403", resp.StatusCode)
	}
}

func TestAdminPortAnswersNoPreflight(t *testing.T) {
	url := openAdmin(t, newContractNode(), func(o *http.Options, _ *http.AdminOptions) { o.CORS = []string{"*"} })
	resp, _ := request(t, "OPTIONS", url+invalidateURL, "Origin: http://evil.example\nAccess-Control-Request-Method: POST", "")
	if resp.StatusCode != 403 || resp.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%d %v, want 403 without CORS headers", resp.StatusCode, resp.Header)
	}
}

package plugins

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Addresses that grants admit, and those that they do not.
func TestAddressesOfGrants(t *testing.T) {
	for text, row := range map[string]struct{ admitted, denied string }{
		"http://a.test": {
			"93.184.216.34 2606:2800:220:1::1 ::ffff:93.184.216.34",
			"127.0.0.1 127.9.9.9 ::1 0.0.0.0 0.1.2.3 :: 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.100.100.200 169.254.169.254 " +
				"168.63.129.16 fe80::1 fe80::1%lo fd00:ec2::254 fc00::1 ff02::1 224.0.0.1 255.255.255.255 240.0.0.1 192.0.0.192 198.18.0.1 " +
				"::ffff:127.0.0.1 ::ffff:169.254.169.254 ::127.0.0.1 64:ff9b::7f00:1 2002:7f00:1:: 2001::1",
		},
		"http://a.test 10.0.0.0/8":                {"10.0.0.1 10.255.255.255 ::ffff:10.0.0.1", "11.0.0.1 93.184.216.34 127.0.0.1 192.168.1.1"},
		"http://a.test 0.0.0.0/0":                 {"93.184.216.34 10.0.0.1", "127.0.0.1 169.254.169.254 0.0.0.0 224.0.0.1 255.255.255.255 168.63.129.16 ::1 2606:2800:220:1::1"},
		"http://a.test ::/0":                      {"2606:2800:220:1::1 fc00::1", "::1 :: fe80::1 ff02::1 fd00:ec2::254 10.0.0.1 ::ffff:127.0.0.1"},
		"http://a.test fc00::/7":                  {"fd12::1", "fd00:ec2::254"},
		"http://a.test 127.0.0.0/8":               {"127.0.0.1", "10.0.0.1 ::1"},
		"http://a.test 126.0.0.0/7":               {"126.0.0.1", "127.0.0.1"},
		"http://a.test 169.254.169.254/32":        {"169.254.169.254", "169.254.169.253"},
		"http://127.0.0.1:80":                     {"127.0.0.1", "127.0.0.2 10.0.0.1"},
		"http://[fe80::1]":                        {"fe80::1 fe80::1%eth0", "fe80::2"},
		"http://[::ffff:10.0.0.1]":                {"10.0.0.1", "10.0.0.2"},
		"http://a.test 10.0.0.0/8 192.168.0.0/16": {"10.1.1.1 192.168.7.7", "172.16.0.1"},
	} {
		g, err := parseGrant(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, addr := range strings.Fields(row.admitted) {
			if !g.admits(netip.MustParseAddr(addr)) {
				t.Errorf("%s does not admit %s", text, addr)
			}
		}
		for _, addr := range strings.Fields(row.denied) {
			if g.admits(netip.MustParseAddr(addr)) {
				t.Errorf("%s admits %s", text, addr)
			}
		}
	}
}

func TestOriginsOfGrants(t *testing.T) {
	for text, row := range map[string]struct{ covered, not string }{
		"https://a.test":             {"https://a.test https://A.Test.:443/x?y", "http://a.test https://a.test:444 https://b.a.test https://a.test.evil"},
		"http://*.a.test:8761":       {"http://b.a.test:8761 http://c.b.a.test:8761", "http://a.test:8761 http://ba.test:8761 http://b.a.test http://.a.test:8761"},
		"http://[::1]:80":            {"http://[::1] http://[0:0::1]:80", "http://[::2]"},
		"http://10.0.0.1":            {"http://10.0.0.1 http://[::ffff:10.0.0.1]", "http://10.0.0.10 http://167772161"},
		"https://b\u00fccher.test":   {"https://xn--bcher-kva.test https://B\u00dcCHER.test", "https://bucher.test"},
		"http://1\uff12\uff17.0.0.1": {"http://127.0.0.1", "http://128.0.0.1"},
	} {
		g, err := parseGrant(text)
		if err != nil {
			t.Fatal(err)
		}
		for want, list := range map[bool]string{true: row.covered, false: row.not} {
			for _, at := range strings.Fields(list) {
				u, err := url.Parse(at)
				if err != nil {
					t.Fatal(err)
				}
				if g.covers(u.Scheme, hostOf(u), portOf(u)) != want {
					t.Errorf("%s, %s: want %v", text, at, want)
				}
			}
		}
	}
	for text, want := range map[string]string{
		"": "empty", "a.test": "scheme, host and port", "ftp://a.test": "scheme, host and port", "https://": "scheme, host and port",
		"https://a.test/x": "no more than", "https://u@a.test": "no more than", "https://a.test?x": "no more than", "https://*": "a * stands for",
		"https://a.*.test": "a * stands for", "https://a.test 10.0.0.1": "a network as in", "https://a.test x": "a network as in", "http://a b.test": "a network as in",
		"http://2130706433": "an address in its usual form, which is 127.0.0.1, expected", "http://0x7f.1:80 127.0.0.0/8": "which is 127.0.0.1, expected", "https://010.0.0.1": "which is 8.0.0.1, expected",
	} {
		if _, err := parseGrant(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// nameserver answers questions for addresses with those that next returns.
func nameserver(t *testing.T, next func() []netip.Addr) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = server.Close(); <-done })
	go func() {
		defer close(done)
		for b := make([]byte, 1500); ; {
			n, from, err := server.ReadFrom(b)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(b[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			m = dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, RecursionAvailable: true}, Questions: m.Questions}
			if q.Type == dnsmessage.TypeA {
				for _, addr := range next() {
					m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}, Body: &dnsmessage.AResource{A: addr.As4()}})
				}
			}
			if b, err := m.Pack(); err == nil {
				_, _ = server.WriteTo(b, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// A name that changes its mind gets nowhere: the address that is dialled is the
// one that was looked at, and each is.
func TestNamesThatRebind(t *testing.T) {
	var reached, asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer server.Close()
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	grant := "http://rebind.test:" + at.Port()
	loopback := netip.MustParseAddr("127.0.0.1")
	resolver := nameserver(t, func() []netip.Addr {
		if asked.Add(1) == 1 {
			return []netip.Addr{netip.MustParseAddr("203.0.113.1")} // public, and nobody's
		}
		return []netip.Addr{loopback}
	})
	ask := func(allow ...string) error {
		out, err := newOutbound(&Manifest{HTTP: []string{anyOrigin}}, &AdapterOptions{Allow: allow}, &stats{})
		if err != nil {
			t.Fatal(err)
		}
		out.transport = out.over(&net.Dialer{Resolver: resolver})
		defer out.close()
		e, err := out.send(t.Context(), "GET "+grant+"/\n", nil, 300*time.Millisecond)
		if err == nil {
			e.close()
		}
		return err
	}
	if e, ok := errors.AsType[*httpError](ask(grant)); !ok || e.code == codeDenied {
		t.Errorf("the first time: %v", e)
	}
	if e, ok := errors.AsType[*httpError](ask(grant)); !ok || e.code != codeDenied || !strings.Contains(e.Error(), "rebind.test is at 127.0.0.1, which no entry of allow grants: \""+grant+" 127.0.0.1/32\" would") {
		t.Errorf("the second time: %v", e)
	}
	if asked.Load() != 2 || reached.Load() != 0 {
		t.Errorf("asked %d times, reached %d times", asked.Load(), reached.Load())
	}
	if err := ask(grant + " 127.0.0.1/32"); err != nil || reached.Load() != 1 {
		t.Errorf("granted: %v, reached %d times", err, reached.Load())
	}
}

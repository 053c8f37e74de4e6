package http

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// Options are the config section `http`: the data port. Start from [Defaults].
type Options struct {
	Listen         string              `yaml:"listen"`
	TLS            TLSOptions          `yaml:"tls"`
	Tokens         []Token             `yaml:"tokens"`          // none: the data port is open
	Faces          []string            `yaml:"faces"`           // other protocols served on the data port
	PublicURL      string              `yaml:"public_url"`      // what links to this node begin with
	CORS           []string            `yaml:"cors"`            // origins that may read the native routes; "*" is any
	MaxAge         time.Duration       `yaml:"max_age"`         // > 0: clients may cache for this long, at most the TTL
	Timeout        time.Duration       `yaml:"timeout"`         // of all fills of one request together
	Drain          time.Duration       `yaml:"drain"`           // unready for this long before closing
	Zones          map[string][]string `yaml:"zones"`           // zone: networks of its clients
	TrustedProxies []string            `yaml:"trusted_proxies"` // whose X-Forwarded-For is believed
	Limits         Limits              `yaml:"limits"`
}

// Limits bound what clients may cost; 0 is off, but for Header.
type Limits struct {
	Connections       int           `yaml:"connections"`
	PerIP             int           `yaml:"per_ip"`              // connections of one address
	RequestsPerSecond int           `yaml:"requests_per_second"` // of one address
	Waiters           int           `yaml:"waiters"`             // blocking lookups and watches at a time
	Wait              time.Duration `yaml:"wait"`                // the longest a lookup may block
	Header            registry.Size `yaml:"header"`              // request line and headers; also a connection's read buffer
	Body              registry.Size `yaml:"body"`
	Read              time.Duration `yaml:"read"` // from a request's first byte to its last
	Idle              time.Duration `yaml:"idle"` // between requests of a connection
}

// TLSOptions are the files of a listener's certificate, in PEM. With ClientCA,
// clients must show a certificate of that authority.
type TLSOptions struct {
	Cert     string `yaml:"cert"`
	Key      string `yaml:"key"`
	ClientCA string `yaml:"client_ca"`
}

// A Token is a bearer token: SHA256 is the hash of its bytes in hexadecimal.
type Token struct {
	Name       string   `yaml:"name"`
	SHA256     string   `yaml:"sha256"`
	Scopes     []string `yaml:"scopes"`
	Registries []string `yaml:"registries"` // what it may invalidate and refresh; none: all
}

// AdminOptions are the config section `admin`. Start from [AdminDefaults].
type AdminOptions struct {
	Listen   string     `yaml:"listen"`
	TLS      TLSOptions `yaml:"tls"`
	Tokens   []Token    `yaml:"tokens"`
	Hosts    []string   `yaml:"hosts"`    // values of Host that are served, besides loopback ones
	Insecure bool       `yaml:"insecure"` // off loopback without TLS and tokens
}

// The scopes of tokens; admin is all of them.
const (
	scopeRead       = "read"
	scopeMetrics    = "metrics"
	scopeInvalidate = "invalidate"
	scopeAdmin      = "admin"
)

// Defaults returns the default configuration of the data port.
func Defaults() Options {
	return Options{
		Listen: "127.0.0.1:7400", Timeout: 5 * time.Second, Drain: 5 * time.Second,
		Limits: Limits{
			Connections: 50_000, Waiters: 20_000, Wait: 10 * time.Minute,
			Header: 8 << 10, Body: 1 << 20, Read: 5 * time.Second, Idle: 75 * time.Second,
		},
	}
}

// AdminDefaults returns the default configuration of the admin port.
func AdminDefaults() AdminOptions { return AdminOptions{Listen: "127.0.0.1:7401"} }

// Validate returns all mistakes at once, each beginning with its key.
func (o Options) Validate() error {
	m := &mistakes{}
	m.listen(o.Listen)
	m.tls(o.TLS)
	m.tokens(o.Tokens)
	if len(o.Faces) > 0 {
		m.add("faces", "%q: this version serves no other protocols yet; leave it empty", o.Faces)
	}
	if u, err := url.Parse(o.PublicURL); o.PublicURL != "" &&
		(err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "") {
		m.add("public_url", "%q: a URL like https://edge.example.com expected", o.PublicURL)
	}
	for i, origin := range o.CORS {
		u, err := url.Parse(origin)
		if origin != "*" && (err != nil || u.Scheme == "" || u.Host == "" || origin != u.Scheme+"://"+u.Host) {
			m.add(fmt.Sprintf("cors[%d]", i), "%q: an origin like https://app.example.com or * expected", origin)
		}
	}
	m.notNegative("max_age", o.MaxAge)
	m.notNegative("drain", o.Drain)
	if o.Timeout <= 0 {
		m.add("timeout", "%s: more than 0 expected", o.Timeout)
	}
	for zone, networks := range o.Zones {
		if zone == "" {
			m.add("zones", "a zone has an empty name")
		}
		m.networks("zones."+zone, networks)
	}
	m.networks("trusted_proxies", o.TrustedProxies)
	m.limits(o.Limits)
	return m.err()
}

// Validate returns all mistakes at once, each beginning with its key.
func (o AdminOptions) Validate() error {
	m := &mistakes{}
	m.listen(o.Listen)
	m.tls(o.TLS)
	m.tokens(o.Tokens)
	for i, host := range o.Hosts {
		if host == "" || strings.ContainsAny(host, "/ ") {
			m.add(fmt.Sprintf("hosts[%d]", i), "%q: a host name or address without scheme and path expected", host)
		}
	}
	if !o.Insecure && !isLoopback(o.Listen) && (o.TLS.Cert == "" || len(o.Tokens) == 0) {
		m.add("listen", "%q is not a loopback address: it needs `tls` and `tokens`, or `insecure: true`", o.Listen)
	}
	return m.err()
}

// isLoopback reports whether a listen address is reached from this host only.
func isLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// mistakes gathers what is wrong with a section.
type mistakes struct{ errs []error }

func (m *mistakes) add(key, format string, args ...any) {
	m.errs = append(m.errs, fmt.Errorf("%s: "+format, append([]any{key}, args...)...))
}

// err returns the mistakes in a stable order, whatever map they came from.
func (m *mistakes) err() error {
	slices.SortStableFunc(m.errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(m.errs...)
}

func (m *mistakes) notNegative(key string, d time.Duration) {
	if d < 0 {
		m.add(key, "%s is negative", d)
	}
}

func (m *mistakes) listen(listen string) {
	_, port, err := net.SplitHostPort(listen)
	if n, perr := strconv.Atoi(port); err != nil || perr != nil || n < 0 || n > 65535 {
		m.add("listen", "%q: host:port expected, as in 127.0.0.1:7400", listen)
	}
}

func (m *mistakes) tls(o TLSOptions) {
	if (o.Cert == "") != (o.Key == "") {
		m.add("tls", "cert and key are given together or not at all")
	}
	if o.ClientCA != "" && o.Cert == "" {
		m.add("tls.client_ca", "it needs cert and key")
	}
}

func (m *mistakes) tokens(tokens []Token) {
	scopes := []string{scopeRead, scopeMetrics, scopeInvalidate, scopeAdmin}
	seen := map[string]bool{}
	for i, t := range tokens {
		key := fmt.Sprintf("tokens[%d].", i)
		if err := registry.CheckLabel(t.Name); err != nil {
			m.add(key+"name", "%w", err)
		} else if seen[t.Name] {
			m.add(key+"name", "%q is taken by an earlier token", t.Name)
		}
		seen[t.Name] = true
		if sum, err := hex.DecodeString(t.SHA256); err != nil || len(sum) != 32 {
			m.add(key+"sha256", "64 hexadecimal digits expected, as `printf %%s TOKEN | sha256sum` prints")
		}
		if len(t.Scopes) == 0 {
			m.add(key+"scopes", "empty; one or more of %v expected", scopes)
		}
		for _, s := range t.Scopes {
			if !slices.Contains(scopes, s) {
				m.add(key+"scopes", "%q: one of %v expected", s, scopes)
			}
		}
		for _, r := range t.Registries {
			if err := registry.CheckLabel(r); err != nil {
				m.add(key+"registries", "%w", err)
			}
		}
	}
}

func (m *mistakes) networks(key string, networks []string) {
	for i, n := range networks {
		if _, err := parseNetwork(n); err != nil {
			m.add(fmt.Sprintf("%s[%d]", key, i), "%w", err)
		}
	}
}

// parseNetwork reads a network like 10.1.0.0/16, or one address.
func parseNetwork(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	return netip.Prefix{}, fmt.Errorf("%q: an address or a network like 10.1.0.0/16 expected", s)
}

func (m *mistakes) limits(l Limits) {
	for _, n := range []struct {
		key   string
		value int64
	}{{"connections", int64(l.Connections)}, {"per_ip", int64(l.PerIP)}, {"requests_per_second", int64(l.RequestsPerSecond)},
		{"waiters", int64(l.Waiters)}, {"body", int64(l.Body)}} {
		if n.value < 0 {
			m.add("limits."+n.key, "%d is negative", n.value)
		}
	}
	if l.Header < 1<<10 || l.Header > 1<<20 {
		m.add("limits.header", "%s: 1KiB to 1MiB expected", l.Header)
	}
	if l.Body > 1<<30 {
		m.add("limits.body", "%s: at most 1GiB expected", l.Body)
	}
	m.notNegative("limits.wait", l.Wait)
	m.notNegative("limits.read", l.Read)
	m.notNegative("limits.idle", l.Idle)
}

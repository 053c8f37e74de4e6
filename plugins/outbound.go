package plugins

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/http/httpguts"
)

// outbound is how a plugin reaches hosts: those that its manifest and the
// operator both name, and no others.
type outbound struct {
	grants    []grant // by the operator
	wants     []grant // by the manifest
	any       bool    // the manifest wants all that is granted
	secrets   map[string]secret
	roots     roots
	transport http.RoundTripper
	scripted  bool // by a fixture, which nothing leaves: all is allowed, and secrets stay placeholders
	stats     *stats

	mu       sync.Mutex        // protects the field below
	admitted map[target]string // what was found to be allowed, and the host of it in its usual form
}

// A target is where a URL leads, as it is written.
type target struct{ scheme, host string }

// mostTargets bounds the targets that are remembered.
const mostTargets = 64

// A secret is sent in place of ${secret.NAME} in the values of headers.
type secret struct {
	file string
	to   []grant // none: to all that is granted
}

// A denial is a request that is not made.
type denial struct{ why string }

func (d *denial) Error() string { return d.why }

func newOutbound(m *Manifest, o *AdapterOptions, s *stats) (*outbound, error) {
	out := &outbound{secrets: map[string]secret{}, stats: s, admitted: map[target]string{}}
	var err error
	if out.roots, err = o.TLS.load(); err != nil {
		return nil, err
	}
	if out.grants, err = parseGrants("allow", o.Allow); err != nil {
		return nil, err
	}
	out.any = slices.Contains(m.HTTP, anyOrigin)
	for _, text := range m.HTTP {
		if text == anyOrigin {
			continue
		}
		g, err := parseGrant(text)
		if err != nil {
			return nil, err
		}
		out.wants = append(out.wants, g)
	}
	for name, s := range o.Secrets {
		to, err := parseGrants("secrets."+name+".to", s.To)
		if err != nil {
			return nil, err
		}
		out.secrets[name] = secret{s.File, to}
	}
	if err := out.granted(); err != nil {
		return nil, err
	}
	out.transport = out.over(&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second})
	return out, nil
}

// over returns a transport that dials so, if it may.
func (o *outbound) over(dialer *net.Dialer) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			d := *dialer
			d.ControlContext = o.control(address)
			return d.DialContext(ctx, network, address)
		},
		TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.roots.pool},
		ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: maxHead,
	}
}

// parseGrants reads a list of a key; the error tells all mistakes in it.
func parseGrants(key string, list []string) (grants []grant, err error) {
	var errs []error
	for i, text := range list {
		g, err := parseGrant(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s[%d]: %w", key, i, err))
			continue
		}
		grants = append(grants, g)
	}
	return grants, errors.Join(errs...)
}

// granted returns an error that names the origins that the manifest wants and the
// operator does not grant.
func (o *outbound) granted() error {
	var errs []error
	add := func(origin string) {
		errs = append(errs, fmt.Errorf("its manifest asks for http: %q, which the configuration does not grant: allow", origin))
	}
	for _, w := range o.wants {
		if !slices.ContainsFunc(o.grants, func(g grant) bool { return g.covers(w.scheme, w.host, w.port) }) {
			add(w.text)
		}
	}
	if o.any && len(o.grants) == 0 {
		add(anyOrigin)
	}
	return errors.Join(errs...)
}

// control returns what looks at each address that a dialled host resolves to,
// right before it is connected to: no name can change its mind in between.
func (o *outbound) control(dialled string) func(context.Context, string, string, syscall.RawConn) error {
	host, port, _ := net.SplitHostPort(dialled)
	host = normal(host)
	return func(_ context.Context, _, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return &denial{fmt.Sprintf("address %s is not understood", address)}
		}
		addr, entry := at.Addr().Unmap().WithZone(""), ""
		for i := range o.grants {
			g := &o.grants[i]
			if g.reaches(host, port) && g.admits(addr) {
				return nil
			}
			if g.reaches(host, port) {
				entry = g.text
			}
		}
		return &denial{fmt.Sprintf("%s is at %s, which no entry of allow grants: \"%s %s\" would", host, addr, entry, netip.PrefixFrom(addr, addr.BitLen()))}
	}
}

// admit gives a URL's host its usual form, or returns a denial unless manifest
// and operator let a request go there.
func (o *outbound) admit(u *url.URL) error {
	if o.scripted {
		return nil
	}
	written := target{u.Scheme, u.Host}
	o.mu.Lock()
	host, known := o.admitted[written]
	o.mu.Unlock()
	if known {
		u.Host = host
		return nil
	}
	u.Host = usual(u)
	if err := o.allows(u); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.admitted) < mostTargets {
		o.admitted[written] = u.Host
	}
	return nil
}

// allows returns a denial unless manifest and operator let a request go to a URL.
func (o *outbound) allows(u *url.URL) error {
	scheme, host, port := u.Scheme, hostOf(u), portOf(u)
	covers := func(g grant) bool { return g.covers(scheme, host, port) }
	origin := originOf(u)
	switch {
	case !slices.ContainsFunc(o.grants, covers):
		return &denial{origin + " is not among what the operator allows: allow: [\"" + origin + "\"] would"}
	case !o.any && !slices.ContainsFunc(o.wants, covers):
		return &denial{origin + " is not among what its manifest wants: http: [\"" + origin + "\"] would"}
	}
	return nil
}

var placeholder = regexp.MustCompile(`\$\{secret\.([^}]*)\}`)

// fill puts secrets in the place of ${secret.NAME} in a header's value.
func (o *outbound) fill(value string, u *url.URL) (string, error) {
	if o.scripted || !strings.Contains(value, "${secret.") {
		return value, nil
	}
	var failed error
	filled := placeholder.ReplaceAllStringFunc(value, func(found string) string {
		name := placeholder.FindStringSubmatch(found)[1]
		text, err := o.secret(name, u)
		failed = errors.Join(failed, err)
		return text
	})
	return filled, failed
}

func (o *outbound) secret(name string, u *url.URL) (string, error) {
	s, ok := o.secrets[name]
	if !ok {
		return "", &denial{fmt.Sprintf("there is no secret %q: secrets: {%s: FILE} would give one", name, name)}
	}
	to := s.to
	if len(to) == 0 {
		to = o.grants
	}
	if !slices.ContainsFunc(to, func(g grant) bool { return g.covers(u.Scheme, hostOf(u), portOf(u)) }) {
		return "", &denial{fmt.Sprintf("secret %s is not for %s://%s", name, u.Scheme, u.Host)}
	}
	text, err := os.ReadFile(s.file) // each time, so that it can be renewed
	if err != nil {
		return "", &denial{fmt.Sprintf("secret %s: %v", name, err)}
	}
	value := strings.TrimSpace(string(text))
	if !httpguts.ValidHeaderFieldValue(value) {
		return "", &denial{fmt.Sprintf("secret %s: its file has more than a line of text", name)}
	}
	return value, nil
}

// close ends idle connections.
func (o *outbound) close() {
	if t, ok := o.transport.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	connectTimeout = 5 * time.Second
	// userTimeout ends a connection whose peer acknowledges nothing for so
	// long: without it a half-open long poll would wait for ever.
	userTimeout       = 30 * time.Second
	idleTimeout       = 90 * time.Second
	maxIdlePerAddress = 512 // one connection for each long poll
	maxHeaderBytes    = 64 << 10
	maxRedirects      = 3
)

var errRedirect = errors.New("redirect refused")

// newTransport returns a transport of its own. Proxies come from the
// environment, which never names one for loopback addresses.
func newTransport(cfg *tls.Config) *http.Transport {
	d := &net.Dialer{
		Timeout:         connectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 4},
		Control:         setUserTimeout,
	}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            func(ctx context.Context, network, addr string) (net.Conn, error) { return dial(ctx, d, network, addr) },
		TLSClientConfig:        cfg,
		TLSHandshakeTimeout:    connectTimeout,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 15 * time.Second},
		MaxIdleConnsPerHost:    maxIdlePerAddress,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
}

// callerKey holds the context of the request that a connection is made for.
type callerKey struct{}

// dial connects until the request that asked for the connection ends: the
// transport alone would go on, in a goroutine that nobody waits for.
func dial(ctx context.Context, d *net.Dialer, network, addr string) (net.Conn, error) {
	if caller, ok := ctx.Value(callerKey{}).(context.Context); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(caller, cancel)()
	}
	return d.DialContext(ctx, network, addr)
}

// checkRedirect follows a few redirects within the origin: credentials leave
// it never.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("%w: more than %d in a row", errRedirect, maxRedirects)
	}
	if !sameOrigin(req.URL, via[0].URL) {
		return fmt.Errorf("%w: it leads from %s to %s", errRedirect, origin(via[0].URL), origin(req.URL))
	}
	return nil
}

func sameOrigin(a, b *url.URL) bool { return origin(a) == origin(b) }

func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "80"
		if u.Scheme == "https" {
			port = "443"
		}
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

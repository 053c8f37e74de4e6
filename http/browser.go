package http

import (
	"bytes"
	"net"
	"net/netip"
	"strings"

	"github.com/valyala/fasthttp"
)

// A browser gate keeps web pages away from the admin port, which may need no
// token on loopback. A page can make its own host name resolve to this
// address, so Host is checked; and it can send simple requests across
// origins, so Origin and Sec-Fetch-Site are.
type browserGate struct {
	hosts map[string]bool // lower case, with or without a port
}

func newBrowserGate(hosts []string) browserGate {
	g := browserGate{hosts: make(map[string]bool, len(hosts))}
	for _, h := range hosts {
		g.hosts[strings.ToLower(h)] = true
	}
	return g
}

// refuse returns why a request is refused, or "".
func (g browserGate) refuse(ctx *fasthttp.RequestCtx) string {
	host := string(ctx.Request.Header.Host())
	if !g.serves(host) {
		return "Host is neither a loopback name nor in admin.hosts"
	}
	if origin := ctx.Request.Header.Peek(fasthttp.HeaderOrigin); len(origin) > 0 && !sameHost(string(origin), host) {
		return "Origin is another site; the admin port serves no cross-origin requests"
	}
	if site := ctx.Request.Header.Peek("Sec-Fetch-Site"); bytes.Equal(site, []byte("cross-site")) || bytes.Equal(site, []byte("same-site")) {
		if !bytes.Equal(ctx.Request.Header.Peek("Sec-Fetch-Mode"), []byte("navigate")) || !ctx.IsGet() {
			return "the request comes from another site's page; the admin port serves no cross-origin requests"
		}
	}
	return ""
}

// serves reports whether the value of Host names this node.
func (g browserGate) serves(host string) bool {
	host = strings.ToLower(host)
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]"), ".")
	if name == "localhost" || g.hosts[host] || g.hosts[name] {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Unmap().IsLoopback()
}

// sameHost reports whether an Origin is that of the host the request names.
func sameHost(origin, host string) bool {
	_, authority, ok := strings.Cut(origin, "://")
	return ok && strings.EqualFold(authority, host)
}

// isJSON reports whether the request's body says that it is JSON.
func isJSON(ctx *fasthttp.RequestCtx) bool {
	media, _, _ := strings.Cut(asString(ctx.Request.Header.ContentType()), ";")
	return strings.EqualFold(strings.TrimSpace(media), "application/json")
}

package plugins

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// anyOrigin in a manifest stands for what the operator allows.
const anyOrigin = "*"

// A grant is an origin that a plugin may reach: scheme, host and port, and the
// addresses that its names may resolve to.
type grant struct {
	text   string
	scheme string
	host   string         // a name in lower case, one with a leading "*.", or an address
	port   string         // never empty
	nets   []netip.Prefix // none: any public address, or the host if it is one
}

// parseGrant reads an origin, and the networks behind it if there are any:
// "https://registry.example.com", "http://*.internal:8761 10.0.0.0/8".
func parseGrant(text string) (g grant, err error) {
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return g, errors.New(`empty; an origin as in "https://registry.example.com" expected`)
	}
	u, err := url.Parse(fields[0])
	switch {
	case err != nil:
		return g, fmt.Errorf("%q: %w; an origin as in https://registry.example.com expected", fields[0], errors.Unwrap(err))
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return g, fmt.Errorf("%q: scheme, host and port as in https://registry.example.com expected", fields[0])
	case u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return g, fmt.Errorf("%q: no more than scheme, host and port expected", fields[0])
	case strings.Contains(strings.TrimPrefix(u.Hostname(), "*."), "*"):
		return g, fmt.Errorf("%q: a * stands for names at the beginning only, as in *.example.com", fields[0])
	}
	if addr, ok := shorthand(hostOf(u)); ok {
		return g, fmt.Errorf("%q: an address in its usual form, which is %s, expected", fields[0], addr)
	}
	g = grant{text: text, scheme: u.Scheme, host: hostOf(u), port: portOf(u)}
	for _, text := range fields[1:] {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return g, fmt.Errorf("%q: a network as in 10.0.0.0/8 expected", text)
		}
		g.nets = append(g.nets, network.Masked())
	}
	if addr, err := netip.ParseAddr(g.host); err == nil && len(g.nets) == 0 {
		g.nets = []netip.Prefix{netip.PrefixFrom(addr, addr.BitLen())}
	}
	return g, nil
}

// hostOf returns a URL's host: a name in lower case, an address as Go writes it.
func hostOf(u *url.URL) string { return normal(u.Hostname()) }

// normal returns the one form of a host that is compared. Names are in ASCII, as
// they are dialled.
func normal(host string) string {
	if strings.ContainsFunc(host, func(r rune) bool { return r >= utf8.RuneSelf }) {
		if ascii, err := idna.Lookup.ToASCII(host); err == nil {
			host = ascii
		}
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().WithZone("").String()
	}
	return host
}

// shorthand reads an IPv4 address in a form that is not the usual one, and that
// some resolvers read: up to four numbers, decimal, octal or hexadecimal, of which
// the last fills what is left.
func shorthand(host string) (addr netip.Addr, ok bool) {
	parts := strings.Split(host, ".")
	if _, err := netip.ParseAddr(host); err == nil || len(parts) > 4 {
		return addr, false
	}
	n, last := uint64(0), len(parts)-1
	for i, part := range parts {
		base, bits := 10, 8
		if i == last {
			bits = 8 * (4 - last)
		}
		if digits, hex := strings.CutPrefix(part, "0x"); hex {
			part, base = digits, 16
		} else if len(part) > 1 && part[0] == '0' {
			base = 8
		}
		v, err := strconv.ParseUint(part, base, bits)
		if err != nil {
			return addr, false
		}
		n = n<<bits | v
	}
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}), true
}

// usual returns a URL's host and port with an IPv4 address in its usual form,
// however it was written: the one form that is compared, dialled and told.
func usual(u *url.URL) string {
	host := hostOf(u)
	addr, ok := shorthand(host)
	if !ok {
		addr, _ = netip.ParseAddr(host)
	}
	if !addr.Is4() {
		return u.Host
	}
	if u.Port() == "" {
		return addr.String()
	}
	return net.JoinHostPort(addr.String(), u.Port())
}

// originOf returns a URL's origin as an entry of allow has it.
func originOf(u *url.URL) string {
	host := hostOf(u)
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if u.Port() != "" {
		host += ":" + u.Port()
	}
	return u.Scheme + "://" + host
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// covers reports whether a request to a host and port is meant.
func (g *grant) covers(scheme, host, port string) bool {
	return g.scheme == scheme && g.reaches(host, port)
}

func (g *grant) reaches(host, port string) bool {
	if g.port != port {
		return false
	}
	suffix, wild := strings.CutPrefix(g.host, "*")
	return g.host == host || wild && len(host) > len(suffix) && strings.HasSuffix(host, suffix)
}

// special are the networks whose addresses a wider grant does not cover: this
// host, its links with the metadata services of clouds, groups, nothing at all.
var special = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
	netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("fd00:ec2::/32"), netip.MustParsePrefix("168.63.129.16/32"),
	netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("ff00::/8"),
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("::/128"), netip.MustParsePrefix("255.255.255.255/32"),
}

// private are those that no name of a public registry resolves to (RFC 6890):
// only a grant that names them covers them. Some hold IPv4 addresses.
var private = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2001::/32"),
	netip.MustParsePrefix("fec0::/10"), netip.MustParsePrefix("::/96"),
}

// admits reports whether an address may be dialled.
func (g *grant) admits(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	within := func(nets []netip.Prefix) (netip.Prefix, bool) {
		i := slices.IndexFunc(nets, func(n netip.Prefix) bool { return n.Contains(addr) })
		if i < 0 {
			return netip.Prefix{}, false
		}
		return nets[i], true
	}
	narrow, isSpecial := within(special)
	if _, isPrivate := within(private); len(g.nets) == 0 {
		return !isSpecial && !isPrivate
	}
	return slices.ContainsFunc(g.nets, func(n netip.Prefix) bool {
		return n.Contains(addr) && (!isSpecial || n.Bits() >= narrow.Bits())
	})
}

package gossip

import (
	"errors"
	"fmt"
	"log"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// A meshWire is memberlist's sockets, of which a cable can be cut.
type meshWire struct {
	*memberlist.NetTransport
	ip  net.IP // that it listens at
	cut *atomic.Bool

	mu     sync.Mutex // protects dialed
	dialed map[*meshConn]struct{}
}

// A meshConn is a connection that ends with its wire.
type meshConn struct {
	net.Conn
	wire *meshWire
}

func (c *meshConn) Close() error {
	c.wire.mu.Lock()
	delete(c.wire.dialed, c)
	c.wire.mu.Unlock()
	return c.Conn.Close()
}

var errIsolated = errors.New("isolated")

// listenMesh opens the sockets. A port for both protocols may need some tries.
func listenMesh(address string, logger *log.Logger) (*meshWire, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%q: the port is not a number up to 65535", address)
	}
	ip, err := listenIP(host)
	if err != nil {
		return nil, err
	}
	tries := 1
	if number == 0 {
		tries = 10
	}
	var wire *memberlist.NetTransport
	for range tries {
		wire, err = memberlist.NewNetTransport(&memberlist.NetTransportConfig{BindAddrs: []string{ip.String()}, BindPort: int(number), Logger: logger})
		if err == nil {
			return &meshWire{NetTransport: wire, ip: ip, dialed: map[*meshConn]struct{}{}}, nil
		}
	}
	return nil, err
}

// listenIP returns the address to listen at for a host; none is all interfaces.
func listenIP(host string) (net.IP, error) {
	if host != "" {
		return hostIP(host)
	}
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).IP, nil // of IPv6 and IPv4 if the machine has both
}

func (w *meshWire) WriteTo(b []byte, address string) (time.Time, error) {
	return w.WriteToAddress(b, memberlist.Address{Addr: address})
}

func (w *meshWire) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	if w.cut.Load() {
		return time.Now(), nil
	}
	return w.NetTransport.WriteToAddress(b, a)
}

func (w *meshWire) DialTimeout(address string, timeout time.Duration) (net.Conn, error) {
	return w.DialAddressTimeout(memberlist.Address{Addr: address}, timeout)
}

func (w *meshWire) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	if w.cut.Load() {
		return nil, errIsolated
	}
	conn, err := w.NetTransport.DialAddressTimeout(a, timeout)
	if err != nil {
		return nil, err
	}
	c := &meshConn{conn, w}
	w.mu.Lock()
	w.dialed[c] = struct{}{}
	w.mu.Unlock()
	return c, nil
}

// Shutdown closes connections too: who waits for an answer is not to wait on.
func (w *meshWire) Shutdown() error {
	w.mu.Lock()
	for c := range w.dialed {
		_ = c.Conn.Close() // its user closes it again
	}
	w.mu.Unlock()
	return w.NetTransport.Shutdown()
}

// hostIP returns an address of a host, IPv4 before IPv6.
func hostIP(host string) (net.IP, error) {
	at, err := net.ResolveIPAddr("ip", host)
	if err != nil {
		return nil, err
	}
	return at.IP, nil
}

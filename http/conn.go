package http

import (
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// writeTimeout is how long one write to a client may take. A reader that takes
// nothing for so long loses its connection.
const writeTimeout = 30 * time.Second

// A conn is a client's connection. It sets deadlines only when they matter: a
// request that arrives whole costs no timer, and a deadline that would move by
// little stays.
type conn struct {
	net.Conn
	server  *Server
	addr    netip.Addr
	client  *client
	slack   time.Duration // how much too early a deadline may fire
	closing atomic.Bool   // nothing is read after the server's lastRead
	once    sync.Once

	wanted, readSet time.Time // of the one goroutine that reads
	writeSet        int64     // coarse clock, when the write deadline was set
}

// SetReadDeadline is called by fasthttp before each request and at its first
// byte; Read applies it.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.wanted = t
	return nil
}

// SetDeadline is called at the end of a TLS connection.
func (c *conn) SetDeadline(t time.Time) error {
	c.wanted, c.readSet = t, t
	c.writeSet = 0
	return c.Conn.SetDeadline(t)
}

func (c *conn) Read(b []byte) (int, error) {
	if early := c.wanted.Sub(c.readSet); early < 0 || early > c.slack || c.wanted.IsZero() != c.readSet.IsZero() {
		if err := c.Conn.SetReadDeadline(c.wanted); err != nil {
			return 0, err
		}
		c.readSet = c.wanted
	}
	if c.closing.Load() {
		c.expire() // the line above may have undone another's expire
	}
	return c.Conn.Read(b)
}

func (c *conn) Write(b []byte) (int, error) {
	if now := c.server.clock.Load(); now-c.writeSet > int64(time.Second) || c.writeSet == 0 {
		c.writeSet = now
		if err := c.Conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(b)
}

// SetWriteDeadline: Write sets its own.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// lastReads is how long after the listeners closed a connection is still read:
// a request that was under way then is answered.
const lastReads = 100 * time.Millisecond

// expire ends the connection once it reads after the server's lastRead: idle
// ones then, others after the answer they are at.
func (c *conn) expire() {
	c.closing.Store(true)
	_ = c.Conn.SetReadDeadline(c.server.lastRead) // fails only on a closed connection
}

func (c *conn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		err = c.Conn.Close()
		c.server.forget(c)
	})
	return err
}

// connOf returns the connection a request came on; nil in tests without one.
func connOf(ctx *fasthttp.RequestCtx) *conn {
	switch c := ctx.Conn().(type) {
	case *conn:
		return c
	case *tls.Conn:
		inner, _ := c.NetConn().(*conn)
		return inner
	}
	return nil
}

// peerAddr returns the address of a request's connection; the zero Addr if it
// has none.
func peerAddr(ctx *fasthttp.RequestCtx) netip.Addr {
	if c := connOf(ctx); c != nil {
		return c.addr
	}
	return addrOf(ctx.RemoteAddr())
}

func addrOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

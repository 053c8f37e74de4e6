package http

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// A loopConn is a client that sends the same request n times, each in a read
// of its own, and takes all answers.
type loopConn struct {
	request []byte
	n       int
}

func (c *loopConn) Read(b []byte) (int, error) {
	if c.n == 0 {
		return 0, io.EOF
	}
	c.n--
	return copy(b, c.request), nil
}

func (c *loopConn) Write(b []byte) (int, error)      { return len(b), nil }
func (c *loopConn) Close() error                     { return nil }
func (c *loopConn) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (c *loopConn) RemoteAddr() net.Addr             { return c.LocalAddr() }
func (c *loopConn) SetDeadline(time.Time) error      { return nil }
func (c *loopConn) SetReadDeadline(time.Time) error  { return nil }
func (c *loopConn) SetWriteDeadline(time.Time) error { return nil }

// BenchmarkConnection is a whole connection without the kernel: the worst case
// of the share that is ours.
func BenchmarkConnection(b *testing.B) {
	request := []byte("GET /v1/services/web HTTP/1.1\r\nHost: edge\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n")
	b.Run("edgecache", func(b *testing.B) {
		p := hitPort(b, false)
		p.setLimits(p.server.options.Limits)
		b.ReportAllocs()
		c := &conn{Conn: &loopConn{request, b.N}, server: p.server, slack: time.Second}
		c.client = p.server.clients.connect(addrOf(c.RemoteAddr()), 0)
		if err := p.current.Load().ServeConn(c); err != nil {
			b.Fatal(err)
		}
	})
	b.Run("bare", func(b *testing.B) {
		ctx := requestOf(b)
		hitPort(b, false).serve(ctx)
		body := append([]byte(nil), ctx.Response.Body()...)
		type header struct{ key, value []byte }
		var headers []header
		for k, v := range ctx.Response.Header.All() {
			headers = append(headers, header{append([]byte(nil), k...), append([]byte(nil), v...)})
		}
		s := &fasthttp.Server{NoDefaultServerHeader: true, Handler: func(ctx *fasthttp.RequestCtx) {
			for i := range headers {
				ctx.Response.Header.SetCanonical(headers[i].key, headers[i].value)
			}
			ctx.Response.SetBody(body)
		}}
		b.ReportAllocs()
		if err := s.ServeConn(&loopConn{request, b.N}); err != nil {
			b.Fatal(err)
		}
	})
}

func requestOf(b *testing.B) *fasthttp.RequestCtx {
	return request(b, "GET /v1/services/web HTTP/1.1")
}

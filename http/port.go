package http

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// A port is one listener, its routes and who may use them.
type port struct {
	server *Server
	name   string
	table  *table
	tokens tokenSet
	gate   atomic.Pointer[browserGate] // of the admin port
	certs  *certReloader               // nil: no TLS

	listener net.Listener
	current  atomic.Pointer[engine] // serves new connections
}

// An engine is a fasthttp server and the limits it was made for. A reload of
// limits makes a new one; connections stay with theirs.
type engine struct {
	*fasthttp.Server
	slack time.Duration
}

func newPort(s *Server, name string, routes []route) *port {
	return &port{server: s, name: name, table: newTable(routes)}
}

// listen opens the port without serving it.
func (p *port) listen(address string, o TLSOptions, l Limits) error {
	if o.Cert != "" {
		certs, err := tlsConfig(o, p.server.deps.Logger)
		if err != nil {
			return err
		}
		p.certs = certs
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	p.listener = listener
	p.setLimits(l)
	return nil
}

func (p *port) addr() string {
	if p.listener == nil {
		return ""
	}
	return p.listener.Addr().String()
}

func (p *port) close() error {
	if p.listener == nil {
		return nil
	}
	if err := p.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func (p *port) reloadCertificate() error {
	if p.certs == nil {
		return nil
	}
	return p.certs.reload()
}

// never is a timeout that is off where fasthttp takes 0 for something else.
const never = 24 * 365 * time.Hour

func (p *port) setLimits(l Limits) {
	e := &engine{Server: &fasthttp.Server{
		Handler: p.serve, ErrorHandler: p.malformed,
		Concurrency:     1 << 30, // counted at accept
		ReadBufferSize:  int(l.Header),
		WriteBufferSize: 8 << 10, // most answers leave in one write
		ReadTimeout:     l.Read, IdleTimeout: l.Idle,
		MaxRequestBodySize:           int(l.Body),
		DisablePreParseMultipartForm: true,
		SecureErrorLogMessage:        true,
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		Logger:                       quiet{p.server.deps.Logger},
	}}
	if l.Idle == 0 {
		e.IdleTimeout = never
	}
	if l.Read == 0 {
		e.ReadTimeout = never
	}
	if l.Body == 0 {
		e.MaxRequestBodySize = 1 << 40
	}
	e.slack = min(time.Second, e.ReadTimeout/16, e.IdleTimeout/16)
	p.current.Store(e)
}

// quiet takes fasthttp's log lines, which are of single requests.
type quiet struct{ logger *slog.Logger }

// Printf logs at debug level.
func (q quiet) Printf(format string, args ...any) {
	q.logger.Debug("fasthttp", "message", fmt.Sprintf(format, args...))
}

// accept takes connections until the listener is closed.
func (p *port) accept() {
	for failing := false; ; {
		raw, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if failing != (err != nil) {
			failing = !failing
			p.server.deps.Logger.Warn("accepting connections", "port", p.name, "failing", failing, "error", err)
		}
		if err != nil { // out of file descriptors, or the client is gone already
			select {
			case <-p.server.base.Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		p.take(raw)
	}
}

// take serves a connection, or refuses it for its number.
func (p *port) take(raw net.Conn) {
	s := p.server
	limits := &s.live.Load().limits
	addr := addrOf(raw.RemoteAddr())
	if limits.Connections > 0 && s.counters.connections.Load() >= int64(limits.Connections) {
		p.refuse(raw)
		return
	}
	owner := s.clients.connect(addr, limits.PerIP)
	if owner == nil {
		p.refuse(raw)
		return
	}
	e := p.current.Load()
	c := &conn{Conn: raw, server: s, addr: addr, client: owner, slack: e.slack}
	s.remember(c)
	var served net.Conn = c
	if p.certs != nil {
		served = tls.Server(c, p.certs.config())
	}
	s.wg.Go(func() {
		_ = e.ServeConn(served) // how a connection ended is the client's affair
		_ = c.Close()
	})
}

// refuse answers 429 without reading, as far as the socket takes it at once.
func (p *port) refuse(raw net.Conn) {
	p.server.counters.refused.Add(1)
	if p.certs == nil {
		_ = raw.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = raw.Write(refusal)
	}
	_ = raw.Close()
}

var refusal = func() []byte {
	body := rateLimited.because("too many connections; close some and retry").append(nil)
	return fmt.Appendf(nil, "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/problem+json\r\n"+
		"Retry-After: 1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}()

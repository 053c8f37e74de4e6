package transport

import (
	"context"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// A credential has gRPC use connections of peers that were let in. One of a
// server makes the handshake; one of a client gives what Dial made already.
type credential struct {
	transport *Transport
	dialed    net.Conn
}

// An authInfo gives a stream its connection, to end both.
type authInfo struct {
	credentials.CommonAuthInfo
	raw   net.Conn
	claim func() bool // a stream has it: the transport's end is not its own
}

// A waiting connection has no stream yet.
type waiting struct {
	net.Conn
	claim func() bool
}

func (w waiting) Close() error {
	w.claim()
	return w.Conn.Close()
}

func (authInfo) AuthType() string { return "edgecache-peer" }

var common = credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}

func (c credential) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	t := c.transport
	defer t.handshakes.Add(-1)
	if n := t.handshakes.Add(1); n > maxHandshakes {
		return nil, nil, fmt.Errorf("%w: more than %d handshakes at once", ErrBusy, maxHandshakes)
	}
	conn, err := t.handshake(context.Background(), raw, false)
	if err != nil {
		t.logRefused(host(raw.RemoteAddr()), err)
		return nil, nil, err
	}
	claim := context.AfterFunc(t.ctx, func() { raw.Close() })
	return waiting{conn, claim}, authInfo{common, raw, claim}, nil
}

func (c credential) ClientHandshake(_ context.Context, _ string, _ net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c.dialed, authInfo{CommonAuthInfo: common}, nil
}

func (c credential) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

func (c credential) Clone() credentials.TransportCredentials { return c }

func (c credential) OverrideServerName(string) error { return nil }

// host is an address without the port, which is another at each try.
func host(a net.Addr) string {
	if host, _, err := net.SplitHostPort(a.String()); err == nil {
		return host
	}
	return a.String()
}

// accept serves a stream that a peer opened.
func (t *Transport) accept(link grpc.ServerStream) error {
	p, ok := peer.FromContext(link.Context())
	if !ok {
		return errors.New("a stream without a peer")
	}
	auth, ok := p.AuthInfo.(authInfo)
	if !ok {
		return errors.New("a stream without a handshake")
	}
	s := t.newStream(p.Addr, "", func() { auth.raw.Close() })
	if err := t.add(s); err != nil {
		t.logRefused(host(p.Addr), err)
		return status.Error(codes.ResourceExhausted, err.Error())
	}
	defer t.remove(s)
	auth.claim()
	s.link = link
	if err := s.open(); err != nil {
		t.logRefused(host(p.Addr), err)
		return status.Error(codes.FailedPrecondition, err.Error())
	}
	return s.serve()
}

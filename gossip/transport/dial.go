package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// Dial opens a stream to a peer. It returns after Opened, or with the reason
// why there is no stream. The context is of no account afterwards.
func (t *Transport) Dial(ctx context.Context, address string) error {
	if err := t.dial(ctx, address); err != nil {
		err = fmt.Errorf("peer %s: %w", address, err)
		t.logRefused(address, err)
		return err
	}
	return nil
}

func (t *Transport) dial(ctx context.Context, address string) error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return ErrClosed
	}
	t.wg.Add(1) // before Close can wait
	t.mu.Unlock()
	result := make(chan error, 1)
	go func() {
		defer t.wg.Done()
		if err := t.run(ctx, address, result); err != nil {
			result <- err
		}
	}()
	return <-result
}

// run opens a stream and serves it. An error is returned or, once it is open,
// nil sent.
func (t *Transport) run(ctx context.Context, address string, opened chan<- error) error {
	raw, err := t.connect(ctx, address)
	if err != nil {
		return err
	}
	defer raw.Close()
	conn, err := t.handshake(ctx, raw, true)
	if err != nil {
		return err
	}
	client, err := newClient(raw, conn)
	if err != nil {
		return err
	}
	defer client.Close()
	life, cancel := context.WithCancel(context.Background())
	defer cancel()
	s := t.newStream(raw.RemoteAddr(), address, func() { cancel(); raw.Close() })
	if err := t.add(s); err != nil {
		return err
	}
	defer t.remove(s)
	stop := context.AfterFunc(ctx, func() { s.fail(context.Cause(ctx)) })
	defer stop()
	late := time.AfterFunc(patience, func() { s.fail(errNoHello) })
	defer late.Stop()
	desc := &service.Streams[0]
	if s.link, err = client.NewStream(life, desc, method); err != nil {
		return s.because(err)
	}
	if err := s.open(); err != nil {
		return err
	}
	late.Stop()
	stop()
	opened <- nil
	s.serve()
	return nil
}

// connect refuses what resolves to an address that nothing would protect,
// before it is connected to.
func (t *Transport) connect(ctx context.Context, address string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	dialer := net.Dialer{
		Timeout: patience,
		Control: func(_, resolved string, _ syscall.RawConn) error { return t.options.permits(resolved) },
	}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil && t.ctx.Err() != nil {
		return nil, ErrClosed
	}
	return conn, err
}

// newClient returns a client of one connection, which does not dial again.
func newClient(raw, conn net.Conn) (*grpc.ClientConn, error) {
	var used atomic.Bool
	return grpc.NewClient("passthrough:///"+raw.RemoteAddr().String(),
		grpc.WithTransportCredentials(credential{dialed: conn}),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			if used.Swap(true) {
				return nil, io.EOF
			}
			return raw, nil
		}),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{}), grpc.MaxCallRecvMsgSize(maxMessage)),
		// gRPC pings no more often; see the package's comment.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 2 * time.Second}),
		grpc.WithAuthority("edgecache"),
		grpc.WithIdleTimeout(0),
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
	)
}

var errNoHello = fmt.Errorf("%w: no hello within %v", ErrStranger, patience)

var errSlow = errors.New("closed before the peer took all that was sent")

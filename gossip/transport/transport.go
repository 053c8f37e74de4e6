package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// A Transport keeps streams to peers and accepts theirs.
type Transport struct {
	options      Options
	certificates *certificates
	server       *grpc.Server
	listener     net.Listener
	ctx          context.Context // ends with Close
	stop         context.CancelFunc
	handshakes   atomic.Int64 // of accepted connections, under way

	mu      sync.Mutex // protects the fields below
	closed  bool
	streams map[*Stream]struct{}
	refused map[string]time.Time // when a refusal was last logged, by address

	live sync.WaitGroup // of streams; added to under mu unless closed
	wg   sync.WaitGroup // of goroutines but the server's own, likewise
}

// New returns a transport that can dial. It reads the certificate files.
func New(o Options) (*Transport, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	certificates, err := newCertificates(o.TLS, o.Logger)
	if err != nil {
		return nil, err
	}
	t := &Transport{
		options:      o,
		certificates: certificates,
		streams:      map[*Stream]struct{}{},
		refused:      map[string]time.Time{},
	}
	t.ctx, t.stop = context.WithCancel(context.Background())
	return t, nil
}

// The service has one method, and frames need no protocol buffers.
var service = grpc.ServiceDesc{
	ServiceName: "edgecache.Peer",
	HandlerType: (*any)(nil),
	Streams: []grpc.StreamDesc{{
		StreamName:    "Stream",
		Handler:       func(t any, link grpc.ServerStream) error { return t.(*Transport).accept(link) },
		ServerStreams: true,
		ClientStreams: true,
	}},
}

const method = "/edgecache.Peer/Stream"

// Open begins to accept streams.
func (t *Transport) Open() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return ErrClosed
	}
	if t.listener != nil {
		return errors.New("transport opened twice")
	}
	listener, err := net.Listen("tcp", t.options.Listen)
	if err != nil {
		return err
	}
	t.listener = listener
	t.server = grpc.NewServer(
		grpc.Creds(credential{transport: t}),
		grpc.ForceServerCodecV2(codec{}),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(1),
		grpc.ConnectionTimeout(patience+time.Second), // above the handshake's own, which says why
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: patience, // without a stream
			Time:              2 * time.Second,
			Timeout:           2 * time.Second,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
		grpc.WaitForHandlers(true),
	)
	t.server.RegisterService(&service, t)
	t.wg.Go(func() {
		if err := t.server.Serve(listener); err != nil && t.ctx.Err() == nil {
			t.options.Logger.Error("peers are not accepted any more", "listen", t.options.Listen, "error", err)
		}
	})
	return nil
}

// Addr returns the listener's address, nil before Open.
func (t *Transport) Addr() net.Addr {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.listener == nil {
		return nil
	}
	return t.listener.Addr()
}

// Close closes all streams, after what was sent so far, and waits for their
// Closed; that takes 1 s, and as long as a call of Received does. It is not to
// be called from Opened, Received, Overflowed or Closed.
func (t *Transport) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		t.wg.Wait()
		return nil
	}
	t.closed = true
	server := t.server
	var streams []*Stream
	for s := range t.streams {
		streams = append(streams, s)
	}
	t.mu.Unlock()
	t.stop()
	for _, s := range streams {
		s.Close()
	}
	t.live.Wait()
	if server != nil {
		late := time.AfterFunc(closeWithin/4, server.Stop)
		server.GracefulStop()
		late.Stop()
	}
	t.wg.Wait()
	return nil
}

// add counts a stream that is about to begin.
func (t *Transport) add(s *Stream) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return ErrClosed
	case len(t.streams) >= maxStreams:
		return fmt.Errorf("%w: at most %d streams", ErrBusy, maxStreams)
	}
	t.streams[s] = struct{}{}
	t.live.Add(1)
	return nil
}

func (t *Transport) remove(s *Stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.streams, s)
	t.live.Done()
}

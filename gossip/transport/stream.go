package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// maxMessage is a frame of the greatest length and what is packed around it.
const maxMessage = MaxFrame + packBytes

// A Stream carries frames between two nodes. Its methods are safe for
// concurrent use.
type Stream struct {
	transport *Transport
	remote    net.Addr
	address   string // dialed; empty: accepted
	hello     []byte
	kill      func() // ends the link at once
	link      interface {
		SendMsg(m any) error
		RecvMsg(m any) error
	}
	wake    chan struct{} // has one if there is something for the writer
	ended   chan struct{} // nothing will be received any more
	written chan struct{} // the writer has ended
	long    sync.Once     // logs a frame that is too long

	mu       sync.Mutex // protects the fields below
	queue    [][]byte   // not yet taken by the writer
	frames   int        // in the queue or with the writer
	bytes    int        // likewise
	dropping bool       // until all of these are sent
	up       bool       // both said hello
	closing  *time.Timer
	cause    error // why this end killed it
}

func (t *Transport) newStream(remote net.Addr, address string, kill func()) *Stream {
	return &Stream{
		transport: t,
		remote:    remote,
		address:   address,
		kill:      kill,
		wake:      make(chan struct{}, 1),
		ended:     make(chan struct{}),
		written:   make(chan struct{}),
	}
}

// Hello returns what the peer said first. It is not to be changed.
func (s *Stream) Hello() []byte { return s.hello }

// Dialed says whether this end opened the stream.
func (s *Stream) Dialed() bool { return s.address != "" }

// Address returns what Dial was called with; of an accepted stream nothing.
func (s *Stream) Address() string { return s.address }

// RemoteAddr returns the peer's address on this connection.
func (s *Stream) RemoteAddr() net.Addr { return s.remote }

// Send queues a frame, which must not be changed any more: other streams may send
// the same. It never blocks; false says that the frame was dropped: the queue is
// full or was and has not drained yet, the stream is closed, or the frame is
// longer than MaxFrame.
func (s *Stream) Send(frame []byte) bool {
	if len(frame) > MaxFrame {
		s.long.Do(func() {
			s.transport.options.Logger.Error("frame dropped: too long", "peer", s.remote, "bytes", len(frame), "most", MaxFrame)
		})
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing != nil || s.cause != nil || s.dropping {
		return false
	}
	if s.frames == maxQueue || s.bytes+len(frame) > maxQueueBytes {
		s.dropping = true
		return false
	}
	s.frames++
	s.bytes += len(frame)
	s.queue = append(s.queue, frame)
	s.signal()
	return true
}

func (s *Stream) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Close ends the stream after what both ends sent so far, within 1 s. It does
// not wait; Closed tells.
func (s *Stream) Close() {
	s.mu.Lock()
	if s.closing == nil && s.up {
		s.closing = time.AfterFunc(closeWithin, func() { s.fail(errSlow) })
		s.signal()
	}
	up := s.up
	s.mu.Unlock()
	if !up {
		s.fail(ErrClosed)
	}
}

// fail ends the stream at once.
func (s *Stream) fail(cause error) {
	s.mu.Lock()
	if s.cause == nil {
		s.cause = cause
	}
	s.mu.Unlock()
	s.kill()
}

// because returns why the stream ended, given what gRPC says.
func (s *Stream) because(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		return s.cause
	}
	switch err {
	case nil:
		return errors.New("the peer sent more after its last message")
	case io.EOF:
		return fmt.Errorf("the peer ended the stream without a word: %w", io.ErrUnexpectedEOF)
	}
	st := status.Convert(err)
	switch st.Code() {
	case codes.ResourceExhausted, codes.FailedPrecondition:
		return fmt.Errorf("%w: %s", errRefused, st.Message())
	case codes.Unimplemented:
		return fmt.Errorf("%w: %s", ErrStranger, st.Message())
	}
	return fmt.Errorf("connection lost: %s", st.Message())
}

// open exchanges hellos and calls Opened.
func (s *Stream) open() error {
	hello := s.transport.options.Hello()
	if len(hello) > maxHello {
		return fmt.Errorf("the hello of this node has %d bytes: at most %d", len(hello), maxHello)
	}
	late := time.AfterFunc(patience, func() { s.fail(errNoHello) })
	defer late.Stop()
	// What is wrong if it cannot be sent, receiving tells.
	s.link.SendMsg(&[][]byte{hello})
	var first [][]byte
	if err := s.link.RecvMsg(&first); err != nil {
		return s.because(err)
	}
	if len(first) != 1 || len(first[0]) > maxHello {
		return fmt.Errorf("%w: no hello of at most %d bytes came first", ErrStranger, maxHello)
	}
	s.mu.Lock()
	s.hello, s.up = first[0], s.cause == nil
	cause := s.cause
	s.mu.Unlock()
	if cause != nil {
		return cause
	}
	late.Stop()
	s.transport.options.Opened(s)
	return nil
}

// serve runs an open stream until it ends, and calls Closed.
func (s *Stream) serve() error {
	go s.write()
	err := s.receive()
	if err != nil {
		s.kill()
	}
	<-s.written
	s.mu.Lock()
	if s.closing != nil {
		s.closing.Stop()
	}
	s.mu.Unlock()
	s.transport.options.Closed(s, err)
	return err
}

// receive passes on frames until the stream ends and the writer has.
//
// A message without frames is the last of its sender, and the end that gets it
// closes too. The end that dialed, when it has said and got the last message,
// ends its half of the call; only then the other ends the call. So each knows
// that all it sent was received.
func (s *Stream) receive() error {
	defer close(s.ended)
	for {
		var frames [][]byte
		if err := s.link.RecvMsg(&frames); err != nil {
			return s.because(err)
		}
		if len(frames) == 0 {
			s.Close()
			<-s.written
			return s.finish()
		}
		for _, frame := range frames {
			s.transport.options.Received(s, frame)
		}
	}
}

// finish ends a call in which both ends sent their last message.
func (s *Stream) finish() error {
	if c, ok := s.link.(grpc.ClientStream); ok {
		c.CloseSend()
	}
	err := s.link.RecvMsg(new([][]byte))
	if err == io.EOF {
		return nil
	}
	return s.because(err)
}

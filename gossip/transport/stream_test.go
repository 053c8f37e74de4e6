package transport_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/edgecache/edgecache/gossip/transport"
)

func TestHello(t *testing.T) {
	a := start(t, transport.Options{Hello: []byte("from a")})
	b := start(t, transport.Options{Hello: []byte("from b")})
	dialed, accepted := connect(t, a, b)
	if got := string(dialed.Hello()); got != "from b" || !dialed.Dialed() {
		t.Errorf("the end that dialed: hello %q, dialed %v", got, dialed.Dialed())
	}
	if got := string(accepted.Hello()); got != "from a" || accepted.Dialed() {
		t.Errorf("the end that accepted: hello %q, dialed %v", got, accepted.Dialed())
	}
	if got, want := dialed.RemoteAddr().String(), b.Addr().String(); got != want {
		t.Errorf("remote address %s, want %s", got, want)
	}
}

func TestFramesArriveInOrderBothWays(t *testing.T) {
	const count = 10_000
	a, b := start(t, transport.Options{}), start(t, transport.Options{})
	dialed, accepted := connect(t, a, b)
	var senders sync.WaitGroup
	defer senders.Wait()
	// Each end takes part of the other's frames before it sends on, so no queue
	// overflows.
	exchange := func(s *transport.Stream, n *node) {
		for i := range count {
			if i >= 1000 {
				<-n.received
			}
			if !s.Send(binary.AppendUvarint(make([]byte, 100), uint64(i))) {
				t.Errorf("frame %d dropped", i)
			}
		}
	}
	got := func(n *node) *node { // counts what passes
		out := &node{received: make(chan []byte, count)}
		senders.Go(func() {
			for i := range count {
				frame := await(t, n.received)
				if v, _ := binary.Uvarint(frame[100:]); v != uint64(i) {
					t.Errorf("frame %d came as number %d", v, i)
				}
				out.received <- frame
			}
		})
		return out
	}
	ga, gb := got(a), got(b)
	senders.Go(func() { exchange(dialed, ga) })
	senders.Go(func() { exchange(accepted, gb) })
}

func TestBigAndEmptyFrames(t *testing.T) {
	var log bytes.Buffer
	a := start(t, transport.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	b := start(t, transport.Options{})
	s, _ := connect(t, a, b)
	big := bytes.Repeat([]byte("0123456789abcdef"), transport.MaxFrame/16)
	for range 2 {
		if s.Send(make([]byte, transport.MaxFrame+1)) {
			t.Error("a frame that is too long was taken")
		}
	}
	if n := strings.Count(log.String(), "too long"); n != 1 {
		t.Errorf("logged %d times, want once: %s", n, &log)
	}
	for _, frame := range [][]byte{{}, big, []byte("small"), {}} {
		if !s.Send(frame) {
			t.Fatalf("frame of %d bytes dropped", len(frame))
		}
		if got := await(t, b.received); !bytes.Equal(got, frame) {
			t.Fatalf("%d bytes came, want %d", len(got), len(frame))
		}
	}
}

func TestOverflow(t *testing.T) {
	for name, size := range map[string]int{"bytes": 64 << 10, "frames": 8} {
		t.Run(name, func(t *testing.T) {
			gate := make(chan struct{})
			got := make(chan uint32, 1<<20)
			a := start(t, transport.Options{})
			b := start(t, transport.Options{Received: func(_ *transport.Stream, frame []byte) {
				<-gate
				got <- binary.BigEndian.Uint32(frame)
			}})
			s, _ := connect(t, a, b)
			send := func(i uint32) bool { return s.Send(binary.BigEndian.AppendUint32(nil, i)) }
			if size > 4 {
				send = func(i uint32) bool {
					frame := make([]byte, size)
					binary.BigEndian.PutUint32(frame, i)
					return s.Send(frame)
				}
			}
			taken := uint32(0)
			for send(taken) {
				taken++
			}
			if len(a.overflowed) > 0 && len(got) < int(taken) {
				t.Error("Overflowed came before the queue drained")
			}
			close(gate)
			if await(t, a.overflowed) != s {
				t.Error("Overflowed of another stream")
			}
			if !send(taken) {
				t.Error("a frame was dropped after Overflowed")
			}
			for want := range taken + 1 {
				if v := await(t, got); v != want {
					t.Fatalf("frame %d came, want %d", v, want)
				}
			}
		})
	}
}

// Both ends get what was sent before either closed, and no error.
func TestCloseFromEitherEnd(t *testing.T) {
	const count = 1000
	closers := map[string]func(dialed, accepted *transport.Stream){
		"dialed":   func(dialed, _ *transport.Stream) { dialed.Close() },
		"accepted": func(_, accepted *transport.Stream) { accepted.Close() },
		"both":     func(dialed, accepted *transport.Stream) { dialed.Close(); accepted.Close() },
	}
	for name, closeIt := range closers {
		t.Run(name, func(t *testing.T) {
			a, b := start(t, transport.Options{}), start(t, transport.Options{})
			dialed, accepted := connect(t, a, b)
			for range count {
				dialed.Send(make([]byte, 1000))
				accepted.Send(make([]byte, 1000))
			}
			closeIt(dialed, accepted)
			for _, n := range []*node{a, b} {
				if err := await(t, n.closed); err != nil {
					t.Error("closed:", err)
				}
				if len(n.received) != count {
					t.Errorf("%d frames came before Closed, want %d", len(n.received), count)
				}
			}
			if dialed.Send(nil) || accepted.Send(nil) {
				t.Error("a closed stream takes frames")
			}
		})
	}
}

// A peer that takes nothing does not hold up Close for more than a second.
func TestCloseOfABlockedStream(t *testing.T) {
	gate := make(chan struct{})
	a := start(t, transport.Options{})
	b := start(t, transport.Options{Received: func(*transport.Stream, []byte) { <-gate }})
	s, _ := connect(t, a, b)
	for s.Send(make([]byte, 1<<20)) {
	}
	s.Close()
	if err := await(t, a.closed); err == nil {
		t.Error("closed without an error, though frames were lost")
	}
	close(gate)
	if err := await(t, b.closed); err == nil {
		t.Error("the peer closed without an error, though frames were lost")
	}
}

func TestCloseOfATransport(t *testing.T) {
	for _, name := range []string{"dialed", "accepted"} {
		t.Run(name, func(t *testing.T) {
			a, b := start(t, transport.Options{}), start(t, transport.Options{})
			dialed, accepted := connect(t, a, b)
			for range 1000 {
				dialed.Send(make([]byte, 1000))
				accepted.Send(make([]byte, 1000))
			}
			first := a
			if name == "accepted" {
				first = b
			}
			first.Close()
			if len(first.closed) != 1 {
				t.Error("Close returned before Closed")
			}
			for _, n := range []*node{a, b} {
				if err := await(t, n.closed); err != nil {
					t.Error("closed:", err)
				}
				if len(n.received) != 1000 {
					t.Errorf("%d frames came, want 1000; dialed end: %v", len(n.received), n == a)
				}
			}
			if err := first.Dial(context.Background(), b.Addr().String()); !errors.Is(err, transport.ErrClosed) {
				t.Errorf("dial of a closed transport: %v, want %v", err, transport.ErrClosed)
			}
			first.Close()
		})
	}
}

func TestCloseInOpened(t *testing.T) {
	a := start(t, transport.Options{})
	closed := make(chan error, 1)
	b, err := transport.New(transport.Options{
		Listen: "127.0.0.1:0",
		Opened: func(s *transport.Stream) { s.Send([]byte("last words")); s.Close() },
		Closed: func(_ *transport.Stream, err error) { closed <- err },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	if err := b.Dial(t.Context(), a.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if got := await(t, a.received); string(got) != "last words" {
		t.Errorf("received %q", got)
	}
	for _, c := range []chan error{a.closed, closed} {
		if err := await(t, c); err != nil {
			t.Error("closed:", err)
		}
	}
}

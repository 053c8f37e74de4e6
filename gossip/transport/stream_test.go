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
	"time"

	"github.com/edgecache/edgecache/gossip/transport"
)

func TestHello(t *testing.T) {
	a := start(t, transport.Options{Hello: hello("from a")})
	b := start(t, transport.Options{Hello: hello("from b")})
	dialed, accepted := connect(t, a, b)
	if got := string(dialed.Hello()); got != "from b" || !dialed.Dialed() {
		t.Errorf("the end that dialed: hello %q, dialed %v", got, dialed.Dialed())
	}
	if got := string(accepted.Hello()); got != "from a" || accepted.Dialed() {
		t.Errorf("the end that accepted: hello %q, dialed %v", got, accepted.Dialed())
	}
	want := b.Addr().String()
	if dialed.RemoteAddr().String() != want || dialed.Address() != want || accepted.Address() != "" {
		t.Errorf("addresses %s, %s, %q; want %s twice and none", dialed.RemoteAddr(), dialed.Address(), accepted.Address(), want)
	}
}

func hello(text string) func() []byte {
	return func() []byte { return []byte(text) }
}

func TestLongHello(t *testing.T) {
	long := start(t, transport.Options{Hello: hello(strings.Repeat("x", 16<<10+1))})
	other := start(t, transport.Options{})
	for _, err := range []error{dial(t, long, other.Addr().String()), dial(t, other, long.Addr().String())} {
		if err == nil || !strings.Contains(err.Error(), "at most 16384") {
			t.Errorf("dial: %v, want that the hello is too long", err)
		}
	}
	if len(long.opened)+len(other.opened) > 0 {
		t.Error("a stream was opened")
	}
}

func TestFramesArriveInOrderBothWays(t *testing.T) {
	const count = 10_000
	a, b := start(t, transport.Options{}), start(t, transport.Options{})
	dialed, accepted := connect(t, a, b)
	var work sync.WaitGroup
	defer work.Wait()
	for s, to := range map[*transport.Stream]*node{dialed: b, accepted: a} {
		window := make(chan struct{}, 1000) // frames under way, so that no queue overflows
		work.Go(func() {
			for i := range count {
				select {
				case window <- struct{}{}:
				case <-time.After(deadline):
					t.Error("no frame comes any more")
					return
				}
				if !s.Send(binary.BigEndian.AppendUint32(make([]byte, 100), uint32(i))) {
					t.Errorf("frame %d dropped", i)
				}
			}
		})
		work.Go(func() {
			for i := range count {
				select {
				case frame := <-to.received:
					if v := binary.BigEndian.Uint32(frame[100:]); v != uint32(i) {
						t.Errorf("frame %d came as number %d", v, i)
					}
					<-window
				case <-time.After(deadline):
					t.Errorf("frame %d did not come", i)
					return
				}
			}
		})
	}
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
	for _, c := range []struct {
		name       string
		size, room int // of a frame, of the queue in such frames
	}{{"frames", 1000, 4096}, {"bytes", 64 << 10, 256}} {
		t.Run(c.name, func(t *testing.T) {
			sent := 0
			send := func(s *transport.Stream) bool { // until the queue is full
				for s.Send(binary.BigEndian.AppendUint32(make([]byte, c.size-4), uint32(sent))) {
					sent++
				}
				return !s.Send(nil)
			}
			overflowed, calls := make(chan int, 2), 0
			a := start(t, transport.Options{Overflowed: func(s *transport.Stream) {
				before := sent
				if calls++; calls == 1 {
					send(s) // while the writer stands here: the whole queue is free
				}
				overflowed <- sent - before
			}})
			gate, got := make(chan struct{}), make(chan uint32, 1<<20)
			b := start(t, transport.Options{Received: func(_ *transport.Stream, frame []byte) {
				<-gate
				got <- binary.BigEndian.Uint32(frame[c.size-4:])
			}})
			s, _ := connect(t, a, b)
			if !send(s) || len(overflowed) > 0 {
				t.Error("the stream goes on before its queue drained")
			}
			close(gate)
			if room := await(t, overflowed); room != c.room {
				t.Errorf("%d frames were taken in Overflowed, want %d", room, c.room)
			}
			await(t, overflowed) // of what the first sent
			for want := range sent {
				if v := await(t, got); v != uint32(want) {
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
					t.Errorf("%d frames came, want 1000", len(n.received))
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

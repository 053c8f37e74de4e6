package transport

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/mem"
)

// A peer that was let in but says no hello is ended, and so is one that opens
// no stream.
func TestNoHello(t *testing.T) {
	t.Parallel()
	server, dialer := opened(t), opened(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	raw, err := dialer.connect(ctx, server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dialer.handshake(ctx, raw, true)
	if err != nil {
		t.Fatal(err)
	}
	client, err := newClient(raw, conn)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	link, err := client.NewStream(ctx, &service.Streams[0], method)
	if err != nil {
		t.Fatal(err)
	}
	idle, err := dialer.connect(ctx, server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	mute, err := dialer.handshake(ctx, idle, true)
	if err != nil {
		t.Fatal(err)
	}
	var frames [][]byte
	if err := link.RecvMsg(&frames); err != nil {
		t.Fatal("the other's hello:", err)
	}
	if err := link.RecvMsg(&frames); err == nil || ctx.Err() != nil {
		t.Errorf("without a hello: %v, want an error within %v", err, patience)
	}
	mute.SetReadDeadline(time.Now().Add(15 * time.Second))
	if _, err := io.Copy(io.Discard, mute); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Error("a connection without a stream stays open")
	}
}

func TestTooManyStreams(t *testing.T) {
	server, dialer := opened(t), opened(t)
	for range maxStreams {
		s := server.newStream(nil, "", func() {})
		if err := server.add(s); err != nil {
			t.Fatal(err)
		}
		defer server.remove(s)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := dialer.Dial(ctx, server.Addr().String()); err == nil || !strings.Contains(err.Error(), "at most 4096 streams") {
		t.Errorf("dial: %v, want that there are too many streams", err)
	}
	if err := server.add(server.newStream(nil, "x", func() {})); !errors.Is(err, ErrBusy) {
		t.Errorf("add: %v, want %v", err, ErrBusy)
	}
}

func opened(t *testing.T) *Transport {
	t.Helper()
	transport, err := New(Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := transport.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { transport.Close() })
	return transport
}

func FuzzCodec(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 3, 'a', 'b', 'c'})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var frames [][]byte
		if err := (codec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer(b)}, &frames); err != nil {
			return
		}
		again, err := codec{}.Marshal(&frames)
		if err != nil {
			t.Fatal(err)
		}
		var twice [][]byte
		if err := (codec{}).Unmarshal(again, &twice); err != nil || len(twice) != len(frames) {
			t.Fatalf("%d frames, then %d: %v", len(frames), len(twice), err)
		}
	})
}

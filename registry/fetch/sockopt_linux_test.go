package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/edgecache/edgecache/registry"
)

// full returns the address of a listener whose backlog is full: connecting to
// it hangs, as to an unplugged host.
func full(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", bound.(*unix.SockaddrInet4).Port)
	for range 8 {
		conn, err := net.DialTimeout("tcp", addr, 200*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Skip("this kernel accepts connections beyond a full backlog")
	return ""
}

func TestADialThatHangsEndsWithItsCaller(t *testing.T) {
	c, err := New(Options{Registry: "reg", Address: []string{"http://" + full(t)}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ended := make(chan struct{})
	under := c.transport.DialContext
	c.transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		defer close(ended)
		return under(ctx, network, addr)
	}
	began := time.Now()
	_, err = c.Get(t.Context(), Request{Path: "/", Timeout: 50 * time.Millisecond})
	var up *registry.UpstreamError
	if !errors.As(err, &up) || !up.Timeout {
		t.Fatalf("got %v, want a timeout", err)
	}
	<-ended
	if took := time.Since(began); took >= connectTimeout {
		t.Errorf("the dial went on for %s after its caller had gone", took)
	}
}

func TestConnectionsHaveAUserTimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := newTransport(nil).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var got int
	if ctlErr := raw.Control(func(fd uintptr) {
		got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	}); ctlErr != nil || err != nil {
		t.Skipf("this kernel does not tell the user timeout: %v %v", ctlErr, err)
	}
	if want := int(userTimeout.Milliseconds()); got != want {
		t.Errorf("got a user timeout of %d ms, want %d", got, want)
	}
}

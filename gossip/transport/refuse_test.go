package transport_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/edgecache/edgecache/gossip/transport"
)

// A sink collects log lines and can be waited for.
type sink struct{ lines chan string }

func newSink() *sink { return &sink{make(chan string, 1024)} }

func (s *sink) Write(b []byte) (int, error) {
	s.lines <- string(b)
	return len(b), nil
}

func (s *sink) logger() *slog.Logger { return slog.New(slog.NewTextHandler(s, nil)) }

func TestRefused(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	a, b, foreign := ours.files(t, t.TempDir()), ours.files(t, t.TempDir()), theirs.files(t, t.TempDir())
	type O = transport.Options
	for _, c := range []struct {
		name             string
		dialer, listener O
		want             error // nil: let in
	}{
		{"nothing on loopback", O{}, O{}, nil},
		{"one key", O{Keys: keys("k")}, O{Keys: keys("k")}, nil},
		{"another key", O{Keys: keys("k")}, O{Keys: keys("l")}, transport.ErrKeys},
		{"only the dialer has a key", O{Keys: keys("k")}, O{}, transport.ErrKeys},
		{"only the listener has a key", O{}, O{Keys: keys("k")}, transport.ErrKeys},
		{"one label", O{Label: "x"}, O{Label: "x"}, nil},
		{"another label", O{Label: "x"}, O{Label: "y"}, transport.ErrLabel},
		{"another label and key", O{Label: "x", Keys: keys("k")}, O{Keys: keys("l")}, transport.ErrLabel},
		{"files", O{TLS: a}, O{TLS: b}, nil},
		{"files and keys", O{TLS: a, Keys: keys("k")}, O{TLS: b, Keys: keys("l", "k")}, nil},
		{"files and another key", O{TLS: a, Keys: keys("k")}, O{TLS: b, Keys: keys("l")}, transport.ErrKeys},
		{"another CA", O{TLS: a}, O{TLS: foreign}, transport.ErrCertificate},
		{"only the dialer has files", O{TLS: a, Keys: keys("k")}, O{Keys: keys("k")}, transport.ErrCertificate},
		{"only the listener has files", O{Keys: keys("k")}, O{TLS: b, Keys: keys("k")}, transport.ErrCertificate},
	} {
		t.Run(c.name, func(t *testing.T) {
			dialerLog, listenerLog := newSink(), newSink()
			c.dialer.Logger, c.listener.Logger = dialerLog.logger(), listenerLog.logger()
			d, l := start(t, c.dialer), start(t, c.listener)
			err := dial(t, d, l.Addr().String())
			if !errors.Is(err, c.want) {
				t.Fatalf("dial: %v, want %v", err, c.want)
			}
			if c.want == nil {
				await(t, l.opened)
				return
			}
			for _, lines := range []chan string{dialerLog.lines, listenerLog.lines} {
				if line := await(t, lines); !strings.Contains(line, c.want.Error()) {
					t.Errorf("logged %q, want %q", line, c.want)
				}
			}
			dial(t, d, l.Addr().String())
			l.Close() // waits for the handshake's end
			if n := len(dialerLog.lines) + len(listenerLog.lines); n != 0 {
				t.Errorf("%d more lines were logged within a minute", n)
			}
		})
	}
}

// A certificate of another CA is noticed by the end that accepts, too.
func TestListenerVerifiesTheCertificate(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	listener := ours.files(t, t.TempDir())
	dialer := theirs.files(t, t.TempDir())
	dialer.CA = listener.CA // so the dialer believes the listener
	l := start(t, transport.Options{TLS: listener})
	err := dial(t, start(t, transport.Options{TLS: dialer}), l.Addr().String())
	if !errors.Is(err, transport.ErrCertificate) || !strings.Contains(err.Error(), "refuses ours") {
		t.Errorf("dial: %v, want one that says that the peer refuses the certificate", err)
	}
}

func TestRenewedFilesAreRead(t *testing.T) {
	old, renewed := newAuthority(t), newAuthority(t)
	dirs := []string{t.TempDir(), t.TempDir()}
	a := start(t, transport.Options{TLS: old.files(t, dirs[0])})
	b := start(t, transport.Options{TLS: old.files(t, dirs[1])})
	connect(t, a, b)
	files := renewed.files(t, dirs[0])
	if err := dial(t, a, b.Addr().String()); !errors.Is(err, transport.ErrCertificate) {
		t.Fatalf("with files of two CAs: %v, want %v", err, transport.ErrCertificate)
	}
	renewed.files(t, dirs[1])
	connect(t, a, b)
	if err := os.WriteFile(files.Cert, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	connect(t, a, b)
}

func TestKeyRotation(t *testing.T) {
	var mu sync.Mutex
	rings := [2]func() [][]byte{keys("a"), keys("a")}
	ring := func(i int) func() [][]byte {
		return func() [][]byte {
			mu.Lock()
			defer mu.Unlock()
			return rings[i]()
		}
	}
	first := start(t, transport.Options{Keys: ring(0)})
	second := start(t, transport.Options{Keys: ring(1)})
	for _, step := range [][]string{{"a"}, {"a", "b"}, {"b", "a"}, {"b"}} {
		for i := range rings { // one node is ahead of the other
			mu.Lock()
			rings[i] = keys(step...)
			mu.Unlock()
			connect(t, first, second)
			connect(t, second, first)
		}
	}
	stranger := start(t, transport.Options{Keys: keys("a")})
	if err := dial(t, stranger, first.Addr().String()); !errors.Is(err, transport.ErrKeys) {
		t.Errorf("with the removed key: %v, want %v", err, transport.ErrKeys)
	}
}

// Whoever ends the TLS session of both nodes can pass on everything, and is
// refused by both.
func TestManInTheMiddle(t *testing.T) {
	log := newSink()
	a := start(t, transport.Options{Keys: keys("k")})
	b := start(t, transport.Options{Keys: keys("k"), Logger: log.logger()})
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	config := &tls.Config{
		Certificates: server.TLS.Certificates, InsecureSkipVerify: true, NextProtos: []string{"edgecache-peer/1"},
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	var relay sync.WaitGroup
	defer relay.Wait()
	defer listener.Close()
	relay.Go(func() {
		from, err := listener.Accept()
		if err != nil {
			return
		}
		defer from.Close()
		to, err := tls.Dial("tcp", b.Addr().String(), config)
		if err != nil {
			t.Error(err)
			return
		}
		relay.Go(func() { io.Copy(to, from); to.Close() })
		io.Copy(from, to)
	})
	defer b.Close()
	defer a.Close()
	if err := dial(t, a, listener.Addr().String()); !errors.Is(err, transport.ErrKeys) {
		t.Fatalf("dial: %v, want %v", err, transport.ErrKeys)
	}
	if line := await(t, log.lines); !strings.Contains(line, transport.ErrKeys.Error()) {
		t.Errorf("logged %q", line)
	}
}

func TestDialOfStrangers(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	secure.StartTLS()
	defer secure.Close()
	silent := listen(t)
	n := start(t, transport.Options{})
	for name, address := range map[string]string{
		"plain HTTP": plain.Listener.Addr().String(),
		"HTTPS":      secure.Listener.Addr().String(),
		"silent":     silent.Addr().String(),
	} {
		if err := dial(t, n, address); !errors.Is(err, transport.ErrStranger) {
			t.Errorf("%s: %v, want %v", name, err, transport.ErrStranger)
		}
	}
	dead := listen(t)
	dead.Close()
	if err := dial(t, n, dead.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dead port: %v, want %v", err, syscall.ECONNREFUSED)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := n.Dial(ctx, silent.Addr().String()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a deadline: %v, want %v", err, context.DeadlineExceeded)
	}
}

// Close ends a dial and a handshake that are under way.
func TestCloseDuringHandshakes(t *testing.T) {
	silent := listen(t)
	n := start(t, transport.Options{})
	result := make(chan error, 1)
	go func() { result <- n.Dial(context.Background(), silent.Addr().String()) }()
	dialed, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer dialed.Close()
	mute, err := net.Dial("tcp", n.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	began := time.Now()
	n.Close()
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("Close took %v", took)
	}
	if err := await(t, result); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("dial: %v, want %v", err, transport.ErrClosed)
	}
}

func TestStrangersThatDial(t *testing.T) {
	log := newSink()
	n := start(t, transport.Options{Logger: log.logger()})
	conn, err := net.Dial("tcp", n.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if line := await(t, log.lines); !strings.Contains(line, "does not speak TLS") {
		t.Errorf("logged %q", line)
	}
	if b, _ := io.ReadAll(conn); bytes.Contains(b, []byte("HTTP")) {
		t.Errorf("answered %q", b)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	n := start(t, transport.Options{})
	conn, err := tls.Dial("tcp", n.Addr().String(), &tls.Config{
		InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, NextProtos: []string{"edgecache-peer/1"},
	})
	if err == nil {
		conn.Close()
		t.Error("TLS 1.2 was let in")
	}
}

func TestOffLoopback(t *testing.T) {
	for _, address := range []string{":0", "0.0.0.0:0", "192.0.2.1:7946", "[::]:0", "node.example:7946"} {
		_, err := transport.New(transport.Options{Listen: address})
		if !errors.Is(err, transport.ErrUnprotected) {
			t.Errorf("listen %s: %v, want %v", address, err, transport.ErrUnprotected)
		}
		for _, o := range []transport.Options{{Keys: keys("k")}, {Insecure: true}} {
			o.Listen = address
			if _, err := transport.New(o); err != nil {
				t.Errorf("listen %s: %v", address, err)
			}
		}
	}
	n := start(t, transport.Options{})
	if err := dial(t, n, "192.0.2.1:7946"); !errors.Is(err, transport.ErrUnprotected) {
		t.Errorf("dial: %v, want %v", err, transport.ErrUnprotected)
	}
}

func TestOptionsAreValidated(t *testing.T) {
	for _, o := range []transport.Options{
		{Listen: "no port"},
		{Listen: "127.0.0.1:0", Label: strings.Repeat("x", 256)},
		{Listen: "127.0.0.1:0", TLS: transport.TLS{Cert: "cert"}},
		{Listen: "127.0.0.1:0", TLS: transport.TLS{Cert: "no", Key: "such", CA: "files"}},
	} {
		if _, err := transport.New(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

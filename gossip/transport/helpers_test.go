package transport_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/edgecache/edgecache/gossip/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const deadline = 20 * time.Second

// A node is a transport whose calls can be awaited.
type node struct {
	*transport.Transport
	opened     chan *transport.Stream
	received   chan []byte
	overflowed chan *transport.Stream
	closed     chan error
}

// start opens a transport on a free port of the loopback.
func start(t *testing.T, o transport.Options) *node {
	t.Helper()
	n := &node{
		opened:     make(chan *transport.Stream, 64),
		received:   make(chan []byte, 1<<16),
		overflowed: make(chan *transport.Stream, 64),
		closed:     make(chan error, 64),
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	o.Opened = func(s *transport.Stream) { n.opened <- s }
	if o.Overflowed == nil {
		o.Overflowed = func(s *transport.Stream) { n.overflowed <- s }
	}
	o.Closed = func(_ *transport.Stream, err error) { n.closed <- err }
	if o.Received == nil {
		o.Received = func(_ *transport.Stream, frame []byte) { n.received <- frame }
	}
	var err error
	if n.Transport, err = transport.New(o); err != nil {
		t.Fatal(err)
	}
	if err := n.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// connect opens a stream from a to b and returns both ends.
func connect(t *testing.T, a, b *node) (dialed, accepted *transport.Stream) {
	t.Helper()
	if err := dial(t, a, b.Addr().String()); err != nil {
		t.Fatal(err)
	}
	return await(t, a.opened), await(t, b.opened)
}

func dial(t *testing.T, n *node, address string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	return n.Dial(ctx, address)
}

func await[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(deadline):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func keys(keys ...string) func() [][]byte {
	return func() (out [][]byte) {
		for _, k := range keys {
			out = append(out, []byte(k))
		}
		return out
	}
}

// An authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
		NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

// files writes a new certificate of the authority into a directory.
func (a *authority) files(t *testing.T, dir string) transport.TLS {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	files := transport.TLS{Cert: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key"), CA: filepath.Join(dir, "ca")}
	for file, block := range map[string]*pem.Block{
		files.Cert: {Type: "CERTIFICATE", Bytes: cert},
		files.Key:  {Type: "EC PRIVATE KEY", Bytes: private},
		files.CA:   {Type: "CERTIFICATE", Bytes: a.cert.Raw},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"sync"
	"time"
)

// protocol is agreed on in the TLS handshake, so that another server, or
// another version of what follows, is recognised there.
const protocol = "edgecache-peer/1"

// certificates hold what a node shows of itself and whom it believes.
type certificates struct {
	files  TLS
	logger *slog.Logger

	mu    sync.Mutex // protects the fields below
	stamp [3]fileStamp
	cert  tls.Certificate
	cas   *x509.CertPool // nil: anybody's certificate will do
}

type fileStamp struct {
	modified time.Time
	size     int64
}

func newCertificates(files TLS, logger *slog.Logger) (*certificates, error) {
	c := &certificates{files: files, logger: logger}
	var err error
	if files == (TLS{}) {
		c.cert, err = selfSigned()
		return c, err
	}
	c.stamp = files.stamp()
	c.cert, c.cas, err = files.load()
	return c, err
}

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	// Nobody looks at the dates: the certificate ends with the process.
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().AddDate(100, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

func (f TLS) load() (tls.Certificate, *x509.CertPool, error) {
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return pair, nil, fmt.Errorf("tls: cert %s, key %s: %w", f.Cert, f.Key, err)
	}
	pem, err := os.ReadFile(f.CA)
	if err != nil {
		return pair, nil, fmt.Errorf("tls: ca: %w", err)
	}
	cas := x509.NewCertPool()
	if !cas.AppendCertsFromPEM(pem) {
		return pair, nil, fmt.Errorf("tls: ca %s: no PEM certificate found", f.CA)
	}
	return pair, cas, nil
}

func (f TLS) stamp() (stamp [3]fileStamp) {
	for i, file := range []string{f.Cert, f.Key, f.CA} {
		if info, err := os.Stat(file); err == nil {
			stamp[i] = fileStamp{info.ModTime(), info.Size()}
		}
	}
	return stamp
}

// current returns what the files hold, or the last that could be used.
func (c *certificates) current() (tls.Certificate, *x509.CertPool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.files == (TLS{}) {
		return c.cert, c.cas
	}
	// The stamp is older than what is read, so a file still being written is
	// read again.
	stamp := c.files.stamp()
	if stamp == c.stamp {
		return c.cert, c.cas
	}
	c.stamp = stamp
	cert, cas, err := c.files.load()
	if err != nil {
		c.logger.Warn("peer certificate changed but cannot be used; keeping the old one", "error", err)
		return c.cert, c.cas
	}
	c.cert, c.cas = cert, cas
	c.logger.Info("peer certificate reloaded", "cert", c.files.Cert)
	return c.cert, c.cas
}

// config returns the configuration of one handshake.
func (c *certificates) config() *tls.Config {
	cert, cas := c.current()
	config := &tls.Config{
		MinVersion:   tls.VersionTLS13,
		NextProtos:   []string{protocol},
		Certificates: []tls.Certificate{cert},
		// A resumed session would skip the check against a CA replaced since.
		SessionTicketsDisabled: true,
		InsecureSkipVerify:     true, // of host names; VerifyConnection checks the rest
	}
	if cas == nil {
		return config
	}
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, cas
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.VerifiedChains) > 0 {
			return nil // a client's, checked against ClientCAs
		}
		return verifyServer(state.PeerCertificates, cas)
	}
	return config
}

func verifyServer(chain []*x509.Certificate, cas *x509.CertPool) error {
	if len(chain) == 0 {
		return errors.New("tls: the peer has no certificate")
	}
	options := x509.VerifyOptions{Roots: cas, Intermediates: x509.NewCertPool()}
	for _, cert := range chain[1:] {
		options.Intermediates.AddCert(cert)
	}
	_, err := chain[0].Verify(options) // for server use, unless said otherwise
	return err
}

package http

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// certCheck is how often a handshake looks whether certificate files changed.
const certCheck = 10 * time.Second

// A certReloader gives each TLS handshake the newest good certificate. A file
// that is missing, half written or mismatched keeps the old one.
type certReloader struct {
	options TLSOptions
	logger  *slog.Logger
	current atomic.Pointer[tls.Config]
	next    atomic.Int64 // Unix ns of the next look at the files

	mu    sync.Mutex // serialises reloads; protects stamp
	stamp [3]fileStamp
}

type fileStamp struct {
	modified int64
	size     int64
}

// tlsConfig loads the certificate and, with client_ca, the authorities whose
// client certificates it then requires.
func tlsConfig(o TLSOptions, logger *slog.Logger) (*certReloader, error) {
	r := &certReloader{options: o, logger: logger}
	if err := r.reload(); err != nil {
		return nil, err
	}
	return r, nil
}

// config returns the configuration of a listener.
func (r *certReloader) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			r.checkFiles(time.Now())
			return r.current.Load(), nil
		},
	}
}

// reload reads the files again. On an error what was loaded before stays.
func (r *certReloader) reload() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reloadLocked()
}

func (r *certReloader) reloadLocked() error {
	stamp := r.stampFiles()
	c, err := loadTLS(r.options)
	if err != nil {
		return err
	}
	r.stamp = stamp
	r.current.Store(c)
	return nil
}

// checkFiles reloads at most every certCheck and only if a file changed, so
// that a renewed certificate is served without a word from the operator.
func (r *certReloader) checkFiles(now time.Time) {
	next := r.next.Load()
	if now.UnixNano() < next || !r.next.CompareAndSwap(next, now.Add(certCheck).UnixNano()) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stampFiles() == r.stamp {
		return
	}
	if err := r.reloadLocked(); err != nil {
		r.logger.Warn("certificate changed but cannot be used; serving the old one", "cert", r.options.Cert, "error", err)
		return
	}
	r.logger.Info("certificate reloaded", "cert", r.options.Cert)
}

func (r *certReloader) stampFiles() (stamp [3]fileStamp) {
	for i, file := range []string{r.options.Cert, r.options.Key, r.options.ClientCA} {
		if file == "" {
			continue
		}
		if info, err := os.Stat(file); err == nil {
			stamp[i] = fileStamp{info.ModTime().UnixNano(), info.Size()}
		}
	}
	return stamp
}

func loadTLS(o TLSOptions) (*tls.Config, error) {
	if o.Cert == "" || o.Key == "" {
		return nil, errors.New("tls: cert and key are both needed")
	}
	pair, err := tls.LoadX509KeyPair(o.Cert, o.Key)
	if err != nil {
		return nil, fmt.Errorf("tls: cert %s, key %s: %w", o.Cert, o.Key, err)
	}
	c := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"http/1.1"},
		Certificates: []tls.Certificate{pair},
	}
	if o.ClientCA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(o.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("tls: client_ca: %w", err)
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("tls: client_ca %s: no PEM certificate found", o.ClientCA)
	}
	c.ClientAuth = tls.RequireAndVerifyClientCert
	// A resumed session would skip the check against authorities that were
	// replaced since.
	c.SessionTicketsDisabled = true
	return c, nil
}

package fetch_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/edgecache/edgecache/registry/fetch"
)

// An authority issues certificates into a directory.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir(), pool: x509.NewCertPool()}
	a.issue("ca", true)
	a.pool.AddCert(a.cert)
	return a
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// issue writes name.pem and name.key for 127.0.0.1 and registry.test.
func (a *authority) issue(name string, ca bool) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{"registry.test"},
	}
	parent, signer := a.cert, a.key
	if ca {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	a.must(err)
	if ca {
		a.key = key
		a.cert, err = x509.ParseCertificate(der)
		a.must(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	a.must(err)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret})
	a.must(os.WriteFile(a.file(name+".pem"), certPEM, 0o600))
	a.must(os.WriteFile(a.file(name+".key"), keyPEM, 0o600))
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	a.must(err)
	return pair
}

func (a *authority) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// serveTLS asks for a client certificate and answers its name and the protocol.
func (a *authority) serveTLS() *httptest.Server {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.TLS.PeerCertificates[0].Subject.CommonName + " " + r.Proto))
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{a.issue("server", false)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.pool}
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are meant
	s.StartTLS()
	a.t.Cleanup(s.Close)
	return s
}

func TestTLSWithOwnCAAndClientCertificate(t *testing.T) {
	a := newAuthority(t)
	s := a.serveTLS()
	a.issue("one", false)
	settings := fetch.TLS{CA: a.file("ca.pem"), Cert: a.file("one.pem"), Key: a.file("one.key"), ServerName: "registry.test"}
	c := client(t, fetch.Options{Address: []string{s.URL}, TLS: settings})
	resp, err := get(t, c, fetch.Request{Path: "/"})
	if err != nil || string(resp.Body) != "one HTTP/2.0" {
		t.Fatalf("got %+v, %v", resp, err)
	}

	t.Run("a renewed certificate is used by the next connection", func(t *testing.T) {
		a.issue("two", false)
		a.must(os.Rename(a.file("two.pem"), a.file("one.pem")))
		a.must(os.Rename(a.file("two.key"), a.file("one.key")))
		s.CloseClientConnections()
		deadline := time.Now().Add(10 * time.Second)
		for {
			resp, err := get(t, c, fetch.Request{Path: "/"})
			if err == nil && string(resp.Body) == "two HTTP/2.0" {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("got %+v, %v", resp, err)
			}
		}
	})
	for name, change := range map[string]func(*fetch.TLS){
		"an unknown CA":            func(s *fetch.TLS) { s.CA = "" },
		"no client certificate":    func(s *fetch.TLS) { s.Cert, s.Key = "", "" },
		"another name than wanted": func(s *fetch.TLS) { s.ServerName = "other.test" },
	} {
		t.Run(name+" is an upstream error", func(t *testing.T) {
			bad := settings
			change(&bad)
			resp, err := get(t, client(t, fetch.Options{Address: []string{s.URL}, TLS: bad}), fetch.Request{Path: "/"})
			if up := upstream(t, resp, err); up.Harmless || up.Timeout {
				t.Errorf("got %+v", up)
			}
		})
	}
}

func TestAHandshakeThatHangsIsATimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	c := client(t, fetch.Options{Address: []string{"https://" + l.Addr().String()}})
	resp, err := c.Get(ctx, fetch.Request{Path: "/"})
	if up := upstream(t, resp, err); !up.Timeout {
		t.Errorf("got %+v, want a timeout", up)
	}
}

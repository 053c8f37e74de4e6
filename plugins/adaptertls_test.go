package plugins_test

import (
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
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgecache/edgecache/plugins"
	"github.com/edgecache/edgecache/registry"
)

// An authority issues certificates for 127.0.0.1.
type authority struct {
	pem  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	a.cert = &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	issued := a.issue(t, a.cert)
	a.key = issued.PrivateKey.(*ecdsa.PrivateKey)
	a.pem = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issued.Certificate[0]}))
	var err error
	if a.cert, err = x509.ParseCertificate(issued.Certificate[0]); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) issue(t *testing.T, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	signer := a.key
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// serve answers requests over TLS, as 127.0.0.1.
func (a *authority) serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{a.issue(t, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})}}
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that end are meant
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

func TestHTTPSOfAnAuthorityOfTheOperators(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	o := echoOptions(ours.serve(t, empty))
	const unknown = "UNAVAILABLE: GET https://127.0.0.1:"
	fails(t, openEcho(t, o, plugins.HostOptions{}), "web", "guest", unknown)
	o.TLS.CA = writing(t, "ca.pem", theirs.pem)
	fails(t, openEcho(t, o, plugins.HostOptions{}), "web", "guest", "certificate signed by unknown authority")
	for _, text := range [...]string{ours.pem, theirs.pem + ours.pem} {
		o.TLS.CA = writing(t, "ca.pem", text)
		if _, err := openEcho(t, o, plugins.HostOptions{}).Lookup(t.Context(), "web", nil); err != nil {
			t.Error(err)
		}
	}
	o.Config["url"], o.Allow = theirs.serve(t, empty), registry.Strings{"https://127.0.0.1:1"}
	o.Allow = append(o.Allow, o.Config["url"].(string))
	o.TLS.CA = writing(t, "ca.pem", ours.pem)
	fails(t, openEcho(t, o, plugins.HostOptions{}), "web", "guest", "certificate signed by unknown authority")
}

// A renewed file is read when the adapter is reloaded, though its module is the
// same.
func TestAuthoritiesAreReadAgain(t *testing.T) {
	ours := newAuthority(t)
	h := adapterHost(t, plugins.HostOptions{})
	defer h.Close()
	o := echoOptions(ours.serve(t, empty))
	o.TLS.CA = writing(t, "ca.pem", newAuthority(t).pem)
	a, err := h.OpenAdapter(o)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	fails(t, a, "web", "guest", "certificate signed by unknown authority")
	overwrite(t, o.TLS.CA, "nothing")
	if err := h.Reload("echo"); err == nil || !strings.Contains(err.Error(), "tls.ca: "+o.TLS.CA+" holds no PEM certificate") {
		t.Error(err)
	}
	overwrite(t, o.TLS.CA, ours.pem)
	if err := h.Reload("echo"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Lookup(t.Context(), "web", nil); err != nil || a.Status().Generation != 2 {
		t.Errorf("%v, status %+v", err, a.Status())
	}
}

func TestFilesThatHoldNoAuthority(t *testing.T) {
	for path, want := range map[string]string{
		filepath.Join(t.TempDir(), "none.pem"): "no such file or directory",
		writing(t, "text.pem", "no PEM"):       "holds no PEM certificate",
		writing(t, "empty.pem", ""):            "holds no PEM certificate",
		writing(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}}))): "holds no PEM certificate",
	} {
		o := echoOptions("https://127.0.0.1:1")
		o.TLS.CA = path
		if err := o.Validate(); err == nil || !strings.HasPrefix(err.Error(), "tls.ca: ") || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

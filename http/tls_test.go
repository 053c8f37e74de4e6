package http_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	nethttp "net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/edgecache/edgecache/http"
)

// An authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{}
	a.cert, a.key = a.sign(t, name)
	return a
}

// sign makes a certificate and its key; the first one signs itself.
func (a *authority) sign(t *testing.T, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// pair returns a certificate that the authority signed.
func (a *authority) pair(t *testing.T, name string) tls.Certificate {
	t.Helper()
	cert, key := a.sign(t, name)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// write puts a new certificate of that name into the files of o.
func (a *authority) write(t *testing.T, o http.TLSOptions, name string) {
	t.Helper()
	cert, key := a.sign(t, name)
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, o.Key, "EC PRIVATE KEY", der)
	writePEM(t, o.Cert, "CERTIFICATE", cert.Raw)
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func tlsFiles(t *testing.T) http.TLSOptions {
	dir := t.TempDir()
	return http.TLSOptions{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
}

// peer returns the name in the certificate that the server shows.
func peer(t *testing.T, url string, c *tls.Config) (string, error) {
	t.Helper()
	client := &nethttp.Client{Transport: &nethttp.Transport{TLSClientConfig: c, DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("status %d over TLS, want 200", resp.StatusCode)
	}
	return resp.TLS.PeerCertificates[0].Subject.CommonName, nil
}

func TestReloadServesTheNewCertificateAndKeepsTheOldOnABadFile(t *testing.T) {
	ca, files := newAuthority(t, "ca"), tlsFiles(t)
	ca.write(t, files, "first")
	var o http.Options
	var a http.AdminOptions
	srv := openServer(t, newContractNode(), func(oo *http.Options, aa *http.AdminOptions) {
		oo.TLS, aa.TLS = files, files
		o, a = *oo, *aa
	})
	trust := &tls.Config{RootCAs: ca.pool()}
	shown := func() string {
		t.Helper()
		name, err := peer(t, "https://"+srv.AdminAddr()+"/healthz", trust)
		if err != nil {
			t.Fatal(err)
		}
		if data, err := peer(t, "https://"+srv.Addr()+"/healthz", trust); err != nil || data != name {
			t.Errorf("the data port shows %q, %v; the admin port %q", data, err, name)
		}
		return name
	}
	if got := shown(); got != "first" {
		t.Fatalf("certificate %q, want first", got)
	}
	if err := os.WriteFile(files.Cert, []byte("half a certifi"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := srv.SetLive(o, a); err == nil {
		t.Error("a reload with a bad certificate succeeded")
	}
	if got := shown(); got != "first" {
		t.Errorf("after a bad file: certificate %q, want first", got)
	}
	ca.write(t, files, "second")
	if err := srv.SetLive(o, a); err != nil {
		t.Fatal(err)
	}
	if got := shown(); got != "second" {
		t.Errorf("after the reload: certificate %q, want second", got)
	}
}

func TestClientCARequiresItsCertificates(t *testing.T) {
	ca, clients, files := newAuthority(t, "ca"), newAuthority(t, "clients"), tlsFiles(t)
	ca.write(t, files, "node")
	files.ClientCA = filepath.Join(filepath.Dir(files.Cert), "clients.pem")
	writePEM(t, files.ClientCA, "CERTIFICATE", clients.cert.Raw)
	srv := openServer(t, newContractNode(), func(_ *http.Options, a *http.AdminOptions) { a.TLS = files })
	url := "https://" + srv.AdminAddr() + "/v1/status"
	with := func(pairs ...tls.Certificate) error {
		_, err := peer(t, url, &tls.Config{RootCAs: ca.pool(), Certificates: pairs})
		return err
	}
	if err := with(clients.pair(t, "cli")); err != nil {
		t.Errorf("with a certificate of client_ca: %v", err)
	}
	if with() == nil {
		t.Error("without a certificate: answered")
	}
	if with(ca.pair(t, "cli")) == nil {
		t.Error("with a certificate of another authority: answered")
	}
}

func TestOldTLSVersionsAreRefused(t *testing.T) {
	ca, files := newAuthority(t, "ca"), tlsFiles(t)
	ca.write(t, files, "node")
	srv := openServer(t, newContractNode(), func(_ *http.Options, a *http.AdminOptions) { a.TLS = files })
	for version, ok := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		c := &tls.Config{RootCAs: ca.pool(), MinVersion: version, MaxVersion: version}
		if _, err := peer(t, "https://"+srv.AdminAddr()+"/healthz", c); (err == nil) != ok {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
}

func TestOpenNeedsAGoodCertificate(t *testing.T) {
	var files http.TLSOptions
	for name, prepare := range map[string]func(){
		"missing": func() {},
		"garbage": func() {
			for _, f := range []string{files.Cert, files.Key} {
				if err := os.WriteFile(f, []byte("garbage"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		},
		"another key": func() {
			ca := newAuthority(t, "ca")
			ca.write(t, files, "a")
			cert, err := os.ReadFile(files.Cert)
			if err != nil {
				t.Fatal(err)
			}
			ca.write(t, files, "b")
			if err := os.WriteFile(files.Cert, cert, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"no authority": func() {
			newAuthority(t, "ca").write(t, files, "a")
			files.ClientCA = files.Key
		},
	} {
		files = tlsFiles(t)
		prepare()
		o, a := http.Defaults(), http.AdminDefaults()
		o.Listen, a.Listen, a.TLS = "127.0.0.1:0", "127.0.0.1:0", files
		srv, err := http.New(o, a, newContractNode().deps())
		if err == nil {
			err = srv.Open()
			_ = srv.Close()
		}
		if err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

package http

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A certificate that is renewed in place is served without a reload, once the
// files are looked at again.
func TestHandshakeSeesARenewedCertificate(t *testing.T) {
	dir := t.TempDir()
	o := TLSOptions{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	writePair(t, o, 1)
	r, err := tlsConfig(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	serial := func() int64 {
		c, err := r.config().GetConfigForClient(nil)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(c.Certificates[0].Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return leaf.SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Fatalf("serial %d, want 1", got)
	}
	if err := os.WriteFile(o.Cert, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.checkFiles(time.Now().Add(2 * certCheck))
	if got := serial(); got != 1 {
		t.Errorf("with a bad file: serial %d, want the old one, 1", got)
	}
	writePair(t, o, 22)
	r.checkFiles(time.Now().Add(2*certCheck + certCheck/2))
	if got := serial(); got != 1 {
		t.Errorf("before it is time to look: serial %d, want 1", got)
	}
	r.checkFiles(time.Now().Add(4 * certCheck))
	if got := serial(); got != 22 {
		t.Errorf("serial %d, want 22", got)
	}
}

func writePair(t *testing.T, o TLSOptions, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{o.Cert: {Type: "CERTIFICATE", Bytes: cert}, o.Key: {Type: "EC PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

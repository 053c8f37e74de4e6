package plugins_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgecache/edgecache/plugins"
)

func TestWhoMayVouchForAModule(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, stranger, _ := ed25519.GenerateKey(nil)
	o := options(map[string]any{"strict": true})
	binary, err := os.ReadFile(o.Plugin)
	if err != nil {
		t.Fatal(err)
	}
	m, err := plugins.Load(o.Plugin, o.Manifest, "")
	if err != nil {
		t.Fatal(err)
	}
	key := base64.StdEncoding.EncodeToString(public)
	for _, c := range []struct {
		what, require string
		trust         []string
		pin           bool
		sig           []byte // nil: none
		want          string // "": it runs
	}{
		{"nothing is asked", "none", nil, false, nil, ""},
		{"a signature nobody looks at", "none", nil, false, []byte("anything"), ""},
		{"a digest is asked", "digest", nil, false, nil, "plugins.require is digest"},
		{"a digest is given", "digest", nil, true, nil, ""},
		{"a signature does, too", "digest", []string{key}, false, ed25519.Sign(private, binary), ""},
		{"a signature is asked", "signature", []string{key}, true, nil, "plugins.require is signature"},
		{"signed", "signature", []string{key}, false, ed25519.Sign(private, binary), ""},
		{"signed, in base64", "signature", []string{key}, false, []byte(base64.StdEncoding.EncodeToString(ed25519.Sign(private, binary)) + "\n"), ""},
		{"signed by a stranger", "signature", []string{key}, true, ed25519.Sign(stranger, binary), "no key of plugins.trust made this signature"},
		{"a signature of other bytes", "none", []string{key}, true, ed25519.Sign(private, binary[1:]), "no key of plugins.trust made this signature"},
		{"no signature at all", "none", []string{key}, false, []byte("signed: me"), "an ed25519 signature, 64 bytes or those in base64, expected"},
	} {
		t.Run(c.what, func(t *testing.T) {
			o := o
			o.Plugin = filepath.Join(t.TempDir(), "zone.wasm")
			if err := os.WriteFile(o.Plugin, binary, 0o600); err != nil {
				t.Fatal(err)
			}
			if c.sig != nil {
				if err := os.WriteFile(o.Plugin+".sig", c.sig, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if c.pin {
				o.SHA256 = m.SHA256
			}
			h, err := plugins.NewHost([]plugins.FilterOptions{o}, plugins.HostOptions{Options: plugins.Options{Trust: c.trust, Require: c.require}})
			if err == nil {
				h.Close()
			}
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestMistakesInOptionsOfPlugins(t *testing.T) {
	for want, o := range map[string]plugins.Options{
		`require: "all": none, digest or signature expected`: {Require: "all"},
		"require: signature needs keys to trust":             {Require: "signature"},
		`trust[0]: "x": an ed25519 public key`:               {Require: "none", Trust: []string{"x"}},
	} {
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if o := plugins.Defaults(); o.Validate() != nil {
		t.Error(o.Validate())
	}
}

package plugins

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

func publicKey(text string) (ed25519.PublicKey, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%q: an ed25519 public key, 32 bytes in base64, expected", text)
	}
	return b, nil
}

// signatureSuffix is that of the file beside a module that has the signature of
// its bytes, in base64 or as it is.
const signatureSuffix = ".sig"

// vouch returns an error unless somebody vouches for a module as required. A
// signature that is there must be good, whatever is required.
func (o *Options) vouch(path string, binary []byte, pinned bool) error {
	signed, err := o.signed(path+signatureSuffix, binary)
	switch {
	case err != nil:
		return err
	case o.Require == "signature" && !signed:
		return fmt.Errorf("plugins.require is signature, and %s is not there", path+signatureSuffix)
	case o.Require == "digest" && !signed && !pinned:
		return errors.New("plugins.require is digest: a sha256 of the module in the configuration, or a signature, expected")
	}
	return nil
}

// signed reports whether a trusted key signed the module. Without keys nobody's
// signature says anything.
func (o *Options) signed(path string, binary []byte) (bool, error) {
	text, err := os.ReadFile(path)
	if len(o.Trust) == 0 || errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	signature := text
	if len(text) != ed25519.SignatureSize {
		if signature, err = base64.StdEncoding.DecodeString(strings.TrimSpace(string(text))); err != nil || len(signature) != ed25519.SignatureSize {
			return false, fmt.Errorf("%s: an ed25519 signature, 64 bytes or those in base64, expected", path)
		}
	}
	for _, text := range o.Trust {
		if key, err := publicKey(text); err == nil && ed25519.Verify(key, binary, signature) {
			return true, nil
		}
	}
	return false, fmt.Errorf("%s: no key of plugins.trust made this signature of these bytes", path)
}

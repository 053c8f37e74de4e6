package http

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/edgecache/edgecache/registry"
)

// A tokenSet says which bearer tokens are valid and what they may do. Its
// zero value holds none, which leaves the port open. A reload replaces all
// tokens at once.
type tokenSet struct {
	entries atomic.Pointer[[]tokenEntry]
}

type tokenEntry struct {
	name       string
	sum        [sha256.Size]byte
	scopes     []string
	registries []string // of scope invalidate; nil: all
}

// anyone is who asks on a port without tokens.
var anyone = &tokenEntry{name: "anonymous", scopes: []string{scopeAdmin}}

// replace swaps all tokens for valid ones. On an error the old ones stay.
func (t *tokenSet) replace(tokens []Token) error {
	entries := make([]tokenEntry, len(tokens))
	for i, token := range tokens {
		e := &entries[i]
		e.name, e.scopes, e.registries = token.Name, slices.Clone(token.Scopes), slices.Clone(token.Registries)
		sum, err := hex.DecodeString(token.SHA256)
		if err != nil || len(sum) != len(e.sum) {
			return fmt.Errorf("token %s: sha256: %d hexadecimal digits expected", token.Name, 2*len(e.sum))
		}
		copy(e.sum[:], sum)
	}
	t.entries.Store(&entries)
	return nil
}

// check returns who an Authorization header names. Without tokens it is
// anyone, who may do all. The time it takes does not tell how much of a wrong
// token was right, nor which token matched.
func (t *tokenSet) check(header []byte) (*tokenEntry, bool) {
	p := t.entries.Load()
	if p == nil || len(*p) == 0 {
		return anyone, true
	}
	const scheme = "bearer "
	if len(header) <= len(scheme) || !bytes.EqualFold(header[:len(scheme)], []byte(scheme)) {
		return nil, false
	}
	sum := sha256.Sum256(bytes.TrimSpace(header[len(scheme):]))
	var found *tokenEntry
	for i := range *p {
		if subtle.ConstantTimeCompare(sum[:], (*p)[i].sum[:]) == 1 {
			found = &(*p)[i]
		}
	}
	return found, found != nil
}

// allows reports whether the token has the scope, or one of several with
// spaces between; "" needs none.
func (e *tokenEntry) allows(scope string) bool {
	if scope == "" || slices.Contains(e.scopes, scopeAdmin) {
		return true
	}
	for s := range strings.FieldsSeq(scope) {
		if slices.Contains(e.scopes, s) {
			return true
		}
	}
	return false
}

// reaches returns an error if the selectors cover anything outside of the
// registries the token is limited to.
func (e *tokenEntry) reaches(selectors []registry.Selector) error {
	if len(e.registries) == 0 {
		return nil
	}
	for _, s := range selectors {
		switch {
		case s.Key.Registry == "":
			return fmt.Errorf("token %s is limited to the registries %v; a selector names none and so covers all: set its registry", e.name, e.registries)
		case !slices.Contains(e.registries, s.Key.Registry):
			return fmt.Errorf("token %s is limited to the registries %v and cannot reach %q", e.name, e.registries, s.Key.Registry)
		}
	}
	return nil
}

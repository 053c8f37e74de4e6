package store

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/edgecache/edgecache/registry"
)

// testKeys returns a key of each family, and of each kind.
func testKeys() [][]byte {
	k := registry.Key{Registry: "consul", Name: "team/web"}
	keys := [][]byte{
		appendKey(nil, familyEntry, k), appendKey(nil, familyConfirmed, k), appendKey(nil, familyMark, k),
		appendExpiryKey(nil, 1767268800250, k), appendListKey(nil, 1767268800250, 1<<40),
		appendJournalKey(nil, 1, 2, 3), appendEpochKey(nil, 1, 2),
		appendIdentityKey(nil, "consul"), appendNumberKey(nil, numberPosition),
	}
	for _, wide := range testWide() {
		keys = append(keys, appendGenerationKey(nil, wide))
	}
	return keys
}

func testWide() []registry.Selector {
	in := registry.Key{Registry: "consul"}
	return []registry.Selector{
		{Tag: "payments"}, {Key: in, Tag: "payments"}, {Prefix: "team/"}, {Key: in, Prefix: "team/"}, {Key: in}, {All: true},
	}
}

func quote(b []byte) string { return fmt.Sprintf("%q", b) }

// keyAgain parses a key and builds it again; false if it does not parse.
func keyAgain(b []byte) ([]byte, bool) {
	switch b[0] {
	case familyEntry, familyConfirmed, familyMark:
		k, err := parseKey(b[1:])
		return appendKey(nil, b[0], k), err == nil
	case familyExpiry:
		expires, k, err := parseExpiryKey(b)
		return appendExpiryKey(nil, expires, k), err == nil
	case familyGeneration:
		wide, err := parseGenerationKey(b)
		return appendGenerationKey(nil, wide), err == nil
	case familyJournal:
		id, seq, err := parseJournalKey(b)
		return appendJournalKey(nil, id.origin, id.epoch, seq), err == nil
	case familyEpoch:
		id, err := parseEpochKey(b)
		return appendEpochKey(nil, id.origin, id.epoch), err == nil
	}
	return nil, false
}

func TestKeysComeBackAsTheyWere(t *testing.T) {
	for _, key := range testKeys() {
		if key[0] == familyIdentity || key[0] == familyNumber {
			continue // text, which is not parsed
		}
		if got, ok := keyAgain(key); !ok || !bytes.Equal(got, key) {
			t.Errorf("%q read and built again: %q, %v", key, got, ok)
		}
	}
	for _, wide := range testWide() {
		if got, err := parseGenerationKey(appendGenerationKey(nil, wide)); err != nil || got != wide {
			t.Errorf("generation of %+v is read as %+v, %v", wide, got, err)
		}
	}
}

func TestKeysOfNumbersAreInOrder(t *testing.T) {
	k := testKey("web")
	keys := [][]byte{
		appendExpiryKey(nil, -5, k), appendExpiryKey(nil, 255, k), appendExpiryKey(nil, 256, k), appendExpiryKey(nil, 1<<40, k),
	}
	if !slices.IsSortedFunc(keys, bytes.Compare) {
		t.Errorf("keys of times are not in their order: %q", keys)
	}
	keys = [][]byte{appendJournalKey(nil, 1, 9, 255), appendJournalKey(nil, 1, 9, 256), appendJournalKey(nil, 1, 10, 1), appendJournalKey(nil, 2, 1, 1)}
	if !slices.IsSortedFunc(keys, bytes.Compare) {
		t.Errorf("keys of the journal are not in their order: %q", keys)
	}
}

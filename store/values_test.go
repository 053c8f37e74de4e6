package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/edgecache/edgecache/registry"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// A form is a family's values: their golden bytes, and a parser that returns
// what it read in binary form again.
type form struct {
	golden string
	value  []byte
	again  func(value []byte) ([]byte, error)
}

func forms() map[string]form {
	e := stored("web", "web-1", 890211220766725, 1<<40)
	c := confirmed(e, 1<<41)
	c.Empties, c.Mode = 2, registry.ModeVerify
	p := positions{registry.ModeSoft: 7, registry.ModeHard: 1 << 40}
	raw := registry.AppendInvalidation(nil, &registry.Invalidation{
		Origin: 1, Epoch: 2, Seq: 3, Mode: registry.ModeHard, Selectors: []registry.Selector{{Tag: "payments"}}, At: 4,
	})
	epoch := epochState{EpochState{Start: 5, Last: 1 << 20, Hard: 3, Count: 1<<20 - 4, Newest: 9}, 1 << 40}
	return map[string]form{
		"stored":    {"stored.v1", appendStored(nil, e), again(parseStored, appendPlain)},
		"confirmed": {"confirmed.v1", appendConfirmed(nil, &c), againValue(parseConfirmed, appendConfirmed)},
		"list": {"list.v1", appendList(nil, []expiry{{key: testKey("web")}, {key: testKey("api")}}), func(value []byte) ([]byte, error) {
			keys, err := parseList(value)
			list := make([]expiry, len(keys))
			for i, k := range keys {
				list[i].key = k
			}
			return appendList(nil, list), err
		}},
		"positions": {"positions.v1", p.append(nil), againValue(parsePositions, func(dst []byte, p *positions) []byte { return p.append(dst) })},
		"record": {"record.v1", appendRecord(nil, 1<<40, raw), func(value []byte) ([]byte, error) {
			position, raw, err := parseRecord(value)
			return appendRecord(nil, position, raw), err
		}},
		"epoch": {"epoch.v2", appendEpoch(nil, &epoch), againValue(parseEpoch, appendEpoch)},
		"identity": {"identity.v1", appendIdentity(nil, "http://consul:8500"), func(value []byte) ([]byte, error) {
			identity, err := parseIdentity(value)
			return appendIdentity(nil, identity), err
		}},
		"number": {"number.v1", appendNumber(nil, 1<<40), func(value []byte) ([]byte, error) {
			n, err := parseNumber(value)
			return appendNumber(nil, n), err
		}},
	}
}

func again[T any](parse func([]byte) (*T, error), write func([]byte, *T) []byte) func([]byte) ([]byte, error) {
	return func(value []byte) ([]byte, error) {
		v, err := parse(value)
		if err != nil {
			return nil, err
		}
		return write(nil, v), nil
	}
}

// appendPlain appends a stored entry in the form that it has if it is small.
func appendPlain(dst []byte, e *registry.Stored) []byte {
	return registry.AppendEntry(appendStoredHead(dst, storedPlain, e), &e.Entry)
}

// large returns an entry that is packed when it is stored.
func large(instances int) *registry.Stored {
	e := stored("web", "web-0", 890211220766725, 1<<40)
	rec := &registry.Record{Key: e.Key, Document: []byte(strings.Repeat("a document of the registry, ", instances))}
	for i := range instances {
		rec.Instances = append(rec.Instances, registry.Instance{ID: fmt.Sprintf("web-%d", i), Zone: "eu-1a", Endpoints: []registry.Endpoint{{Address: "10.0.0.1", Port: 8080}}})
	}
	rec.Seal(7)
	e.Record = rec
	return e
}

func againValue[T any](parse func([]byte) (T, error), write func([]byte, *T) []byte) func([]byte) ([]byte, error) {
	return again(func(value []byte) (*T, error) { v, err := parse(value); return &v, err }, write)
}

func TestValuesAreGolden(t *testing.T) {
	for name, f := range forms() {
		path := filepath.Join("testdata", f.golden)
		if *update {
			if err := os.WriteFile(path, f.value, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(f.value, want) {
			t.Errorf("%s differs; run with -update if that is meant\n got: %q\nwant: %q", path, f.value, want)
		}
		if got, err := f.again(want); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s read and written again: %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestAnEpochOfVersion1MayHaveBeenHardToItsEnd(t *testing.T) {
	value, err := os.ReadFile(filepath.Join("testdata", "epoch.v1"))
	if err != nil {
		t.Fatal(err)
	}
	want := epochState{EpochState{Start: 5, Last: 1 << 20, Hard: 3, Count: 1<<20 - 4, Newest: 1 << 20}, 1 << 40}
	if got, err := parseEpoch(value); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

func TestAPackedEntryIsReadWhateverPackedIt(t *testing.T) {
	e := large(20)
	path := filepath.Join("testdata", "stored.v2") // compressors differ: it is read only
	if *update {
		if err := os.WriteFile(path, appendStored(nil, e), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	value, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	plain := appendPlain(nil, e)
	if value[0] != storedPacked || 2*len(value) > len(plain) {
		t.Fatalf("version %d, %d bytes of %d", value[0], len(value), len(plain))
	}
	for _, value := range [][]byte{value, appendStored(nil, e), plain} {
		got, err := parseStored(value)
		if err != nil || !bytes.Equal(appendPlain(nil, got), plain) {
			t.Errorf("%+v, %v; want %+v", got, err, e)
		}
	}
}

func TestABlockThatLiesAboutItsSizeIsRefused(t *testing.T) {
	head := appendStoredHead(nil, storedPacked, large(1))
	for name, block := range map[string][]byte{
		"more than memory": binary.AppendUvarint(nil, 1<<40), "too much": append(binary.AppendUvarint(nil, mostPacked+1), 0),
		"cut short": binary.AppendUvarint(nil, 600), "nothing": nil,
	} {
		if got, err := parseStored(append(bytes.Clone(head), block...)); !errors.Is(err, errUnreadable) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	whole := appendStored(nil, large(20))
	for n := range whole {
		if got, err := parseStored(whole[:n]); !errors.Is(err, errUnreadable) {
			t.Fatalf("the first %d of %d bytes: %+v, %v", n, len(whole), got, err)
		}
	}
}

func TestKeysAreGolden(t *testing.T) {
	var got strings.Builder
	for _, key := range testKeys() {
		got.WriteString(quote(key) + "\n")
	}
	path := filepath.Join("testdata", "keys.v1")
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("%s differs; run with -update if that is meant\n got: %s\nwant: %s", path, got.String(), want)
	}
}

func TestNewerValuesAreRefused(t *testing.T) {
	for name, f := range forms() {
		newer := bytes.Clone(f.value)
		newer[0] += 2 // there may be two forms
		if _, err := f.again(newer); !errors.Is(err, errUnreadable) || !strings.Contains(err.Error(), fmt.Sprintf("version %d", newer[0])) {
			t.Errorf("%s of version %d: %v; want an error that says so", name, newer[0], err)
		}
	}
}

func TestValuesCutShortAreRefused(t *testing.T) {
	for name, f := range forms() {
		for n := range f.value {
			got, err := f.again(f.value[:n])
			if err == nil && !bytes.Equal(got, f.value[:n]) {
				t.Errorf("%s cut to %d bytes is read as something else", name, n)
			}
			fixed := name != "record" && name != "identity" // which end with the rest
			if fixed && !errors.Is(err, errUnreadable) {
				t.Errorf("%s cut to %d bytes: %v, want an error", name, n, err)
			}
			if _, err := f.again(append(bytes.Clone(f.value), 0)); fixed && err == nil {
				t.Errorf("%s is read with a byte behind it", name)
			}
		}
	}
}

func TestStoredEntriesComeBackAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := stored("web", strings.Repeat(rapid.String().Draw(t, "instance"), rapid.IntRange(1, 100).Draw(t, "times")), rapid.Uint64().Draw(t, "index"), rapid.Uint64().Draw(t, "began"))
		if rapid.Bool().Draw(t, "absent") {
			e.Record = nil
		}
		e.Verified, e.Empties = rapid.Int64().Draw(t, "verified"), rapid.Uint8().Draw(t, "empties")
		e.Mode = registry.Mode(rapid.IntRange(0, 3).Draw(t, "mode"))
		e.Used, e.Expires = rapid.Int64().Draw(t, "used"), rapid.Int64().Draw(t, "expires")
		got, err := parseStored(appendStored(nil, e))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(appendPlain(nil, got), appendPlain(nil, e)) {
			t.Errorf("got %+v, want %+v", got, e)
		}
		c := registry.Confirmed{
			Index: rapid.Uint64().Draw(t, "confirmed index"), Began: e.Began, Verified: e.Verified, Empties: e.Empties,
			Mode: e.Mode, Used: e.Used, Expires: e.Expires,
		}
		if got, err := parseConfirmed(appendConfirmed(nil, &c)); err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("got %+v, %v; want %+v", got, err, c)
		}
	})
}

func FuzzStored(f *testing.F)    { fuzzForm(f, "stored") }
func FuzzConfirmed(f *testing.F) { fuzzForm(f, "confirmed") }
func FuzzList(f *testing.F)      { fuzzForm(f, "list") }
func FuzzPositions(f *testing.F) { fuzzForm(f, "positions") }
func FuzzRecord(f *testing.F)    { fuzzForm(f, "record") }
func FuzzEpoch(f *testing.F)     { fuzzForm(f, "epoch") }
func FuzzIdentity(f *testing.F)  { fuzzForm(f, "identity") }
func FuzzNumber(f *testing.F)    { fuzzForm(f, "number") }

// fuzzForm checks that a value that is read has no other form: a parser that
// drops or invents something would write something else.
func fuzzForm(f *testing.F, name string) {
	form := forms()[name]
	f.Add(form.value)
	if name == "stored" {
		f.Add(appendStored(nil, large(20)))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		got, err := form.again(value)
		if err != nil {
			if !errors.Is(err, errUnreadable) {
				t.Errorf("%q: %v does not match errUnreadable", value, err)
			}
			return
		}
		if !bytes.Equal(got, value) && !oldForm(name, value) {
			t.Errorf("%q is written as %q", value, got)
		}
	})
}

// oldForm reports whether a value is in an older form, or a stored one is packed
// or has its entry in an older form: these are read but not written.
func oldForm(name string, value []byte) bool {
	switch name {
	case "epoch":
		return value[0] < epochVersion
	case "stored":
	default:
		return false
	}
	if value[0] == storedPacked {
		return true
	}
	rest := value[1:]
	for range 2 {
		_, n := binary.Varint(rest)
		rest = rest[n:]
	}
	return rest[0] == 1
}

func FuzzKeys(f *testing.F) {
	for _, key := range testKeys() {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		if got, ok := keyAgain(b); ok && !bytes.Equal(got, b) {
			t.Errorf("key %q is written as %q", b, got)
		}
	})
}

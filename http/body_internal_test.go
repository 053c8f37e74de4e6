package http

import (
	"encoding/json"
	"testing"

	"github.com/edgecache/edgecache/registry"
)

// FuzzSelectorBody: whatever is accepted is JSON and selects something, and no
// selector is wider than what was asked.
func FuzzSelectorBody(f *testing.F) {
	for _, seed := range []string{
		`{"all":true}`, `{"registry":"consul"}`, `{"services":[{"name":"a/b","registry":"file"}],"timeout":"2s"}`,
		`{"tags":["a"],"prefixes":["b"],"registry":"file"}`, `{"services":[{"name":"a","name":"b"}]}`, `{"all":tru}`, `[]`, `{"a":{"b":[`, "{\"tags\":[\"\\ud800\"]}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var b selectorBody
		if decodeObject(body, "", b.fields()) != nil {
			return
		}
		if !json.Valid(body) {
			t.Errorf("accepted what is not JSON: %q", body)
		}
		list, err := b.selectors([]string{"consul", "file"})
		if err != nil {
			return
		}
		if len(list) == 0 || len(list) > maxSelectors {
			t.Errorf("%q: %d selectors", body, len(list))
		}
		for _, s := range list {
			if b.Registry != "" && s.Key.Registry != b.Registry {
				t.Errorf("%q: %+v lies outside of %s", body, s, b.Registry)
			}
			if s == (registry.Selector{}) || s.All && !b.All {
				t.Errorf("%q: %+v was not asked for", body, s)
			}
		}
	})
}

// FuzzEntriesCursor: a cursor that is accepted is the one its key gives.
func FuzzEntriesCursor(f *testing.F) {
	f.Add(entriesCursor(registry.Key{Registry: "consul", Name: "web"}))
	f.Add("")
	f.Add("YQBi")
	f.Add("YQ\nBi")
	f.Fuzz(func(t *testing.T, cursor string) {
		k, err := parseEntriesCursor(cursor)
		if err == nil && entriesCursor(k) != cursor {
			t.Errorf("%q is taken for %q", cursor, entriesCursor(k))
		}
	})
}

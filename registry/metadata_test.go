package registry_test

import (
	"maps"
	"testing"

	"pgregory.net/rapid"

	"github.com/edgecache/edgecache/registry"
)

func TestMetadataHoldWhatTheMapHeld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.MapOfN(text, text, 0, 12).Draw(t, "map")
		m := registry.MetadataOf(want)
		if !m.Sorted() || len(m) != len(want) || (m == nil) != (len(want) == 0) {
			t.Fatalf("%q of the map %q", m, want)
		}
		if got := maps.Collect(m.All()); !maps.Equal(got, want) {
			t.Fatalf("All gives %q, want %q", got, want)
		}
		for key, value := range want {
			if got, found := m.Get(key); !found || got != value {
				t.Fatalf("%q is %q, %v, want %q", key, got, found, value)
			}
		}
		absent := text.Draw(t, "absent")
		if _, there := want[absent]; !there {
			if got, found := m.Get(absent); found || got != "" {
				t.Fatalf("%q is %q, want none", absent, got)
			}
		}
	})
}

func TestMetadataOutOfOrderAreNoticed(t *testing.T) {
	for _, m := range []registry.Metadata{{{"b", ""}, {"a", ""}}, {{"a", "1"}, {"a", "2"}}} {
		if m.Sorted() {
			t.Errorf("%q counts as sorted", m)
		}
	}
	for range (registry.Metadata{{"a", ""}, {"b", ""}}).All() {
		break // must end it
	}
}

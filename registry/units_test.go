package registry_test

import (
	"errors"
	"testing"

	"github.com/edgecache/edgecache/registry"
)

func TestSizes(t *testing.T) {
	for text, want := range map[string]string{
		"256MiB": "256MiB", "1024KiB": "1MiB", "1.5 GiB": "1536MiB", "0": "0", "0B": "0", "1000B": "1000B", "2TiB": "2TiB",
	} {
		var size registry.Size
		if err := size.UnmarshalText([]byte(text)); err != nil || size.String() != want {
			t.Errorf("size %q reads as %s, %v, want %s", text, size, err, want)
		}
	}
	for _, text := range []string{"", "1", "1MB", "-1B", "NaNB", "InfGiB", "1e30TiB", "MiB"} {
		size := registry.Size(5)
		if err := size.UnmarshalText([]byte(text)); err == nil || size != 5 {
			t.Errorf("size %q reads as %s, want an error", text, size)
		}
	}
}

func TestShares(t *testing.T) {
	for text, want := range map[string]string{"5%": "5%", "0%": "0%", " 100 % ": "100%", "0.1%": "0.1%", "33.3333%": "33.3333%"} {
		var share registry.Share
		if err := share.UnmarshalText([]byte(text)); err != nil || share.String() != want {
			t.Errorf("share %q reads as %s, %v, want %s", text, share, err, want)
		}
	}
	for _, text := range []string{"", "5", "-1%", "101%", "NaN%", "%"} {
		share := registry.Share(0.5)
		if err := share.UnmarshalText([]byte(text)); err == nil || share != 0.5 {
			t.Errorf("share %q reads as %s, want an error", text, share)
		}
	}
}

func TestStringsAreOneOrMany(t *testing.T) {
	yaml := func(value any) func(any) error {
		return func(dst any) error {
			switch dst := dst.(type) {
			case *string:
				if s, ok := value.(string); ok {
					*dst = s
					return nil
				}
			case *[]string:
				if list, ok := value.([]string); ok {
					*dst = list
					return nil
				}
			}
			return errors.New("another type")
		}
	}
	for _, value := range []any{"a", []string{"a"}} {
		var got registry.Strings
		if err := got.UnmarshalYAML(yaml(value)); err != nil || len(got) != 1 || got[0] != "a" {
			t.Errorf("%v reads as %v, %v", value, got, err)
		}
	}
	var got registry.Strings
	if err := got.UnmarshalYAML(yaml(7)); err == nil {
		t.Error("a number reads as strings")
	}
}

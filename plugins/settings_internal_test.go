package plugins

import (
	"strings"
	"testing"
)

func TestWhatAPointerFindsInTheConfiguration(t *testing.T) {
	const text = `{"":"nobody","a/b":{"m~n":[1,{"x":null}]},"n":1.50,"on":true,"s":"l\u00fcne\n","z":[]}`
	s, err := readSettings([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for pointer, want := range map[string]string{
		"": text, "/": "nobody", "/a~1b": `{"m~n":[1,{"x":null}]}`, "/a~1b/m~0n": `[1,{"x":null}]`, "/a~1b/m~0n/1": `{"x":null}`,
		"/a~1b/m~0n/1/x": "null", "/n": "1.50", "/on": "true", "/s": "lüne\n", "/z": "[]",
	} {
		if found, code := s.at(pointer); code != codeOK || string(found.text) != want {
			t.Errorf("%q: %+v, code %d, want %s", pointer, found, code, want)
		}
	}
	for pointer, want := range map[string]int{"a": codeInvalid, "/a": codeNotFound, "/z/0": codeNotFound, "/a~1b/m~0n/-1": codeNotFound, "/n/0": codeNotFound} {
		if found, code := s.at(pointer); code != want {
			t.Errorf("%q: %+v, code %d, want %d", pointer, found, code, want)
		}
	}
}

// What a guest asks for is there; it is not made at each call.
func TestReadingTheConfigurationIsNoWork(t *testing.T) {
	s, err := readSettings([]byte(`{"list":["` + strings.Repeat(`x","`, 10_000) + `"],"object":{"a":1}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, pointer := range []string{"", "/list", "/list/9", "/object"} {
		if n := testing.AllocsPerRun(10, func() { s.at(pointer) }); n > 20 {
			t.Errorf("%q: %v allocations", pointer, n)
		}
	}
}

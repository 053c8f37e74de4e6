//go:build !wasip1

package edgecache

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

type fields struct {
	s    string
	b    bool
	i    int
	n    int64
	p    uint16
	f    float64
	list []string
}

func (v *fields) read(p *JSON) error {
	return p.Fields("s", &v.s, "b", &v.b, "i", &v.i, "n", &v.n, "p", &v.p, "f", &v.f, "list", &v.list)
}

func TestFields(t *testing.T) {
	const all = `{"list": ["x", "y"], "f": 1.5, "p":65535 ,"n":-9223372036854775808,"\u0069":12,"b":true,"s":"\u00e4","more":{"s":[1]}}`
	for name, p := range map[string]*JSON{"at once": NewJSON(strings.NewReader(all)), "bit by bit": NewJSON(iotest.OneByteReader(strings.NewReader(all)))} {
		var v fields
		if err := errors.Join(v.read(p), p.End()); err != nil || fmt.Sprint(v) != "{ä true 12 -9223372036854775808 65535 1.5 [x y]}" {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
	v := fields{s: "old", p: 7}
	if err := v.read(NewJSON(strings.NewReader(`{"s":null,"i":0}`))); err != nil || v.s != "old" || v.p != 7 {
		t.Errorf("what was not said: %+v, %v", v, err)
	}
}

func TestFieldsOfAWrongType(t *testing.T) {
	for document, want := range map[string]string{
		`{"s":1,"p":2}`:              "s: a string expected, found a number",
		`{"b":"x"}`:                  "b: true or false expected, found a string",
		`{"p":65536}`:                "p: a whole number from 0 to 65535 expected, found 65536",
		`{"p":-1}`:                   "p: a whole number from 0 to 65535 expected, found -1",
		`{"i":1.5}`:                  "i: a whole number expected, found 1.5",
		`{"i":01}`:                   "i: no JSON at byte 6: a value expected",
		`{"n":9223372036854775808}`:  "n: a whole number expected, found 9223372036854775808",
		`{"list":["a",2],"s":"yes"}`: "list[1]: a string expected, found a number",
		`[]`:                         "an object expected, found a list",
		`{"s":"x"`:                   "the answer ends too early",
		`{"s":"x",}`:                 "no JSON at byte 10: a member's name expected",
		`{"more":{"x":tru}}`:         "more: no JSON at byte 14: a value expected",
	} {
		var v fields
		if err := v.read(NewJSON(strings.NewReader(document))); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", document, err, want)
		}
	}
	p := NewJSON(strings.NewReader(`[{"s":1,"p":2},{"s":"x","p":3}]`))
	var ports []uint16
	err := p.Array(func(int) error {
		var v fields
		err := v.read(p)
		ports = append(ports, v.p)
		return err
	})
	if !slices.Equal(ports, []uint16{2, 3}) || err == nil || err.Error() != "[0].s: a string expected, found a number" {
		t.Errorf("it reads %v, %v", ports, err)
	}
	if err := NewJSON(strings.NewReader(`{"x":1}`)).Fields("x", new(int8)); !errors.Is(err, ErrInternal) {
		t.Errorf("a variable of no such type: %v", err)
	}
}

func TestAnAnswersReaderEndsWithIt(t *testing.T) {
	during(t, []Exchange{{Request: "GET http://r.test/", Answer: `["a","b"]`}}, func() {
		first, _ := NewRequest("GET", "http://r.test/").Send()
		old := first.JSON()
		if list, err := old.Strings(); err != nil || !slices.Equal(list, []string{"a", "b"}) {
			t.Errorf("first: %q, %v", list, err)
		}
		first.Close()
		second, _ := NewRequest("GET", "http://r.test/").Send()
		defer second.Close()
		p := second.JSON()
		if p.Kind() != '[' || old.Kind() != 0 {
			t.Error("a reader goes on after its answer was closed")
		}
		if _, err := old.String(); !errors.Is(err, ErrClosed) {
			t.Errorf("it reads %v", err)
		}
		if list, err := p.Strings(); err != nil || !slices.Equal(list, []string{"a", "b"}) {
			t.Errorf("second: %q, %v", list, err)
		}
	})
}

func TestEscape(t *testing.T) {
	for text, want := range map[string]string{"": "", "aZ09-._~@": "aZ09-._~@", "a/b c": "a%2Fb%20c", "\x00é%": "%00%C3%A9%25"} {
		if got := Escape(text); got != want {
			t.Errorf("Escape(%q) = %s, want %s", text, got, want)
		}
	}
}

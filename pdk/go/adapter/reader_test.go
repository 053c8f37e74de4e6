//go:build !wasip1

package edgecache

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// anything reads a value as encoding/json does.
func anything(p *JSON) (v any, err error) {
	switch p.Kind() {
	case '{':
		m := map[string]any{}
		err = p.Object(func(key string) error {
			v, err := anything(p)
			m[key] = v
			return err
		})
		return m, err
	case '[':
		list := []any{}
		err = p.Array(func(int) error {
			v, err := anything(p)
			list = append(list, v)
			return err
		})
		return list, err
	case '"':
		return p.String()
	case 't', 'f':
		return p.Bool()
	case 'n':
		return nil, p.Skip()
	}
	return p.Float()
}

var documents = []string{
	`{}`, `[]`, `""`, `0`, `-0.5e+3`, ` true `, `false`, `null`, `{"a":{"b":[1,2,{"c":"d"}]},"e":[],"f":{}}`, "[1 ,\n2\t]", `"\u00e4\ud83d\ude00\n\"\\\/\b\f\r\t"`,
	`"\ud83d"`, `"\ud83dx"`, `"\ud83d\u0041"`, "\"\xff\xfe\"", `{"\u0061":1}`, `[1e5,1E-5,12.50]`,
	``, ` `, `{`, `[`, `"`, `"a`, `tru`, `nul`, `-`, `1.`, `01`, `1e`, `.5`, `+1`, `[1,]`, `[,1]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{a:1}`, `{1:2}`, `[1 2]`, `{"a":1 "b":2}`, `]`, `}`,
	`[}`, `{]`, `"\x"`, `"\u12g4"`, `"\u12"`, "\"\n\"", "\"\x00\"", `truefalse`, `nullx`, `1 2`, `{} {}`, `[]]`, `NaN`, `'a'`, `<html>`, `1-2`, "\xef\xbb\xbf{}", `[1e999]`,
}

// agrees compares with encoding/json.
func agrees(t *testing.T, document []byte) {
	t.Helper()
	depth, most := 0, 0
	for _, c := range document { // roughly
		switch c {
		case '{', '[':
			depth++
			most = max(most, depth)
		case '}', ']':
			depth--
		}
	}
	if most >= maxDepth {
		return
	}
	p := NewJSON(iotest.OneByteReader(bytes.NewReader(document)))
	err := errors.Join(p.Skip(), p.End())
	if (err == nil) != json.Valid(document) {
		t.Errorf("Skip of %q: %v", document, err)
	}
	p = NewJSON(bytes.NewReader(document))
	raw, err := p.Raw()
	if err = errors.Join(err, p.End()); err == nil && string(raw) != strings.Trim(string(document), " \t\r\n") || (err == nil) != json.Valid(document) {
		t.Errorf("Raw of %q: %q, %v", document, raw, err)
	}
	p = NewJSON(iotest.HalfReader(bytes.NewReader(document)))
	got, err := anything(p)
	err = errors.Join(err, p.End())
	var want any
	wanted := json.Unmarshal(document, &want)
	if (err == nil) != (wanted == nil) {
		t.Errorf("%q: %v, and encoding/json says %v", document, err, wanted)
	}
	if err == nil && fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
		t.Errorf("%q is %#v, want %#v", document, got, want)
	}
}

func TestItReadsWhatEncodingJSONReads(t *testing.T) {
	for _, document := range documents {
		agrees(t, []byte(document))
	}
	agrees(t, []byte(`["`+strings.Repeat("x", 100_000)+`",{"`+strings.Repeat("k", 50_000)+`":1`+strings.Repeat("0", 200)+`}]`))
}

func FuzzJSON(f *testing.F) {
	for _, document := range documents {
		f.Add([]byte(document))
	}
	f.Fuzz(func(t *testing.T, document []byte) { agrees(t, document) })
}

// listed reads a list of objects, and returns what it saw.
func listed(document string) (string, error) {
	p := NewJSON(strings.NewReader(document))
	var seen strings.Builder
	err := p.Object(func(key string) error {
		if key != "list" {
			return nil // which is skipped
		}
		return p.Array(func(int) error {
			return p.Object(func(key string) error {
				switch key {
				case "n":
					n, err := p.Int()
					if n == 13 {
						return Unexpected("another number expected, found %d", n)
					}
					fmt.Fprint(&seen, n, " ")
					return err
				case "t":
					text, err := p.Text()
					seen.WriteString(text + " ")
					return err
				case "stop":
					return ErrDenied
				case "unread":
					return Unexpected("nothing expected")
				}
				return nil
			})
		})
	})
	return seen.String(), err
}

func TestErrorsSayWhere(t *testing.T) {
	for document, want := range map[string]string{
		`{"list":[{"n":1},{"n":"x","t":2.5},{"t":true,"x":[{}]},{"t":null}],"other":{}}`: "1 0 2.5 true  list[1].n: a number expected, found a string",
		`{"list":[{"n":1.5},{"n":[1]},5]}`:                                               "0 0 list[0].n: a whole number expected, found 1.5",
		`{"list":[{"n":13,"t":"a"},{"n":{}},{"n":1}]}`:                                   "a 0 1 list[0].n: another number expected, found 13",
		`{"list":[{"unread":[1],"n":2}]}`:                                                "2 list[0].unread: nothing expected",
		`{"list":{"a":[1]},"x":1}`:                                                       "list: a list expected, found an object",
		`[1]`:                                                                            "an object expected, found a list",
		`{"list":[{"n":1,"t":{}},{"stop":1},{"n":1}]}`:                                   "1  denied",
		`{"list":[{"n":1},{"n":2]}`:                                                      `1 2 list[1]: no JSON at byte 24: "," or "}" expected`,
		`{"list":[{"n":1},{"n":}`:                                                        `1 0 list[1].n: no JSON at byte 23: a value expected`,
		`{"list":[{"n":1},{"n":5`:                                                        "1 5 list[1]: the answer ends too early",
		`{"list":[{"t":"hal`:                                                             " list[0].t: the answer ends too early",
		`<html>`:                                                                         "no JSON at byte 1: a value expected",
		``:                                                                               "the answer ends too early",
	} {
		seen, err := listed(document)
		if got := fmt.Sprintf("%s%v", seen, err); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", document, got, want)
		}
	}
}

func TestErrorsOfReading(t *testing.T) {
	p := NewJSON(io.MultiReader(strings.NewReader(`["a`), iotest.ErrReader(Failed(ErrTimeout, "late"))))
	if _, err := anything(p); !errors.Is(err, ErrTimeout) || err.Error() != "[0]: late" {
		t.Errorf("got %v", err)
	}
	if err := p.Skip(); !errors.Is(err, ErrTimeout) {
		t.Errorf("then %v", err)
	}
	_, err := NewJSON(strings.NewReader("{")).Raw()
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("of half a document: %v", err)
	}
	deep := strings.Repeat("[", maxDepth+1)
	if err := NewJSON(strings.NewReader(deep)).Skip(); !errors.Is(err, ErrInternal) || !strings.Contains(err.Error(), "too deep") {
		t.Errorf("of a deep document: %v", err)
	}
	if err := NewJSON(strings.NewReader(`"` + strings.Repeat("x", MaxBody+1))).Skip(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a long string that is skipped is not kept: %v", err)
	}
	if _, err := NewJSON(strings.NewReader(`"` + strings.Repeat("x", MaxBody+1))).String(); !errors.Is(err, ErrTooLarge) {
		t.Errorf("of a long string: %v", err)
	}
}

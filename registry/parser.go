package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// A parser walks JSON whose syntax is known to be right, and knows the path of
// the value it stands at.
type parser struct {
	data []byte
	text string // a copy of data that strings are parts of; "": each is a copy
	pos  int
	path []byte
	name string     // of a record that does not say it; "": it must
	ways []Endpoint // room for those that come next
}

// newParser returns a parser at the top value of data, or where the syntax is
// wrong.
func newParser(data []byte) (*parser, error) {
	if !json.Valid(data) {
		return nil, syntaxError(data)
	}
	p := &parser{data: data, path: make([]byte, 0, 64)}
	p.space()
	return p, nil
}

func syntaxError(data []byte) error {
	var v json.RawMessage
	err := json.Unmarshal(data, &v)
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return fmt.Errorf("JSON: %w", err)
	}
	read := string(data[:min(max(syntax.Offset, 0), int64(len(data)))])
	line := strings.Count(read, "\n") + 1
	column := utf8.RuneCountInString(read[strings.LastIndexByte(read, '\n')+1:])
	return fmt.Errorf("JSON: line %d, column %d: %w", line, max(column, 1), err)
}

func (p *parser) errorf(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if len(p.path) == 0 {
		return err
	}
	return fmt.Errorf("%s: %w", p.path, err)
}

func (p *parser) peek() byte { return p.data[p.pos] }

func (p *parser) space() {
	for ; p.pos < len(p.data); p.pos++ {
		switch p.data[p.pos] {
		case ' ', '\t', '\r', '\n':
		default:
			return
		}
	}
}

// raw steps over the value and returns its bytes as they stand.
func (p *parser) raw() []byte {
	start := p.pos
	depth := 0
	for done := false; !done; {
		switch c := p.data[p.pos]; c {
		case '"':
			p.skipString()
			done = depth == 0
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			done = depth == 0
		default:
			if depth == 0 {
				p.skipLiteral()
				return p.data[start:p.pos]
			}
		}
		p.pos++
	}
	return p.data[start:p.pos]
}

func (p *parser) skipString() {
	for p.pos++; p.data[p.pos] != '"'; p.pos++ {
		if p.data[p.pos] == '\\' {
			p.pos++
		}
	}
	p.pos++
}

// skipLiteral steps over a number, true, false or null.
func (p *parser) skipLiteral() {
	for ; p.pos < len(p.data); p.pos++ {
		switch p.data[p.pos] {
		case ' ', '\t', '\r', '\n', ',', ']', '}':
			return
		}
	}
}

// unquote steps over a JSON string and returns its text.
func (p *parser) unquote() string {
	start := p.pos + 1
	if p.text != "" {
		if i := strings.IndexByte(p.text[start:], '"'); strings.IndexByte(p.text[start:start+i], '\\') < 0 {
			p.pos = start + i + 1
			return p.text[start : start+i]
		}
	}
	return p.unquoted(p.raw())
}

// unquoted returns the text of a JSON string.
func (p *parser) unquoted(raw []byte) string {
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return string(inner)
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return "" // its syntax is right: this cannot be
	}
	return s
}

// mismatch says what was expected and what stands there.
func (p *parser) mismatch(expected string) error {
	found := "a number"
	switch c := p.peek(); c {
	case '{':
		found = "an object"
	case '[':
		found = "a list"
	case '"':
		found = "a string"
	case 't', 'f':
		found = "a boolean"
	case 'n':
		found = "null"
	}
	return p.errorf("%s expected, found %s", expected, found)
}

// null steps over null, which stands for an absent value.
func (p *parser) null() bool {
	if p.peek() != 'n' {
		return false
	}
	p.skipLiteral()
	return true
}

// members calls f at the value of each member of an object. The key may alias
// the text: f copies what it keeps.
func (p *parser) members(f func(key string) error) error {
	if p.peek() != '{' {
		return p.mismatch("an object")
	}
	outer := len(p.path)
	p.pos++
	for p.space(); p.peek() != '}'; p.space() {
		if p.peek() == ',' {
			p.pos++
			p.space()
		}
		key := p.key()
		p.space()
		p.pos++ // the colon
		p.space()
		p.push(outer, key)
		if err := f(key); err != nil {
			return err
		}
		p.path = p.path[:outer]
	}
	p.pos++
	return nil
}

// push makes the member key of the value at path[:outer] the path.
func (p *parser) push(outer int, key string) {
	p.path = p.path[:outer]
	if outer > 0 {
		p.path = append(p.path, '.')
	}
	if len(key) > 64 {
		key = key[:64] + "…"
	}
	p.path = append(p.path, key...)
}

// object calls f at the value of each member, except null ones. A member that
// is not one of fields, or comes twice, is an error.
func (p *parser) object(fields []string, f func(field string) error) error {
	var seen uint64
	return p.members(func(key string) error {
		i := slices.Index(fields, key)
		if i < 0 {
			return p.unknown(key, fields)
		}
		if seen&(1<<i) != 0 {
			return p.errorf("given twice")
		}
		seen |= 1 << i
		if p.null() {
			return nil
		}
		return f(fields[i])
	})
}

// key returns a string that may alias the text.
func (p *parser) key() string {
	raw := p.raw()
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return unsafe.String(unsafe.SliceData(inner), len(inner))
	}
	return p.unquoted(raw)
}

func (p *parser) unknown(key string, fields []string) error {
	if near := nearest(key, fields); near != "" {
		return p.errorf("unknown field, did you mean %s?", near)
	}
	return p.errorf("unknown field")
}

// array calls f at each element.
func (p *parser) array(f func(i int) error) error {
	if p.peek() != '[' {
		return p.mismatch("a list")
	}
	outer := len(p.path)
	p.pos++
	p.space()
	for i := 0; p.peek() != ']'; i++ {
		if p.peek() == ',' {
			p.pos++
			p.space()
		}
		p.path = append(strconv.AppendInt(append(p.path[:outer], '['), int64(i), 10), ']')
		if err := f(i); err != nil {
			return err
		}
		p.space()
	}
	p.path = p.path[:outer]
	p.pos++
	return nil
}

func (p *parser) string() (string, error) {
	if p.peek() != '"' {
		return "", p.mismatch("a string")
	}
	return p.unquote(), nil
}

func (p *parser) strings() ([]string, error) {
	var list []string
	err := p.array(func(int) error {
		s, err := p.string()
		list = append(list, s)
		return err
	})
	return list, err
}

func (p *parser) bool() (bool, error) {
	if c := p.peek(); c != 't' && c != 'f' {
		return false, p.mismatch("true or false")
	}
	return string(p.raw()) == "true", nil
}

func (p *parser) number() (float64, error) {
	if c := p.peek(); c != '-' && (c < '0' || c > '9') {
		return 0, p.mismatch("a number")
	}
	raw := p.raw()
	if n, err := strconv.ParseUint(unsafe.String(unsafe.SliceData(raw), len(raw)), 10, 32); err == nil { // as mostly
		return float64(n), nil
	}
	text := string(raw)
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, p.errorf("%s is out of range", text)
	}
	return v, nil
}

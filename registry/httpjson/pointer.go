package httpjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A pointer is a JSON pointer (RFC 6901), unescaped, by part.
type pointer []string

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

func parsePointer(s string) (pointer, error) {
	if s == "" {
		return nil, nil
	}
	if s[0] != '/' {
		return nil, fmt.Errorf("%q: a JSON pointer expected, as in /data/items", s)
	}
	parts := strings.Split(s[1:], "/")
	for i, part := range parts {
		if plain := strings.NewReplacer("~0", "", "~1", "").Replace(part); strings.Contains(plain, "~") {
			return nil, fmt.Errorf("%q: ~0 for ~ or ~1 for / expected after ~", s)
		}
		parts[i] = unescape.Replace(part)
	}
	return parts, nil
}

// mustPointer is parsePointer for what Validate has seen.
func mustPointer(s string) pointer {
	p, err := parsePointer(s)
	if err != nil {
		panic(err)
	}
	return p
}

func (p pointer) String() string {
	var b strings.Builder
	for _, part := range p {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(part))
	}
	return b.String()
}

// errNowhere: a pointer leads to no value.
var errNowhere = errors.New("there is nothing")

// raw returns the bytes of the value that p leads to in valid JSON.
func (p pointer) raw(data json.RawMessage) (json.RawMessage, error) {
	for i, part := range p {
		if kind := kindOf(data); kind != '{' && kind != '[' {
			return nil, fmt.Errorf("%s: %w", p[:i+1], errNowhere)
		}
		var found json.RawMessage
		at := 0
		err := each(data, func(key string, v json.RawMessage) error {
			if kindOf(data) == '[' {
				key = strconv.Itoa(at)
			}
			at++
			if key == part && found == nil {
				found = bytes.Clone(v)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if found == nil {
			return nil, fmt.Errorf("%s: %w", p[:i+1], errNowhere)
		}
		data = found
	}
	return data, nil
}

// value returns the value that p leads to; false if there is none.
func (p pointer) value(v any) (any, bool) {
	for _, part := range p {
		switch at := v.(type) {
		case map[string]any:
			next, ok := at[part]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(at) || strconv.Itoa(i) != part {
				return nil, false
			}
			v = at[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// kindOf returns the first byte of a JSON value.
func kindOf(data []byte) byte {
	data = bytes.TrimLeft(data, " \t\r\n")
	if len(data) == 0 {
		return 0
	}
	return data[0]
}

// each calls f for the elements of a list, with the key "", or the members of
// an object. v is valid during the call only. It reads on only after f
// returned: so f can stop a list of millions.
func each(data json.RawMessage, f func(key string, v json.RawMessage) error) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	open, err := dec.Token()
	if err != nil {
		return err
	}
	var raw json.RawMessage
	for dec.More() {
		key := ""
		if open == json.Delim('{') {
			token, err := dec.Token()
			if err != nil {
				return err
			}
			key, _ = token.(string) // keys are strings
		}
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		if err := f(key, raw); err != nil {
			return err
		}
	}
	return nil
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// checkJSON returns the body without a byte order mark, or why it is not JSON.
func checkJSON(body []byte, mediaType string) (json.RawMessage, error) {
	body = bytes.TrimPrefix(body, byteOrderMark)
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		return nil, errors.New("body is empty, JSON expected")
	case !utf8.Valid(body):
		return nil, errors.New("body is not valid UTF-8")
	case !json.Valid(body):
		var v any
		err := json.Unmarshal(body, &v)
		return nil, fmt.Errorf("body of type %q is not JSON: %w", mediaType, err)
	}
	return body, nil
}

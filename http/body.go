package http

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// A bodyError says what is wrong with a request's JSON, and where.
type bodyError struct {
	field  string // "services[0].name"; "" is the body itself
	detail string
}

func (e *bodyError) Error() string {
	if e.field == "" {
		return "body: " + e.detail
	}
	return e.field + ": " + e.detail
}

// A fieldDecoder decodes the value of the field at path. Errors that are no
// bodyError are said of that path.
type fieldDecoder func(raw []byte, path string) error

// decodeObject reads a JSON object and nothing else, field by field. A field
// that is unknown, doubled or of the wrong type is an error that names it;
// names are case-sensitive.
func decodeObject(raw []byte, path string, fields map[string]fieldDecoder) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	start, err := dec.Token()
	if err != nil {
		return syntaxError(path, err, dec.InputOffset())
	}
	if start != json.Delim('{') {
		return &bodyError{path, "a JSON object expected"}
	}
	seen := make(map[string]bool, len(fields))
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return syntaxError(path, err, dec.InputOffset())
		}
		name, _ := token.(string)
		at := joinPath(path, name)
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return syntaxError(at, err, dec.InputOffset())
		}
		decode := fields[name]
		switch {
		case decode == nil:
			return &bodyError{at, unknownField(name, fields)}
		case seen[name]:
			return &bodyError{at, "given more than once"}
		}
		seen[name] = true
		if err := inField(decode(value, at), at); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return syntaxError(path, err, dec.InputOffset())
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return &bodyError{path, fmt.Sprintf("more follows the object at byte %d; one JSON object expected", dec.InputOffset())}
	}
	return nil
}

// decodeArray reads a JSON array of at most limit values.
func decodeArray(limit int, each fieldDecoder) fieldDecoder {
	return func(raw []byte, path string) error {
		if len(raw) == 0 || raw[0] != '[' {
			return errors.New("an array expected")
		}
		var values []json.RawMessage
		if err := json.Unmarshal(raw, &values); err != nil {
			return err
		}
		if len(values) > limit {
			return fmt.Errorf("%d values, the most is %d", len(values), limit)
		}
		for i, v := range values {
			at := path + "[" + strconv.Itoa(i) + "]"
			if err := inField(each(v, at), at); err != nil {
				return err
			}
		}
		return nil
	}
}

// decodeString reads a string, never null.
func decodeString(into *string) fieldDecoder {
	return func(raw []byte, _ string) error {
		if len(raw) == 0 || raw[0] != '"' {
			return errors.New("a string expected")
		}
		return json.Unmarshal(raw, into)
	}
}

// decodeBool reads true or false.
func decodeBool(into *bool) fieldDecoder {
	return func(raw []byte, _ string) error {
		switch string(raw) {
		case "true":
			*into = true
		case "false":
			*into = false
		default:
			return errors.New("true or false expected")
		}
		return nil
	}
}

// decodeDuration reads a duration in Go syntax, above zero and at most limit.
func decodeDuration(into *time.Duration, limit time.Duration) fieldDecoder {
	return func(raw []byte, path string) error {
		var text string
		if err := decodeString(&text)(raw, path); err != nil {
			return errors.New(`a duration in a string expected, as in "2s"`)
		}
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 || d > limit {
			return fmt.Errorf(`%q: a duration above 0 and at most %s expected, as in "2s"`, text, limit)
		}
		*into = d
		return nil
	}
}

func joinPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func inField(err error, at string) error {
	var known *bodyError
	if err == nil || errors.As(err, &known) {
		return err
	}
	return &bodyError{at, err.Error()}
}

func syntaxError(path string, err error, offset int64) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &bodyError{path, "a JSON object expected, the body ends too early"}
	}
	return &bodyError{path, fmt.Sprintf("not JSON near byte %d: %v", offset, err)}
}

func unknownField(name string, fields map[string]fieldDecoder) string {
	known := slices.Sorted(maps.Keys(fields))
	if near := nearestWord(name, known); near != "" {
		return fmt.Sprintf("unknown field; did you mean %q?", near)
	}
	return fmt.Sprintf("unknown field; known are %v", known)
}

// maxGuessed is how much of a word is compared.
const maxGuessed = 64

// nearestWord returns the known word that is a third of its letters away from
// word or less (of short ones, half), or "".
func nearestWord(word string, known []string) string {
	best, distance := "", 0
	for _, k := range known {
		d := registry.EditDistance(word[:min(len(word), maxGuessed)], k)
		if d <= max(min(2, len(k)/2), len(k)/3) && (best == "" || d < distance) {
			best, distance = k, d
		}
	}
	return best
}

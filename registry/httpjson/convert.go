package httpjson

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/edgecache/edgecache/registry"
)

// The functions below read one field of an instance. nil, which is null or
// absent, is the zero value.

// text reads a string; a number stands for its digits.
func text(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	}
	return "", mismatch("a text", v)
}

func port(v any) (uint16, error) {
	s, err := text(v)
	if err != nil {
		return 0, mismatch("a port", v)
	}
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%q: a whole number from 0 to %d expected", short(s), math.MaxUint16)
	}
	return uint16(n), nil
}

func boolean(v any) (bool, error) {
	switch v {
	case nil, "", false, "false":
		return false, nil
	case true, "true":
		return true, nil
	}
	return false, mismatch("true or false", v)
}

// weight reads a number in hundredths; what takes traffic takes at least one.
func weight(v any) (uint32, error) {
	s, err := text(v)
	if err != nil {
		return 0, mismatch("a number", v)
	}
	if s == "" {
		return registry.DefaultWeight, nil
	}
	w, err := strconv.ParseFloat(s, 64)
	if err != nil || !(w >= 0 && w <= math.MaxUint32/100) {
		return 0, fmt.Errorf("%q: a number from 0 to %d expected", short(s), math.MaxUint32/100)
	}
	if w > 0 {
		return max(1, uint32(math.Round(w*100))), nil
	}
	return 0, nil
}

func health(v any, words map[string]string) (registry.Health, error) {
	word, err := text(v)
	if b, ok := v.(bool); ok {
		word, err = strconv.FormatBool(b), nil
	}
	if err != nil {
		return 0, err
	}
	ours, ok := words[word]
	if !ok && word != "" {
		ours, ok = words["*"]
	}
	if !ok {
		ours = word
	}
	h, err := registry.ParseHealth(ours)
	if err != nil {
		return 0, fmt.Errorf("%q is neither in health_values nor a health of ours", short(word))
	}
	return h, nil
}

func tags(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		if v == nil {
			return nil, nil
		}
		return nil, mismatch("a list of texts", v)
	}
	var out []string
	for i, e := range list {
		s, err := text(e)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		out = append(out, s)
	}
	return out, nil
}

func metadata(v any) (registry.Metadata, error) {
	object, ok := v.(map[string]any)
	if !ok {
		if v == nil {
			return nil, nil
		}
		return nil, mismatch("an object", v)
	}
	out := make(map[string]string, len(object))
	for k, e := range object {
		if s, ok := e.(string); ok {
			out[k] = s
			continue
		}
		compact, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", short(k), err)
		}
		out[k] = string(compact)
	}
	return registry.MetadataOf(out), nil
}

func mismatch(expected string, v any) error {
	found := "null"
	switch v := v.(type) {
	case string:
		found = strconv.Quote(short(v))
	case json.Number:
		found = short(v.String())
	case bool:
		found = strconv.FormatBool(v)
	case []any:
		found = "a list"
	case map[string]any:
		found = "an object"
	}
	return fmt.Errorf("%s expected, found %s", expected, found)
}

// short cuts what an error quotes.
func short(s string) string {
	if r := []rune(s[:min(len(s), 400)]); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}

package main

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// masked stands for a secret.
const masked = "***"

// effective returns the configuration as YAML that reads back to itself, but
// for secrets, which are masked.
func (c *Config) effective() (string, error) {
	text, err := yaml.MarshalWithOptions(plain(reflect.ValueOf(c).Elem()), yaml.IndentSequence(true))
	return string(text), err
}

// plain returns v made of ordered maps, lists and scalars, secrets masked and
// pointers that are nil left out.
func plain(v reflect.Value) any {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if r, ok := v.Addr().Interface().(*registryConfig); ok {
		return plainObject(r.fields())
	}
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		return durationText(time.Duration(v.Int()))
	case readsText(v.Type()):
		if m, ok := v.Interface().(encoding.TextMarshaler); ok {
			text, err := m.MarshalText()
			if err == nil {
				return string(text)
			}
		}
		return fmt.Sprint(v.Interface())
	case v.Kind() == reflect.String:
		return withoutPassword(v.String())
	case v.Kind() == reflect.Struct:
		return plainObject(fieldsOf(v))
	case v.Kind() == reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(v.Index(i))
		}
		return list
	case v.Kind() == reflect.Map:
		return plainMap(v)
	}
	if v.Kind() == reflect.Float64 && v.Float() == math.Trunc(v.Float()) {
		return int64(v.Float())
	}
	return v.Interface()
}

func plainObject(fields []field) yaml.MapSlice {
	keys := make(map[string]bool, len(fields))
	for _, f := range fields {
		keys[f.key] = true
	}
	out := yaml.MapSlice{}
	for _, f := range fields {
		switch {
		case f.quiet && f.value.IsZero():
		case f.value.Kind() == reflect.Map && slices.Contains(secrets, f.key):
			out = append(out, yaml.MapItem{Key: f.key, Value: maskedMap(f.value)})
		case keys[f.key+"_file"] && !f.value.IsZero(): // what may come from a file is a secret
			out = append(out, yaml.MapItem{Key: f.key, Value: masked})
		default:
			out = append(out, yaml.MapItem{Key: f.key, Value: plain(f.value)})
		}
	}
	return out
}

func maskedMap(v reflect.Value) map[string]any {
	out := make(map[string]any, v.Len())
	for _, key := range v.MapKeys() {
		out[key.String()] = masked
	}
	return out
}

// plainMap returns a map.
func plainMap(v reflect.Value) map[string]any {
	out := make(map[string]any, v.Len())
	for it := v.MapRange(); it.Next(); {
		key := it.Key().String()
		element := reflect.New(v.Type().Elem()).Elem()
		element.Set(it.Value())
		out[key] = plain(element)
	}
	return out
}

// secrets are the keys, besides those that have a _file, whose values are
// masked: a header may carry a credential.
var secrets = []string{"headers"}

var passwordInURL = regexp.MustCompile(`(://[^/@:]*:)[^/]*@`)

// withoutPassword masks the password of a URL.
func withoutPassword(s string) string { return passwordInURL.ReplaceAllString(s, "${1}"+masked+"@") }

// durationText writes a duration without its zero parts: 24h, not 24h0m0s.
func durationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

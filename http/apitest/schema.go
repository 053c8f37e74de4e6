package apitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// DecodeJSON decodes a value as Validate takes it; an error if it is not JSON.
func DecodeJSON(body []byte) any {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	return v
}

// Validate checks a value of [DecodeJSON] against the part of JSON Schema that
// the file uses; any other keyword is an error.
func (s *Spec) Validate(at string, node, value any) (errs []error) {
	schema, _ := s.resolve(node, "")
	if name, ok := schema["type"].(string); ok && !hasType(value, name) {
		return []error{fmt.Errorf("%s: %v is no %s", at, value, name)}
	}
	for _, keyword := range slices.Sorted(maps.Keys(schema)) {
		if err := checkKeyword(keyword, schema[keyword], value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", at, err))
		}
	}
	list, _ := value.([]any)
	for i, v := range list {
		errs = append(errs, s.Validate(fmt.Sprintf("%s[%d]", at, i), schema["items"], v)...)
	}
	object, _ := value.(map[string]any)
	properties, _ := schema["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if p, ok := properties[name]; ok {
			errs = append(errs, s.Validate(at+"."+name, p, object[name])...)
		} else if extra, ok := schema["additionalProperties"].(map[string]any); ok {
			errs = append(errs, s.Validate(at+"."+name, extra, object[name])...)
		} else if schema["additionalProperties"] == false {
			errs = append(errs, fmt.Errorf("%s: field %s is not declared", at, name))
		}
	}
	return errs
}

// checkKeyword checks a value against one keyword of its own schema.
func checkKeyword(keyword string, arg, value any) error {
	switch keyword {
	case "enum":
		if !slices.ContainsFunc(arg.([]any), func(e any) bool { return fmt.Sprint(e) == fmt.Sprint(value) }) {
			return fmt.Errorf("%v is none of %v", value, arg)
		}
	case "minimum", "maximum":
		n, err := strconv.ParseFloat(fmt.Sprint(value), 64)
		limit, err2 := strconv.ParseFloat(fmt.Sprint(arg), 64)
		if err != nil || err2 != nil || keyword == "minimum" && n < limit || keyword == "maximum" && n > limit {
			return fmt.Errorf("%v breaks %s %v", value, keyword, arg)
		}
	case "required":
		object, _ := value.(map[string]any)
		for _, name := range arg.([]any) {
			if _, ok := object[name.(string)]; !ok {
				return fmt.Errorf("%s is missing", name)
			}
		}
	case "type", "properties", "additionalProperties", "items", "maxItems", "minLength", "maxLength", "pattern", "format", "description", "default", "example":
	default:
		return fmt.Errorf("the schema uses %s, which this package does not know", keyword)
	}
	return nil
}

func hasType(value any, name string) bool {
	switch v := value.(type) {
	case map[string]any:
		return name == "object"
	case []any:
		return name == "array"
	case string:
		return name == "string"
	case bool:
		return name == "boolean"
	case json.Number:
		return name == "number" || name == "integer" && !strings.ContainsAny(v.String(), ".eE")
	}
	return false
}

package http

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/go-bexpr/grammar"
)

// A fieldType is what an expression may do with a field.
type fieldType struct {
	kind   string               // string, integer, number, boolean, list, map, object
	elem   *fieldType           // of list and map
	fields map[string]fieldType // of object
}

var (
	stringType   = fieldType{kind: "string"}
	integerType  = fieldType{kind: "integer"}
	numberType   = fieldType{kind: "number"}
	booleanType  = fieldType{kind: "boolean"}
	endpointType = fieldType{kind: "object", fields: map[string]fieldType{
		"name": stringType, "address": stringType, "port": integerType, "protocol": stringType, "tls": booleanType, "url": stringType,
	}}
	instanceType = fieldType{kind: "object", fields: map[string]fieldType{
		"id": stringType, "address": stringType, "port": integerType, "protocol": stringType, "tls": booleanType,
		"url": stringType, "health": stringType, "weight": numberType, "priority": integerType, "version": stringType,
		"node": stringType, "region": stringType, "zone": stringType, "registered": stringType,
		"tags": {kind: "list", elem: &stringType}, "metadata": {kind: "map", elem: &stringType},
		"endpoints": {kind: "list", elem: &endpointType},
	}}
)

// maxNested is how deep any and all may stand in each other: each multiplies
// what a verdict costs.
const maxNested = 2

// checkExpr checks every part of an expression against the fields of an
// instance and the names that the any and all around it bind, outermost first,
// so that evaluating it cannot fail.
func checkExpr(e grammar.Expression, text string, bound []map[string]fieldType) error {
	switch e := e.(type) {
	case *grammar.UnaryExpression:
		return checkExpr(e.Operand, text, bound)
	case *grammar.BinaryExpression:
		if err := checkExpr(e.Left, text, bound); err != nil {
			return err
		}
		return checkExpr(e.Right, text, bound)
	case *grammar.CollectionExpression:
		return checkCollection(e, text, bound)
	case *grammar.MatchExpression:
		t, err := typeOf(e.Selector.Path, bound)
		if err == nil {
			err = checkMatch(t, e)
		}
		if err != nil {
			return fmt.Errorf("%s: %s: %w", position(text, e.Selector), e.Selector, err)
		}
		return nil
	}
	return fmt.Errorf("%T is not supported", e)
}

// position says where in the text a selector stands first.
func position(text string, s grammar.Selector) string {
	at := strings.Index(text, s.String())
	if at < 0 && len(s.Path) > 0 {
		at = strings.Index(text, s.Path[0])
	}
	return "byte " + strconv.Itoa(max(at, 0)+1)
}

// typeOf follows a selector.
func typeOf(path []string, bound []map[string]fieldType) (fieldType, error) {
	t := instanceType
	if len(path) > 0 {
		for _, names := range slices.Backward(bound) {
			if b, ok := names[path[0]]; ok {
				t, path = b, path[1:]
				break
			}
		}
	}
	for _, name := range path {
		switch t.kind {
		case "object":
			next, ok := t.fields[name]
			if !ok {
				return t, unknownName(name, t)
			}
			t = next
		case "map":
			t = *t.elem
		default:
			return t, fmt.Errorf("a %s has no field %q", t.kind, name)
		}
	}
	return t, nil
}

func unknownName(name string, t fieldType) error {
	known := slices.Sorted(maps.Keys(t.fields))
	if near := nearestWord(name, known); near != "" {
		return fmt.Errorf("no field %q; did you mean %q?", name, near)
	}
	return fmt.Errorf("no field %q; there are %s", name, strings.Join(known, ", "))
}

func checkCollection(e *grammar.CollectionExpression, text string, bound []map[string]fieldType) error {
	t, err := typeOf(e.Selector.Path, bound)
	if err == nil && len(bound) == maxNested {
		err = fmt.Errorf("any and all can stand in each other %d deep", maxNested)
	}
	if err == nil && t.kind != "list" && t.kind != "map" {
		err = fmt.Errorf("any and all need a list or a map, this is a %s", t.kind)
	}
	if err != nil {
		return fmt.Errorf("%s: %s: %w", position(text, e.Selector), e.Selector, err)
	}
	inner := map[string]fieldType{}
	first, second := integerType, *t.elem
	if t.kind == "map" {
		first = stringType
	}
	switch b := e.NameBinding; {
	case b.Mode == grammar.CollectionBindDefault && t.kind == "map":
		inner[b.Default] = first
	case b.Mode == grammar.CollectionBindDefault:
		inner[b.Default] = second
	default:
		inner[b.Index], inner[b.Value] = first, second
	}
	return checkExpr(e.Inner, text, append(slices.Clone(bound), inner))
}

// checkMatch checks an operator and its value against the field's type.
func checkMatch(t fieldType, e *grammar.MatchExpression) error {
	value := ""
	if e.Value != nil {
		value = e.Value.Raw
	}
	fits := true
	switch e.Operator {
	case grammar.MatchEqual, grammar.MatchNotEqual:
		if t.kind == "list" || t.kind == "map" || t.kind == "object" {
			fits = false
			break
		}
		return checkValue(t, value)
	case grammar.MatchIn, grammar.MatchNotIn, grammar.MatchContains, grammar.MatchNotContains:
		fits = t.kind == "string" || t.kind == "map" || t.kind == "list" && t.elem.kind == "string"
	case grammar.MatchIsEmpty, grammar.MatchIsNotEmpty:
		fits = t.kind == "string" || t.kind == "map" || t.kind == "list"
	case grammar.MatchIsNil, grammar.MatchIsNotNil:
		fits = false
	case grammar.MatchMatches, grammar.MatchNotMatches:
		if _, err := regexp.Compile(value); err != nil {
			return err
		}
		fits = t.kind == "string"
	}
	if !fits {
		return fmt.Errorf("the operator %q does not go with a %s", strings.ToLower(e.Operator.String()), t.kind)
	}
	return nil
}

func checkValue(t fieldType, value string) error {
	var err error
	switch t.kind {
	case "integer":
		_, err = strconv.ParseUint(value, 0, 64)
	case "number":
		_, err = strconv.ParseFloat(value, 64)
	case "boolean":
		_, err = strconv.ParseBool(value)
	}
	if err != nil {
		return fmt.Errorf("%q is not a value of a %s", value, t.kind)
	}
	return nil
}

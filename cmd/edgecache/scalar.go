package main

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// scalar reads a value that is one word of YAML.
func (d *decoder) scalar(node ast.Node, v reflect.Value, path string) {
	text, fits := "", true
	switch n := node.(type) {
	case *ast.StringNode:
		text = n.Value
		fits = isText(v.Type())
	case *ast.LiteralNode:
		text = n.Value.Value
		fits = isText(v.Type())
	case *ast.IntegerNode:
		text = n.Token.Value
		fits = v.Kind() != reflect.Bool && (!isText(v.Type()) || text == "0" && v.Kind() != reflect.String || readsText(v.Type()))
	case *ast.FloatNode:
		text = n.Token.Value
		fits = v.Kind() == reflect.Float64 || readsText(v.Type())
	case *ast.BoolNode:
		text = n.Token.Value
		fits = v.Kind() == reflect.Bool
	default:
		fits = false
	}
	if !fits {
		d.mistakes.at(path, tokenOf(node), "%s expected, found %s", wanted(v.Type()), describe(node))
		return
	}
	if err := setScalar(v, text); err != nil {
		d.mistakes.at(path, tokenOf(node), "%s", err)
	}
}

// isText reports whether values of t are written as a string.
func isText(t reflect.Type) bool {
	return t.Kind() == reflect.String || t == reflect.TypeFor[time.Duration]() || readsText(t)
}

// readsText reports whether t reads text itself, and says what it expects.
func readsText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

func isScalar(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Bool, reflect.Float64, reflect.Int, reflect.Int64, reflect.Uint32, reflect.Uint64:
		return true
	}
	return isText(t)
}

// setScalar sets v to the value that text stands for.
func setScalar(v reflect.Value, text string) error {
	var err error
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		var d time.Duration
		if d, err = time.ParseDuration(text); err == nil {
			v.SetInt(int64(d))
		}
	case v.Kind() == reflect.String:
		v.SetString(text)
	case v.Kind() == reflect.Bool:
		var b bool
		if b, err = strconv.ParseBool(text); err == nil {
			v.SetBool(b)
		}
	case v.Kind() == reflect.Float64:
		var f float64
		if f, err = strconv.ParseFloat(text, 64); err == nil {
			v.SetFloat(f)
		}
	case v.CanInt():
		var n int64
		if n, err = strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 0, v.Type().Bits()); err == nil {
			v.SetInt(n)
		}
	default:
		var n uint64
		if n, err = strconv.ParseUint(strings.ReplaceAll(text, "_", ""), 0, v.Type().Bits()); err == nil {
			v.SetUint(n)
		}
	}
	if err != nil {
		return fmt.Errorf("%q: %s expected", text, wanted(v.Type()))
	}
	return nil
}

// wanted says how a value of type t is written.
func wanted(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "a duration like 250ms or 36h"
	case isText(t):
		return "a string"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Float64:
		return "a number"
	}
	return "a whole number"
}

package main

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/edgecache/edgecache/plugins"
)

// maxNodes bounds the nodes of one document, aliases expanded.
const maxNodes = 100_000

// A decoder reads a YAML tree into structs with yaml tags. It is strict, and
// goes on after a mistake, so that it finds all of them.
type decoder struct {
	mistakes *mistakes
	anchors  map[string]ast.Node
	nodes    int
}

// decode reads node into v, which stays as it is where the node says nothing.
// path is the key that leads to the node.
func (d *decoder) decode(node ast.Node, v reflect.Value, path string) {
	if d.nodes++; d.nodes > maxNodes {
		if d.nodes == maxNodes+1 {
			d.mistakes.at(path, tokenOf(node), "more than %d values", maxNodes)
		}
		return
	}
	name, anchored := "", false
	if a, ok := node.(*ast.AnchorNode); ok {
		name, anchored, node = a.Name.GetToken().Value, true, a.Value
	}
	node = d.resolve(node, path)
	if node == nil || node.Type() == ast.NullType {
		return
	}
	d.mistakes.seen(path, tokenOf(node))
	d.value(node, v, path)
	if anchored { // only now: an alias inside its own anchor is no value
		d.anchors[name] = node
	}
}

// resolve follows an alias and drops a tag; nil after a mistake.
func (d *decoder) resolve(node ast.Node, path string) ast.Node {
	switch n := node.(type) {
	case *ast.AliasNode:
		target, ok := d.anchors[n.Value.GetToken().Value]
		if !ok {
			d.mistakes.at(path, n.GetToken(), "there is no anchor &%s above", n.Value.GetToken().Value)
			return nil
		}
		return target
	case *ast.TagNode:
		return d.resolve(n.Value, path)
	}
	return node
}

func (d *decoder) value(node ast.Node, v reflect.Value, path string) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.value(node, v.Elem(), path)
		return
	}
	switch dst := v.Addr().Interface().(type) {
	case *[]registryConfig:
		d.registries(node, dst, path)
		return
	case *plugins.FilterOptions:
		*dst = plugins.FilterDefaults()
		d.object(node, path, fieldsOf(v)...)
		return
	case interface{ UnmarshalYAML(func(any) error) error }:
		err := dst.UnmarshalYAML(func(to any) error { return yaml.NodeToValue(node, to, yaml.Strict()) })
		d.foreign(path, node, err)
		return
	case interface{ UnmarshalYAML([]byte) error }:
		d.foreign(path, node, yaml.NodeToValue(node, dst))
		return
	}
	switch {
	case isScalar(v.Type()):
		d.scalar(node, v, path)
	case v.Kind() == reflect.Struct:
		d.object(node, path, fieldsOf(v)...)
	case v.Kind() == reflect.Slice:
		d.list(node, v, path)
	case v.Kind() == reflect.Map:
		d.table(node, v, path)
	default:
		d.foreign(path, node, yaml.NodeToValue(node, v.Addr().Interface()))
	}
}

// foreign reports an error of a type that reads YAML itself.
func (d *decoder) foreign(path string, node ast.Node, err error) {
	if err == nil {
		return
	}
	at, text := tokenOf(node), err.Error()
	if e, ok := errors.AsType[yaml.Error](err); ok {
		text = e.GetMessage()
		if e.GetToken() != nil {
			at = e.GetToken()
		}
	}
	d.mistakes.at(path, at, "%s", text)
}

// object reads a mapping into the given fields, of one or more structs.
func (d *decoder) object(node ast.Node, path string, fields ...field) {
	byKey := make(map[string]field, len(fields))
	for _, f := range fields {
		byKey[f.key] = f
	}
	d.pairs(node, path, func(key string, at *token.Token, value ast.Node) {
		if f, ok := byKey[key]; ok {
			d.decode(value, f.value, join(path, key))
			return
		}
		known := make([]string, len(fields))
		for i, f := range fields {
			known[i] = f.key
		}
		d.mistakes.at(join(path, key), at, "%s", unknownKey(path, key, known))
	})
}

// pairs calls yield for the pairs of a mapping, merge keys (<<) expanded. A
// pair of the mapping itself wins over a merged one.
func (d *decoder) pairs(node ast.Node, path string, yield func(key string, at *token.Token, value ast.Node)) {
	mapping, ok := node.(ast.MapNode)
	if !ok {
		d.mistakes.at(path, tokenOf(node), "keys and values expected, found %s", describe(node))
		return
	}
	var merged []ast.Node
	seen := map[string]bool{}
	for it := mapping.MapRange(); it.Next(); {
		if it.Key().IsMergeKey() {
			merged = append(merged, it.Value())
			continue
		}
		at := it.Key().GetToken()
		if seen[at.Value] {
			d.mistakes.at(join(path, at.Value), at, "the key is there twice")
			continue
		}
		seen[at.Value] = true
		yield(at.Value, at, it.Value())
	}
	for _, m := range merged {
		if d.nodes++; d.nodes > maxNodes {
			return
		}
		if m = d.resolve(m, path); m == nil {
			continue
		}
		d.pairs(m, path, func(key string, at *token.Token, value ast.Node) {
			if !seen[key] {
				seen[key] = true
				yield(key, at, value)
			}
		})
	}
}

func (d *decoder) list(node ast.Node, v reflect.Value, path string) {
	seq, ok := node.(*ast.SequenceNode)
	if !ok {
		d.mistakes.at(path, tokenOf(node), "a list expected, found %s", describe(node))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values))
	for i, n := range seq.Values {
		d.decode(n, out.Index(i), fmt.Sprintf("%s[%d]", path, i))
	}
	v.Set(out)
}

func (d *decoder) table(node ast.Node, v reflect.Value, path string) {
	out := reflect.MakeMap(v.Type())
	d.pairs(node, path, func(key string, _ *token.Token, value ast.Node) {
		element := reflect.New(v.Type().Elem()).Elem()
		d.decode(value, element, join(path, key))
		out.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), element)
	})
	v.Set(out)
}

// tokenOf returns the token at which a node begins.
func tokenOf(node ast.Node) *token.Token {
	if m, ok := node.(ast.MapNode); ok {
		if it := m.MapRange(); it.Next() {
			return it.Key().GetToken()
		}
	}
	return node.GetToken()
}

// describe says what a node is.
func describe(node ast.Node) string {
	switch n := node.(type) {
	case ast.MapNode:
		return "keys and values"
	case *ast.SequenceNode:
		return "a list"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "the number " + n.GetToken().Value
	case *ast.BoolNode:
		return n.Token.Value
	}
	return strconv.Quote(tokenOf(node).Value)
}

// A field is one key of a section and where its value lies.
type field struct {
	key   string
	value reflect.Value
	quiet bool // not worth telling while it is empty
}

// fieldsOf returns the tagged fields of a struct, inlined ones included.
func fieldsOf(v reflect.Value) []field {
	var out []field
	for i := range v.NumField() {
		key, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		switch {
		case key == "-":
		case strings.Contains(options, "inline"):
			out = append(out, fieldsOf(v.Field(i))...)
		case key != "":
			out = append(out, field{key, v.Field(i), strings.Contains(options, "omitempty")})
		}
	}
	return out
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

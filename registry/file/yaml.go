package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// What a YAML file may have, against files that are small and grow when read.
const (
	maxDepth = 100
	maxAlias = 200_000 // values that aliases repeat
)

// yamlToJSON converts one YAML document to JSON. Keys keep their order and
// numbers their digits. An error shows line and caret.
func yamlToJSON(data []byte) ([]byte, error) {
	if err := checkNesting(data); err != nil {
		return nil, err
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, yamlError(err)
	}
	var docs []ast.Node
	for _, doc := range file.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.CommentType && doc.Body.Type() != ast.NullType {
			docs = append(docs, doc.Body)
		}
	}
	switch len(docs) {
	case 0:
		return nil, errEmpty
	case 1:
	default:
		return nil, at(docs[1], "a second YAML document; a file may hold one")
	}
	w := &jsonWriter{anchors: map[string]ast.Node{}}
	if err := w.write(docs[0], 0); err != nil {
		return nil, err
	}
	return w.out.Bytes(), nil
}

// checkNesting refuses what would make the parser recurse without end.
func checkNesting(data []byte) error {
	depth, line, dashes := 0, 1, 0
	for i, c := range data {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(depth-1, 0)
		case '\n':
			line, dashes = line+1, 0
		case ' ', '\t':
		case '-', '?':
			if i+1 < len(data) && data[i+1] == ' ' {
				dashes++
			}
		default:
			dashes = 0
		}
		if depth > 10*maxDepth || dashes > maxDepth {
			return fmt.Errorf("line %d: nested too deep; at most %d levels are read", line, maxDepth)
		}
	}
	return nil
}

// yamlError returns the text of the parser's error, which has line and caret.
func yamlError(err error) error {
	return errors.New("YAML: " + strings.TrimRight(yaml.FormatError(err, false, true), "\n"))
}

func at(n ast.Node, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if t := n.GetToken(); t != nil && t.Position != nil {
		return fmt.Errorf("YAML: line %d, column %d: %s", t.Position.Line, t.Position.Column, text)
	}
	return errors.New("YAML: " + text)
}

// A jsonWriter writes YAML nodes as JSON.
type jsonWriter struct {
	out     bytes.Buffer
	anchors map[string]ast.Node
	open    []string // anchors being written, which may not name themselves
	aliases int      // that are being written
	copied  int      // values written by aliases
}

func (w *jsonWriter) write(n ast.Node, depth int) error {
	if err := w.count(n); err != nil {
		return err
	}
	if depth > maxDepth {
		return at(n, "nested deeper than %d levels", maxDepth)
	}
	switch n := n.(type) {
	case *ast.AnchorNode:
		name := n.Name.String()
		w.anchors[name] = n.Value
		w.open = append(w.open, name)
		defer func() { w.open = w.open[:len(w.open)-1] }()
		return w.write(n.Value, depth)
	case *ast.AliasNode:
		target, err := w.target(n)
		if err != nil {
			return err
		}
		w.aliases++
		defer func() { w.aliases-- }()
		return w.write(target, depth+1)
	case *ast.TagNode:
		return w.tagged(n, depth)
	case *ast.MappingNode:
		return w.mapping(n.Values, depth)
	case *ast.MappingValueNode:
		return w.mapping([]*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		w.out.WriteByte('[')
		for i, value := range n.Values {
			if i > 0 {
				w.out.WriteByte(',')
			}
			if err := w.write(value, depth+1); err != nil {
				return err
			}
		}
		w.out.WriteByte(']')
		return nil
	}
	return w.scalar(n)
}

// count counts a value that an alias repeats.
func (w *jsonWriter) count(n ast.Node) error {
	if w.aliases == 0 {
		return nil
	}
	if w.copied++; w.copied > maxAlias {
		return at(n, "aliases repeat more than %d values", maxAlias)
	}
	return nil
}

func (w *jsonWriter) target(n *ast.AliasNode) (ast.Node, error) {
	name := n.Value.String()
	target, ok := w.anchors[name]
	if !ok {
		return nil, at(n, "no anchor &%s before it", name)
	}
	for _, open := range w.open {
		if open == name {
			return nil, at(n, "the value of &%s contains itself", name)
		}
	}
	return target, nil
}

func (w *jsonWriter) tagged(n *ast.TagNode, depth int) error {
	switch tag := n.Start.Value; tag {
	case "!!str":
		if scalar, ok := n.Value.(ast.ScalarNode); ok {
			return w.text(scalar.GetToken().Value)
		}
	case "!!map", "!!seq", "!!int", "!!float", "!!bool", "!!null":
		return w.write(n.Value, depth)
	}
	return at(n, "the tag %s is not known here", n.Start.Value)
}

func (w *jsonWriter) scalar(n ast.Node) error {
	switch n := n.(type) {
	case *ast.NullNode:
		w.out.WriteString("null")
	case *ast.BoolNode:
		w.out.WriteString(strconv.FormatBool(n.Value))
	case *ast.StringNode:
		return w.text(n.Value)
	case *ast.LiteralNode:
		return w.text(n.Value.Value)
	case *ast.IntegerNode, *ast.FloatNode:
		number := n.GetToken().Value
		if json.Valid([]byte(number)) {
			w.out.WriteString(number)
			return nil
		}
		value, err := json.Marshal(n.(ast.ScalarNode).GetValue()) // 0x1f, 1_000, .5
		if err != nil {
			return at(n, "the number %s: %v", number, err)
		}
		w.out.Write(value)
	default:
		return at(n, "a value of type %v is not known here", n.Type())
	}
	return nil
}

func (w *jsonWriter) text(s string) error {
	value, err := json.Marshal(s)
	w.out.Write(value)
	return err
}

// mapping writes the pairs in order; keys of a merge (<<) come after them, if
// they are not among them.
func (w *jsonWriter) mapping(pairs []*ast.MappingValueNode, depth int) error {
	w.out.WriteByte('{')
	if err := w.pairs(pairs, map[string]bool{}, depth); err != nil {
		return err
	}
	w.out.WriteByte('}')
	return nil
}

func (w *jsonWriter) pairs(pairs []*ast.MappingValueNode, seen map[string]bool, depth int) error {
	if depth > maxDepth { // merges recurse without write
		return at(pairs[0], "nested deeper than %d levels", maxDepth)
	}
	merged := len(seen) > 0
	var merges []ast.Node
	for _, pair := range pairs {
		if err := w.count(pair); err != nil {
			return err
		}
		if pair.Key.IsMergeKey() {
			merges = append(merges, pair.Value)
			continue
		}
		key, err := keyText(pair.Key)
		switch {
		case err != nil:
			return err
		case seen[key] && merged:
			continue
		case seen[key]:
			return at(pair, "the key %q comes twice", key)
		}
		if len(seen) > 0 {
			w.out.WriteByte(',')
		}
		seen[key] = true
		if err := w.text(key); err != nil {
			return err
		}
		w.out.WriteByte(':')
		if err := w.write(pair.Value, depth+1); err != nil {
			return err
		}
	}
	for _, merge := range merges {
		if err := w.merge(merge, seen, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *jsonWriter) merge(n ast.Node, seen map[string]bool, depth int) error {
	switch n := n.(type) {
	case *ast.AliasNode:
		target, err := w.target(n)
		if err != nil {
			return err
		}
		w.aliases++
		defer func() { w.aliases-- }()
		return w.merge(target, seen, depth+1)
	case *ast.MappingNode:
		return w.pairs(n.Values, seen, depth)
	case *ast.MappingValueNode:
		return w.pairs([]*ast.MappingValueNode{n}, seen, depth)
	case *ast.SequenceNode:
		for _, value := range n.Values {
			if err := w.merge(value, seen, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return at(n, "<< merges a mapping, or a list of mappings")
}

func keyText(n ast.MapKeyNode) (string, error) {
	switch n := n.(type) {
	case *ast.MappingKeyNode:
		if key, ok := n.Value.(ast.MapKeyNode); ok {
			return keyText(key)
		}
	case *ast.StringNode:
		return n.Value, nil
	case ast.ScalarNode:
		return n.GetToken().Value, nil
	}
	return "", at(n, "a key that is a text expected")
}

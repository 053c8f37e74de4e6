package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"github.com/goccy/go-yaml"

	"github.com/edgecache/edgecache/registry"
)

var errEmpty = errors.New("the file is empty; write services: [] if no services are meant")

// parse reads one file: records of the native form, or target groups.
func parse(data []byte, format string) (records []*registry.Record, groups []group, err error) {
	defer func() { // a file must not end the process, whatever the YAML parser makes of it
		if r := recover(); r != nil {
			records, groups, err = nil, nil, fmt.Errorf("the parser failed: %v", r)
		}
	}()
	text := bytes.TrimSpace(data)
	if len(text) == 0 {
		return nil, nil, errEmpty
	}
	source := data // to point at in errors
	if text[0] == '{' || text[0] == '[' {
		// Flow YAML begins the same way; but whoever writes JSON and makes a
		// mistake wants to hear of JSON.
		if !json.Valid(text) && looksLikeJSON(text) {
			_, err := registry.ParseRecords(text)
			return nil, nil, err
		}
	}
	if json.Valid(text) {
		source = nil // documents stay as they are written, and no second parser runs
	} else {
		if data, err = yamlToJSON(data); err != nil {
			return nil, nil, err
		}
	}
	if format == FormatAuto {
		format = detect(data)
	}
	if format == FormatPrometheus {
		groups, err = parseGroups(data)
	} else {
		records, err = registry.ParseRecords(data)
	}
	if err != nil && source != nil {
		err = annotate(source, err)
	}
	return records, groups, err
}

// looksLikeJSON reports whether the first key or element is quoted as in JSON.
func looksLikeJSON(text []byte) bool {
	text = bytes.TrimLeft(text, "{[ \t\r\n")
	return len(text) > 0 && text[0] == '"'
}

// detect returns the form of JSON by its first element.
func detect(data []byte) string {
	d := json.NewDecoder(bytes.NewReader(data))
	for depth := 0; depth < 2; depth++ { // [ {
		if t, err := d.Token(); err != nil || t != json.Delim("[{"[depth]) {
			return FormatNative
		}
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return FormatNative
		}
		if t == "targets" || t == "labels" {
			return FormatPrometheus
		}
		var skip json.RawMessage
		if d.Decode(&skip) != nil {
			return FormatNative
		}
	}
	return FormatNative
}

// errorPath is the path that errors of package registry begin with.
var errorPath = regexp.MustCompile(`^((?:[A-Za-z_][\w]*|\[\d+\])(?:\.[A-Za-z_]\w*|\[\d+\])*): `)

// lastStep is the last step of such a path.
var lastStep = regexp.MustCompile(`(\.[A-Za-z_]\w*|\[\d+\]|[A-Za-z_]\w*)$`)

// annotate adds the lines of the YAML source that the error's path names.
func annotate(source []byte, err error) error {
	match := errorPath.FindStringSubmatch(err.Error())
	if match == nil {
		return err
	}
	for path := match[1]; path != ""; path = path[:lastStep.FindStringIndex(path)[0]] {
		at := "$." + path
		if path[0] == '[' {
			at = "$" + path
		}
		p, perr := yaml.PathString(at)
		if perr != nil {
			return err
		}
		if lines, perr := p.AnnotateSource(source, false); perr == nil && len(lines) > 0 {
			return fmt.Errorf("%w\n%s", err, bytes.TrimRight(lines, "\n"))
		}
	}
	return err
}

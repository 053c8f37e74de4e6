package registry

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxName is the longest name of a service, in bytes.
const MaxName = 512

// A Key names a record: what one registry says of one name. Registry "" means
// "resolved through all registries" in a lookup and "in any" in a selector.
type Key struct{ Registry, Name string }

// String returns "registry/name", or the name alone without a registry.
func (k Key) String() string {
	if k.Registry == "" {
		return k.Name
	}
	return k.Registry + "/" + k.Name
}

// CheckName returns an error that says what is wrong with the name of a
// service: 1 to 512 bytes of UTF-8 without control characters and without
// empty, "." or ".." segments.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("name is empty")
	case len(name) > MaxName:
		return fmt.Errorf("name has %d bytes, the most is %d", len(name), MaxName)
	case !utf8.ValidString(name):
		return errors.New("name is not valid UTF-8")
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; c < 0x20 || c == 0x7f {
			return fmt.Errorf("name has the control character 0x%02x at byte %d", c, i)
		}
	}
	if strings.ContainsFunc(name, isC1) {
		return errors.New("name has a control character")
	}
	for rest, more := name, true; more; {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		switch segment {
		case "":
			return errors.New("name has an empty segment; write it without a leading, trailing or doubled /")
		case ".", "..":
			return fmt.Errorf("name has the segment %q", segment)
		}
	}
	return nil
}

func isC1(r rune) bool { return r >= 0x80 && r <= 0x9f }

// CheckLabel returns an error unless label can name a registry, filter, node
// or token: [a-z0-9.-], 1 to 63 characters.
func CheckLabel(label string) error {
	if label == "" || len(label) > 63 {
		return fmt.Errorf("%q: 1 to 63 characters of a-z, 0-9, '.' and '-' expected", label)
	}
	for i := 0; i < len(label); i++ {
		c := label[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' {
			return fmt.Errorf("%q: a-z, 0-9, '.' and '-' expected, found %q", label, c)
		}
	}
	return nil
}

// A Kind says what a registry lists; a registry serves one kind.
type Kind string

// The kinds.
const (
	KindService Kind = "service"
	KindAgent   Kind = "agent"
	KindMCP     Kind = "mcp"
)

// ParseKind returns the kind of that name; "" is an error.
func ParseKind(s string) (Kind, error) {
	switch k := Kind(s); k {
	case KindService, KindAgent, KindMCP:
		return k, nil
	}
	return "", fmt.Errorf("kind %q: service, agent or mcp expected", s)
}

package edgecache

import (
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// Pairs are metadata.
type pairs [][2]string

func (p *pairs) set(key, value string) {
	if i := slices.IndexFunc(*p, func(of [2]string) bool { return of[0] == key }); i >= 0 {
		(*p)[i][1] = value
		return
	}
	if *p == nil {
		*p = make(pairs, 0, 8)
	}
	*p = append(*p, [2]string{key, value})
}

func (p pairs) append(b []byte) []byte {
	for i := range p {
		if i == 0 {
			b = append(b, `,"metadata":{`...)
		} else {
			b = append(b, ',')
		}
		b = append(appendString(b, p[i][0]), ':')
		b = appendString(b, p[i][1])
	}
	if len(p) > 0 {
		b = append(b, '}')
	}
	return b
}

// appendField appends a string, unless it is empty, after what is before it: a
// comma, and its name.
func appendField(b []byte, before, value string) []byte {
	if value == "" {
		return b
	}
	return appendString(append(b, before...), value)
}

// appendTime appends an RFC 3339 time, unless the format cannot write it.
func appendTime(b []byte, name string, at time.Time) []byte {
	if at = at.UTC(); at.UnixMilli() <= 0 || at.Year() >= 10000 {
		return b
	}
	b = append(appendName(b, name), '"')
	return append(at.AppendFormat(b, "2006-01-02T15:04:05.999Z07:00"), '"')
}

func appendList(b []byte, name string, list []string) []byte {
	if len(list) == 0 {
		return b
	}
	b = append(appendName(b, name), '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

func appendName(b []byte, name string) []byte {
	return append(append(append(b, ',', '"'), name...), '"', ':')
}

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }

// appendString appends a JSON string. Bytes that are not UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	if b = append(b, '"'); asItIs(s) { // as mostly
		return append(append(b, s...), '"')
	}
	for _, c := range s { // which is U+FFFD where s is not UTF-8
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', byte(c))
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = utf8.AppendRune(b, c)
		}
	}
	return append(b, '"')
}

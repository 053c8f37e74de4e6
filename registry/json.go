package registry

import (
	"strconv"
	"time"
	"unicode/utf8"
)

func appendHead(dst []byte, r *Record) []byte {
	dst = append(dst, `"name":`...)
	dst = AppendString(dst, r.Key.Name)
	dst = appendField(dst, "registry", r.Key.Registry)
	dst = appendField(dst, "kind", string(r.Kind))
	if order := r.Revision.Order; order != 0 {
		dst = append(dst, `,"revision":"`...)
		dst = append(strconv.AppendUint(dst, order, 10), '"')
	} else {
		dst = appendField(dst, "revision", r.Revision.Token)
	}
	dst = append(dst, `,"index":`...)
	dst = strconv.AppendUint(dst, r.Index, 10)
	return append(dst, beforeInstances...)
}

func appendTail(dst []byte, r *Record) []byte {
	dst = append(dst, ']')
	dst = appendFieldMetadata(dst, r.Metadata)
	dst = appendFieldList(dst, "tags", r.Tags)
	if len(r.Versions) > 0 {
		dst = append(dst, `,"versions":[`...)
		for i := range r.Versions {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendVersion(dst, &r.Versions[i])
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func appendVersion(dst []byte, v *Version) []byte {
	dst = append(dst, `{"version":`...)
	dst = AppendString(dst, v.Version)
	dst = appendField(dst, "status", v.Status)
	dst = appendFieldList(dst, "labels", v.Labels)
	dst = appendFieldMetadata(dst, v.Metadata)
	dst = appendFieldTime(dst, "updated", v.Updated)
	return append(dst, '}')
}

// AppendInstance appends an instance as a JSON object. The endpoint at
// position main lies flat in it; the list of endpoints, which begins with that
// one, is there if it says more.
func AppendInstance(dst []byte, in *Instance, main int) []byte {
	dst = append(dst, `{"id":`...)
	dst = AppendString(dst, in.ID)
	if main < len(in.Endpoints) {
		e := &in.Endpoints[main]
		dst = appendField(dst, "address", e.Address)
		dst = appendReach(dst, e)
	}
	dst = append(dst, `,"health":"`...)
	dst = append(dst, in.Health.String()...)
	dst = append(dst, `","weight":`...)
	dst = appendWeight(dst, in.Weight)
	if in.Priority != 0 {
		dst = append(dst, `,"priority":`...)
		dst = strconv.AppendUint(dst, uint64(in.Priority), 10)
	}
	dst = appendField(dst, "region", in.Region)
	dst = appendField(dst, "zone", in.Zone)
	dst = appendField(dst, "node", in.Node)
	dst = appendField(dst, "version", in.Version)
	dst = appendFieldList(dst, "tags", in.Tags)
	dst = appendFieldMetadata(dst, in.Metadata)
	dst = appendFieldTime(dst, "registered", in.Registered)
	if main < len(in.Endpoints) && (len(in.Endpoints) > 1 || in.Endpoints[0].Name != "") {
		dst = appendEndpoints(dst, in.Endpoints, main)
	}
	return append(dst, '}')
}

// appendEndpoints appends the list, the main endpoint first. An endpoint that
// gives neither address nor URL has the address of the main one.
func appendEndpoints(dst []byte, list []Endpoint, main int) []byte {
	dst = append(dst, `,"endpoints":[`...)
	dst = appendEndpoint(dst, &list[main], list[main].Address)
	for i := range list {
		if i != main {
			dst = append(dst, ',')
			dst = appendEndpoint(dst, &list[i], list[main].Address)
		}
	}
	return append(dst, ']')
}

func appendEndpoint(dst []byte, e *Endpoint, mainAddress string) []byte {
	start := len(dst)
	dst = appendField(dst, "name", e.Name)
	if e.Address != mainAddress || e.URL != "" {
		dst = appendField(dst, "address", e.Address)
	}
	dst = appendReach(dst, e)
	if len(dst) == start {
		return append(dst, "{}"...)
	}
	dst[start] = '{' // where the first field's comma stood
	return append(dst, '}')
}

// appendReach appends what an endpoint says beside its name and address.
func appendReach(dst []byte, e *Endpoint) []byte {
	if e.Port != 0 {
		dst = append(dst, `,"port":`...)
		dst = strconv.AppendUint(dst, uint64(e.Port), 10)
	}
	dst = appendField(dst, "protocol", e.Protocol)
	if e.TLS {
		dst = append(dst, `,"tls":true`...)
	}
	return appendField(dst, "url", e.URL)
}

// appendWeight appends hundredths as 1, 0.5 or 0.25.
func appendWeight(dst []byte, hundredths uint32) []byte {
	dst = strconv.AppendUint(dst, uint64(hundredths/100), 10)
	switch rest := hundredths % 100; {
	case rest == 0:
		return dst
	case rest%10 == 0:
		return append(dst, '.', byte('0'+rest/10))
	default:
		return append(dst, '.', byte('0'+rest/10), byte('0'+rest%10))
	}
}

// appendField appends a string field after a comma, unless it is empty.
func appendField(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	dst = appendName(dst, name)
	return AppendString(dst, value)
}

func appendFieldList(dst []byte, name string, list []string) []byte {
	if len(list) == 0 {
		return dst
	}
	dst = append(appendName(dst, name), '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendString(dst, s)
	}
	return append(dst, ']')
}

func appendFieldMetadata(dst []byte, m Metadata) []byte {
	if len(m) == 0 {
		return dst
	}
	dst = append(appendName(dst, "metadata"), '{')
	for i := range m {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendString(dst, m[i].Key), ':')
		dst = AppendString(dst, m[i].Value)
	}
	return append(dst, '}')
}

// maxTime is the last millisecond that RFC 3339 can write.
const maxTime = 253402300799999

func appendFieldTime(dst []byte, name string, ms int64) []byte {
	if ms <= 0 || ms > maxTime {
		return dst
	}
	dst = append(appendName(dst, name), '"')
	dst = time.UnixMilli(ms).UTC().AppendFormat(dst, "2006-01-02T15:04:05.999Z07:00")
	return append(dst, '"')
}

func appendName(dst []byte, name string) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	return append(dst, '"', ':')
}

// AppendString appends s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD.
func AppendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		size := 1
		switch {
		case c == '"' || c == '\\':
			dst = append(append(dst, s[done:i]...), '\\', c)
		case c < 0x20:
			dst = append(append(dst, s[done:i]...), '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			i++
			continue
		default:
			var r rune
			r, size = utf8.DecodeRuneInString(s[i:])
			switch {
			case r == utf8.RuneError && size == 1:
				dst = append(append(dst, s[done:i]...), "\ufffd"...)
			case r == '\u2028' || r == '\u2029':
				dst = append(append(dst, s[done:i]...), `\u202`...)
				dst = append(dst, hex[r&15])
			default:
				i += size
				continue
			}
		}
		i += size
		done = i
	}
	return append(append(dst, s[done:]...), '"')
}

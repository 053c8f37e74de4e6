package http

import (
	"bytes"
	"strings"
)

// A headerSet says which of the headers that a request may need looking up it
// has. Most have none, and one pass over the raw bytes is cheaper than asking
// for each.
type headerSet uint8

const (
	seenAuthorization headerSet = 1 << iota
	seenCacheControl
	seenIfNoneMatch
	seenContentLength
	seenTransferEncoding
)

// scanHeaders looks at the beginning of each line of raw headers. The first
// three may be other headers that begin alike; the last two are exact.
func scanHeaders(raw []byte) (seen headerSet) {
	for len(raw) > 2 {
		switch second := raw[1] | 0x20; raw[0] | 0x20 {
		case 'a':
			if second == 'u' {
				seen |= seenAuthorization
			}
		case 'c':
			if second == 'a' {
				seen |= seenCacheControl
			} else if named(raw, "content-length") {
				seen |= seenContentLength
			}
		case 'i':
			seen |= seenIfNoneMatch
		case 't':
			if named(raw, "transfer-encoding") {
				seen |= seenTransferEncoding
			}
		}
		end := bytes.IndexByte(raw, '\n')
		if end < 0 {
			break
		}
		raw = raw[end+1:]
	}
	return seen
}

func named(line []byte, name string) bool {
	return len(line) > len(name) && line[len(name)] == ':' && strings.EqualFold(asString(line[:len(name)]), name)
}

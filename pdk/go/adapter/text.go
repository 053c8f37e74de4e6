package edgecache

import (
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// plain returns where the first quote, backslash or control character is from i
// on; len(b) if none is. It looks at eight bytes at a time: a module pays for each
// instruction.
func plain(b []byte, i int) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(b); i += 8 {
		w := *(*uint64)(unsafe.Pointer(&b[i]))
		quote, back := w^'"'*ones, w^'\\'*ones
		if found := ((quote-ones)&^quote | (back-ones)&^back | (w-' '*ones)&^w) & high; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= ' ' {
		i++
	}
	return i
}

// asItIs reports whether a text is ASCII that a JSON string need not escape.
func asItIs(s string) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	b := unsafe.Slice(unsafe.StringData(s), len(s))
	for ; len(b) >= 8; b = b[8:] {
		w := *(*uint64)(unsafe.Pointer(&b[0]))
		quote, back := w^'"'*ones, w^'\\'*ones
		if (w|(quote-ones)&^quote|(back-ones)&^back|(w-' '*ones)&^w)&high != 0 {
			return false
		}
	}
	for _, c := range b {
		if c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// made returns text as a string, which is made once as long as no other takes its
// place.
func (p *JSON) made(raw []byte) string {
	if len(raw) == 0 || len(raw) > 24 {
		return valid(raw)
	}
	place := &p.strings[(len(raw)*37+int(raw[0])*5+int(raw[len(raw)-1])+int(raw[len(raw)/2])*3)%len(p.strings)]
	if *place != string(raw) {
		*place = valid(raw)
	}
	return *place
}

// valid returns text with U+FFFD for what is not UTF-8.
func valid(raw []byte) string {
	if utf8.Valid(raw) {
		return string(raw)
	}
	return string([]rune(string(raw)))
}

// unescaped returns the text of a string whose escapes are right.
func unescaped(raw []byte) string {
	b := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			b = append(b, raw[i])
			continue
		}
		i++
		switch raw[i] {
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			c := hex4(raw[i+1:])
			i += 4
			if utf16.IsSurrogate(c) {
				second := rune(-1)
				if len(raw) > i+6 && raw[i+1] == '\\' && raw[i+2] == 'u' {
					second = hex4(raw[i+3:])
				}
				if c = utf16.DecodeRune(c, second); c != utf8.RuneError {
					i += 6
				}
			}
			b = utf8.AppendRune(b, c)
		default:
			b = append(b, raw[i])
		}
	}
	return valid(b)
}

func hex4(raw []byte) rune {
	n, _ := strconv.ParseUint(string(raw[:4]), 16, 32) // scan saw to it
	return rune(n)
}

// isNumber reports whether text is a number as JSON has them.
func isNumber(text []byte) bool {
	if len(text) > 0 && text[0] == '-' {
		text = text[1:]
	}
	whole := digits(text)
	if whole == 0 || whole > 1 && text[0] == '0' {
		return false
	}
	if text = text[whole:]; len(text) > 0 && text[0] == '.' {
		fraction := digits(text[1:])
		if fraction == 0 {
			return false
		}
		text = text[1+fraction:]
	}
	if len(text) > 0 && (text[0] == 'e' || text[0] == 'E') {
		if text = text[1:]; len(text) > 0 && (text[0] == '+' || text[0] == '-') {
			text = text[1:]
		}
		return len(text) > 0 && digits(text) == len(text)
	}
	return len(text) == 0
}

// small reads a number of a few digits, all of which are there and nothing else.
func (p *JSON) small() (n int64, ok bool) {
	if p.next(); p.fatal != nil {
		return 0, false
	}
	const most = 9
	b, i := p.buffer[p.pos:min(p.end, p.pos+most+1)], 0
	for i < len(b) && b[i]-'0' < 10 {
		n = 10*n + int64(b[i]-'0')
		i++
	}
	if i == 0 || i == len(b) || i > 1 && b[0] == '0' || b[i] != ',' && b[i] != '}' && b[i] != ']' {
		return 0, false
	}
	p.pos += i
	return n, true
}

// digits returns how many there are at the beginning.
func digits(text []byte) (n int) {
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	return n
}

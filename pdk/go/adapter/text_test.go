//go:build !wasip1

package edgecache

import (
	"bytes"
	"testing"
)

// TestPlain puts each byte at each place, among bytes of all kinds.
func TestPlain(t *testing.T) {
	for _, around := range []byte{' ', '!', '~', 0x80, 0xff, 0xa2, 0xdc} {
		for length := range 20 {
			for at := range length {
				for c := range 256 {
					b := bytes.Repeat([]byte{around}, length)
					b[at] = byte(c)
					want := length
					if c < ' ' || c == '"' || c == '\\' {
						want = at
					}
					if got := plain(b, 0); got != want {
						t.Fatalf("plain(%q) is %d, want %d", b, got, want)
					}
				}
			}
		}
	}
}

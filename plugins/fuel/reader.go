package fuel

import (
	"errors"
	"fmt"
)

// A reader reads a part of a module. After the first error it returns zeros.
type reader struct {
	b   []byte
	at  int
	err error
}

var errShort = errors.New("cut short")

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = fmt.Errorf("at byte %d: %w", r.at, err)
	}
	r.at = len(r.b)
}

func (r *reader) more() bool { return r.err == nil && r.at < len(r.b) }

func (r *reader) byte() byte {
	if r.at >= len(r.b) {
		r.fail(errShort)
		return 0
	}
	b := r.b[r.at]
	r.at++
	return b
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b)-r.at {
		r.fail(errShort)
		return nil
	}
	b := r.b[r.at : r.at+n]
	r.at += n
	return b
}

// u32 reads an unsigned LEB128 number: at most five bytes, no bit beyond 32.
func (r *reader) u32() uint32 {
	if r.at < len(r.b) && r.b[r.at] < 0x80 { // nearly all are
		r.at++
		return uint32(r.b[r.at-1])
	}
	var v uint32
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		if shift == 28 && b > 0x0f {
			break
		}
		if v |= uint32(b&0x7f) << shift; b < 0x80 {
			return v
		}
	}
	r.fail(errors.New("a number is longer than 32 bits"))
	return 0
}

// signed skips a signed LEB128 number of so many bits.
func (r *reader) signed(bits int) {
	for shift := 0; shift < bits; shift += 7 {
		b := r.byte()
		if left := bits - shift; left < 7 {
			// What is beyond the number repeats its sign.
			if high := int8(b<<1) >> left; high != 0 && high != -1 || b >= 0x80 {
				break
			}
			return
		}
		if b < 0x80 {
			return
		}
	}
	r.fail(fmt.Errorf("a number is longer than %d bits", bits))
}

// count reads the length of a vector, whose items have a byte each at least.
func (r *reader) count() int {
	n := r.u32()
	if int64(n) > int64(len(r.b)-r.at) {
		r.fail(errShort)
		return 0
	}
	return int(n)
}

func (r *reader) name() string { return string(r.take(int(r.u32()))) }

// end fails if bytes are left.
func (r *reader) end() error {
	if r.err == nil && r.at < len(r.b) {
		r.fail(errors.New("bytes follow the end"))
	}
	return r.err
}

// appendSigned appends a signed LEB128 number.
func appendSigned(dst []byte, v int32) []byte {
	for {
		b := byte(v & 0x7f)
		v >>= 7
		if v == 0 && b&0x40 == 0 || v == -1 && b&0x40 != 0 {
			return append(dst, b)
		}
		dst = append(dst, b|0x80)
	}
}

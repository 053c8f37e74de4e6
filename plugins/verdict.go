package plugins

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	"github.com/edgecache/edgecache/registry"
)

// A decision is a verdict that was looked at: what becomes of a selection.
type decision struct {
	pass  bool           // the selection is as it was
	final bool           // the chain of filters ends
	picks []int32        // places in the selection, in their new order
	deny  *registry.Deny // the request is refused
}

// A badVerdict is an answer against the contract.
type badVerdict struct{ why string }

func (b *badVerdict) Error() string { return "bad verdict: " + b.why }

func bad(format string, args ...any) error { return &badVerdict{fmt.Sprintf(format, args...)} }

// A guestError is what a guest says is wrong.
type guestError struct {
	code uint16
	text string
}

func (e *guestError) Error() string {
	if e.text == "" {
		return fmt.Sprintf("the guest failed with code %d and no error_set", e.code)
	}
	return fmt.Sprintf("the guest failed with code %d: %s", e.code, e.text)
}

// decide looks at a verdict over n selected instances. picks has room for as many
// and may be that of the selection.
func (i *filterInstance) decide(d *decision, verdict uint64, n int, picks []int32) error {
	action, flags := byte(verdict), byte(verdict>>8)
	a16, a32 := uint16(verdict>>16), uint32(verdict>>32)
	known := byte(verdictCacheable | verdictFinal)
	if action == actMask32 || action == actMask {
		known |= verdictFirst
	}
	if flags&^known != 0 {
		return bad("flags %#x are not known of action %d", flags&^known, action)
	}
	d.final = flags&verdictFinal != 0
	switch action {
	case actPass:
		d.pass = true
		return nil
	case actMask32, actMask:
		return i.mask(d, verdict, n, picks)
	case actOrder:
		return i.order(d, a32, n, picks)
	case actBody:
		return bad("BODY is not in this version")
	case actDeny:
		return i.refuse(d, a16, a32)
	case actError:
		return &guestError{a16, i.said}
	}
	return bad("action %d is not known", action)
}

// mask reads a MASK32 or MASK: a bit for each instance.
func (i *filterInstance) mask(d *decision, verdict uint64, n int, picks []int32) error {
	mask, size := i.view[inCap:], uint32(verdict>>32)
	if byte(verdict) == actMask {
		if _, err := i.out(size, (n+7)/8, (n+7)/8); err != nil {
			return err
		}
	} else if n > 32 {
		return bad("MASK32 over %d instances; MASK or ORDER where there are more than 32", n)
	} else {
		mask = nil
	}
	picks = picks[:n]
	d.picks = picks[:places(picks, mask, size, n, 0)]
	if d.pass = len(d.picks) == n; d.pass {
		return nil
	}
	if byte(verdict>>8)&verdictFirst == 0 {
		return i.gen.allow(MayDrop, true)
	}
	places(picks[len(d.picks):], mask, size, n, ^uint64(0))
	d.picks = picks
	return i.allowOrder(picks)
}

// out returns what the guest wrote for its verdict.
func (i *filterInstance) out(length uint32, least, most int) ([]byte, error) {
	if int64(length) < int64(least) || int64(length) > int64(min(most, outCap)) {
		return nil, bad("it is %d bytes long, %d to %d are expected", length, least, min(most, outCap))
	}
	return i.view[inCap:][:length], nil
}

// allowOrder returns an error if picks are in an order that the filter may not
// make.
func (i *filterInstance) allowOrder(picks []int32) error {
	return i.gen.allow(MayReorder, !i.gen.reorders && !slices.IsSorted(picks))
}

// places fills picks with the places below n that a mask has, or those that it
// lacks: flip is then all ones. It returns how many. The mask is whole words,
// whatever is in them beyond n; without one it is short.
func places(picks []int32, mask []byte, short uint32, n int, flip uint64) int {
	if n <= 64 {
		word := uint64(short)
		if mask != nil {
			word = binary.LittleEndian.Uint64(mask)
		}
		return spread(picks, (word^flip)&(^uint64(0)>>(64-n)), 0)
	}
	k := 0
	for at := 0; at < n; at += 64 {
		word := binary.LittleEndian.Uint64(mask[at/8:]) ^ flip
		if left := n - at; left < 64 {
			word &= 1<<left - 1
		}
		k += spread(picks[k:], word, at)
	}
	return k
}

// spread fills picks with the places of the bits of a word, counted from at, and
// returns how many. There is room for them. Inlined, its rounds take half as long
// again.
//
//go:noinline
func spread(picks []int32, word uint64, at int) int {
	k := 0
	for ; word != 0 && k < len(picks); word &= word - 1 {
		picks[k] = int32(at + bits.TrailingZeros64(word))
		k++
	}
	return k
}

// order reads an ORDER: each place at most once, each below n.
func (i *filterInstance) order(d *decision, count uint32, n int, picks []int32) error {
	if int64(count) > int64(n) {
		return bad("ORDER of %d, there are %d instances", count, n)
	}
	list, err := i.out(2*count, 0, outCap)
	if err != nil {
		return err
	}
	d.picks = picks[:count]
	p := 0
	if n <= 64 {
		p = readPlaces(d.picks, list, n)
	} else {
		p = readManyPlaces(d.picks, list, n)
	}
	if p >= n {
		return bad("ORDER names instance %d of %d", p, n)
	} else if p >= 0 {
		return bad("ORDER names instance %d twice", p)
	}
	if err := i.allowOrder(d.picks); err != nil {
		return err
	}
	return i.gen.allow(MayDrop, int(count) < n)
}

// readPlaces fills picks from a list of places below n, which is at most 64. It
// returns the first that is not, or that comes again; -1 if there is none.
func readPlaces(picks []int32, list []byte, n int) int {
	var seen uint64
	below, most := int64(-1), int64(n) // below is negative as long as all places are less
	rest, left := picks, list
	for len(rest) >= 4 && len(left) >= 8 {
		v := binary.LittleEndian.Uint64(left)
		p, q, r, s := int64(v&0xffff), int64(v>>16&0xffff), int64(v>>32&0xffff), int64(v>>48)
		seen |= 1<<(p&63) | 1<<(q&63) | 1<<(r&63) | 1<<(s&63)
		below &= (p - most) & (q - most) & (r - most) & (s - most)
		rest[0], rest[1], rest[2], rest[3] = int32(p), int32(q), int32(r), int32(s)
		rest, left = rest[4:], left[8:]
	}
	for at := range rest {
		p := int64(binary.LittleEndian.Uint16(left[2*at:]))
		seen |= 1 << (p & 63)
		below &= p - most
		rest[at] = int32(p)
	}
	if below < 0 && bits.OnesCount64(seen) == len(picks) {
		return -1
	}
	return readManyPlaces(picks, list, n)
}

// readManyPlaces is readPlaces for n up to maxInstances.
func readManyPlaces(picks []int32, list []byte, n int) int {
	var seen [maxInstances / 64]uint64
	for at := range picks {
		p := int(binary.LittleEndian.Uint16(list[2*at:]))
		if p >= n || seen[p/64]>>(p%64)&1 != 0 {
			return p
		}
		seen[p/64] |= 1 << (p % 64)
		picks[at] = int32(p)
	}
	return -1
}

func (i *filterInstance) refuse(d *decision, status uint16, length uint32) error {
	if status < 400 || status > 599 {
		return bad("DENY with status %d, 400 to 599 are expected", status)
	}
	reason, err := i.out(length, 0, maxReason)
	if err != nil {
		return err
	}
	d.deny = &registry.Deny{Filter: i.gen.name, Status: int(status), Reason: printable(reason)}
	return i.gen.allow(MayDeny, true)
}

// allow returns an error if a filter does what it may not.
func (g *generation) allow(what May, does bool) error {
	if does && !slices.Contains(g.may, what) {
		return bad("it would %s, and may not: its manifest says [%s]", what, joined(g.may))
	}
	return nil
}

// apply does to a selection what was decided, unless too few would be left.
func (d *decision) apply(rec *registry.Record, sel *registry.Selection, least int) error {
	switch {
	case d.deny != nil:
		return d.deny
	case d.pass || len(d.picks) < min(least, sel.Len(rec)):
	default:
		d.pick(sel)
	}
	if d.final {
		return registry.ErrFinal
	}
	return nil
}

func (d *decision) pick(sel *registry.Selection) {
	if sel.All {
		sel.All = false
		if room := sel.Picks[:cap(sel.Picks)]; len(d.picks) > 0 && len(room) > 0 && &room[0] == &d.picks[0] {
			sel.Picks = d.picks
		} else {
			sel.Picks = append(sel.Picks[:0], d.picks...)
		}
		return
	}
	// The old order is read from behind the new one.
	n := len(sel.Picks)
	sel.Picks = append(sel.Picks, sel.Picks...)
	for at, p := range d.picks {
		sel.Picks[at] = sel.Picks[n+int(p)]
	}
	sel.Picks = sel.Picks[:len(d.picks)]
}

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
	pass  bool
	final bool           // the chain of filters ends
	mask  uint32         // of the first 32 selected instances, if picks is nil
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

// decide looks at a verdict over n selected instances. picks is room to use.
func (i *instance) decide(verdict uint64, n int, picks []int32) (d decision, err error) {
	action, flags := byte(verdict), byte(verdict>>8)
	a16, a32 := uint16(verdict>>16), uint32(verdict>>32)
	g := i.gen
	if flags&^(verdictCacheable|verdictFinal) != 0 {
		return d, bad("flags %#x are not known", flags)
	}
	d.final = flags&verdictFinal != 0
	switch action {
	case actPass:
		d.pass = true
		return d, nil
	case actMask32:
		if n > 32 {
			return d, bad("MASK32 over %d instances; MASK or ORDER where there are more than 32", n)
		}
		d.mask = a32 & uint32(1<<n-1)
		return d, g.allow(MayDrop, bits.OnesCount32(d.mask) < n)
	case actMask:
		mask, err := i.out(a32, (n+7)/8, (n+7)/8)
		if err != nil {
			return d, err
		}
		d.picks = picks[:0]
		for at := range n {
			if mask[at/8]&(1<<(at%8)) != 0 {
				d.picks = append(d.picks, int32(at))
			}
		}
		return d, g.allow(MayDrop, len(d.picks) < n)
	case actOrder:
		return i.order(d, a32, n, picks)
	case actBody:
		return d, bad("BODY is not in this version")
	case actDeny:
		return i.refuse(d, a16, a32)
	case actError:
		return d, &guestError{a16, i.said}
	}
	return d, bad("action %d is not known", action)
}

// out returns what the guest wrote for its verdict.
func (i *instance) out(length uint32, least, most int) ([]byte, error) {
	if int64(length) < int64(least) || int64(length) > int64(min(most, outCap)) {
		return nil, bad("it is %d bytes long, %d to %d are expected", length, least, min(most, outCap))
	}
	return i.view[inCap:][:length], nil
}

func (i *instance) order(d decision, count uint32, n int, picks []int32) (decision, error) {
	if int64(count) > int64(n) {
		return d, bad("ORDER of %d, there are %d instances", count, n)
	}
	list, err := i.out(2*count, 0, outCap)
	if err != nil {
		return d, err
	}
	var seen [maxInstances / 64]uint64
	d.picks = picks[:0]
	rises := true
	for at := 0; at < len(list); at += 2 {
		p := int32(binary.LittleEndian.Uint16(list[at:]))
		if int(p) >= n {
			return d, bad("ORDER names instance %d of %d", p, n)
		}
		if seen[p/64]&(1<<(p%64)) != 0 {
			return d, bad("ORDER names instance %d twice", p)
		}
		seen[p/64] |= 1 << (p % 64)
		rises = rises && (at == 0 || p > d.picks[len(d.picks)-1])
		d.picks = append(d.picks, p)
	}
	if err := i.gen.allow(MayReorder, !rises); err != nil {
		return d, err
	}
	return d, i.gen.allow(MayDrop, len(d.picks) < n)
}

func (i *instance) refuse(d decision, status uint16, length uint32) (decision, error) {
	if status < 400 || status > 599 {
		return d, bad("DENY with status %d, 400 to 599 are expected", status)
	}
	reason, err := i.out(length, 0, maxReason)
	if err != nil {
		return d, err
	}
	d.deny = &registry.Deny{Filter: i.gen.name, Status: int(status), Reason: printable(reason)}
	return d, i.gen.allow(MayDeny, true)
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
	case d.pass:
	case d.picks != nil:
		if len(d.picks) < least && sel.Len(rec) > 0 {
			break
		}
		d.pick(rec, sel)
	case bits.OnesCount32(d.mask) < least && sel.Len(rec) > 0:
	case sel.All && bits.OnesCount32(d.mask) == len(rec.Instances):
	default:
		d.keep(sel)
	}
	if d.final {
		return registry.ErrFinal
	}
	return nil
}

// keep drops what the mask does not have.
func (d *decision) keep(sel *registry.Selection) {
	kept := sel.Picks[:0]
	for mask := d.mask; mask != 0; mask &= mask - 1 {
		at := bits.TrailingZeros32(mask)
		if sel.All {
			kept = append(kept, int32(at))
		} else {
			kept = append(kept, sel.Picks[at]) // never before what was read: at only rises
		}
	}
	sel.All, sel.Picks = false, kept
}

func (d *decision) pick(rec *registry.Record, sel *registry.Selection) {
	if sel.All {
		sel.All, sel.Picks = false, append(sel.Picks[:0], d.picks...)
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

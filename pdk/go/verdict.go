package edgecache

import "unsafe"

// A Verdict is what decide returns.
type Verdict uint64

// Pass leaves the instances as they are.
const Pass Verdict = 0

const (
	actMask32 = 1
	actMask   = 2
	actOrder  = 3
	actDeny   = 5
	actFail   = 255
)

// Cacheable says that the verdict is the same whenever the record and the
// attributes are: the host remembers it.
func (v Verdict) Cacheable() Verdict { return v | 1<<8 }

// Final ends the chain of filters.
func (v Verdict) Final() Verdict { return v | 2<<8 }

// Deny refuses the request, with an HTTP status from 400 to 599 and a reason of
// 1 KiB at most.
func (c *Call) Deny(status uint16, reason string) Verdict {
	out := unsafe.Slice((*byte)(c.at(c.out)), c.outCapacity)
	return actDeny | Verdict(status)<<16 | Verdict(copy(out, reason))<<32
}

// Fail says that the filter could not decide; text says why, and code is its own.
// The host then does what the filter's on_failure says.
func (c *Call) Fail(code uint16, text string) Verdict {
	hostError(text)
	return actFail | Verdict(code)<<16
}

// A Keep is a set of instances that are kept; their order stays.
type Keep struct {
	call *Call
	kept int
}

// Keep returns an empty set.
func (c *Call) Keep() Keep {
	clear(c.mask())
	return Keep{call: c}
}

func (c *Call) mask() []byte { return unsafe.Slice((*byte)(c.at(c.out)), (max(c.Count(), 32)+7)/8) }

// Add keeps an instance.
func (k *Keep) Add(i int) {
	bits := k.call.mask()
	if bits[i/8]&(1<<(i%8)) == 0 {
		bits[i/8] |= 1 << (i % 8)
		k.kept++
	}
}

// Len returns how many are kept.
func (k *Keep) Len() int { return k.kept }

// Verdict drops all that were not added.
func (k *Keep) Verdict() Verdict {
	n := k.call.Count()
	if n <= 32 {
		return actMask32 | Verdict(*(*uint32)(k.call.at(k.call.out)))<<32
	}
	return actMask | Verdict((n+7)/8)<<32
}

// An Order is a list of instances in a new order.
type Order struct {
	call     *Call
	n, later int
}

// Order returns an empty list.
func (c *Call) Order() Order { return Order{call: c} }

// Add appends an instance, which must not be in the list.
func (o *Order) Add(i int) {
	o.room()
	*(*uint16)(o.call.at(o.call.out + 2*uint32(o.n))) = uint16(i)
	o.n++
}

// Later appends an instance behind all that are added, now or after it.
func (o *Order) Later(i int) {
	o.room()
	*(*uint16)(o.call.at(o.behind() + 2*uint32(o.later))) = uint16(i)
	o.later++
}

// behind returns where what comes later is kept.
func (o *Order) behind() uint32 { return o.call.out + o.call.outCapacity/2 }

func (o *Order) room() {
	if uint(o.n+o.later) >= uint(min(o.call.Count(), int(o.call.outCapacity/4))) {
		panic("edgecache: more in an order than there are instances")
	}
}

// Len returns how many were added, without those that come later.
func (o *Order) Len() int { return o.n }

// Verdict drops all that are in neither list, and has the others in their order.
func (o *Order) Verdict() Verdict {
	copy(unsafe.Slice((*uint16)(o.call.at(o.call.out+2*uint32(o.n))), o.later), unsafe.Slice((*uint16)(o.call.at(o.behind())), o.later))
	return actOrder | Verdict(o.n+o.later)<<32
}

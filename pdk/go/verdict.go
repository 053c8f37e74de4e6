package edgecache

import (
	"math/bits"
	"unsafe"
)

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

	first = 4 << 8 // what a mask lacks follows
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

// A Keep is a set of instances.
type Keep struct {
	bits  unsafe.Pointer // words of 32
	count uint32         // instances that there are
}

// Keep returns an empty set.
func (c *Call) Keep() Keep {
	k := Keep{c.at(c.out), c.count}
	for at := uint32(0); at <= k.count/32; at++ {
		*k.word(at) = 0
	}
	return k
}

// KeepZone returns the set of the instances whose zone lies at a place. A filter's
// loop costs more than what is in it: here some are looked at in each round.
func (c *Call) KeepZone(zone Place) Keep {
	k := Keep{c.at(c.out), c.count}
	stride := uintptr(c.stride)
	row := unsafe.Add(c.at(c.instances), unsafe.Offsetof(Instance{}.zone))
	for at, i := uint32(0), uint32(0); at <= k.count/32; at++ {
		word, end := uint32(0), min(k.count, 32*at+32)
		for ; i+4 <= end; i += 4 {
			word |= (in(row, zone) | in(unsafe.Add(row, stride), zone)<<1 |
				in(unsafe.Add(row, 2*stride), zone)<<2 | in(unsafe.Add(row, 3*stride), zone)<<3) << (i % 32)
			row = unsafe.Add(row, 4*stride)
		}
		for ; i < end; i++ {
			word |= in(row, zone) << (i % 32)
			row = unsafe.Add(row, stride)
		}
		*k.word(at) = word
	}
	return k
}

// in returns 1 if what lies at an instance's zone has a place, else 0.
func in(row unsafe.Pointer, zone Place) (bit uint32) {
	if *(*Place)(row)&placed == zone {
		bit = 1
	}
	return bit
}

func (k *Keep) word(at uint32) *uint32 { return (*uint32)(unsafe.Add(k.bits, 4*at)) }

// Add adds an instance.
func (k *Keep) Add(i int) {
	if uint(i) >= uint(k.count) {
		panic("edgecache: no such instance")
	}
	*k.word(uint32(i) / 32) |= 1 << (i % 32)
}

// Len returns how many were added.
func (k *Keep) Len() (n int) {
	for at := uint32(0); at <= k.count/32; at++ {
		n += bits.OnesCount32(*k.word(at))
	}
	return n
}

// First has those that were added first and the others behind them, both in their
// order. None is dropped.
func (k *Keep) First() Verdict { return k.Verdict() | first }

// Verdict drops all that were not added. The others stay in their order.
func (k *Keep) Verdict() Verdict {
	if k.count <= 32 {
		return actMask32 | Verdict(*k.word(0))<<32
	}
	return actMask | Verdict((k.count+7)/8)<<32
}

// An Order is a list of instances in a new order.
type Order struct {
	out     unsafe.Pointer
	n, most uint32
}

// Order returns an empty list.
func (c *Call) Order() Order { return Order{out: c.at(c.out), most: min(c.count, outSize/2)} }

// Add appends an instance, which must not be in the list.
func (o *Order) Add(i int) {
	if o.n >= o.most {
		panic("edgecache: more in an order than there are instances")
	}
	*(*uint16)(unsafe.Add(o.out, 2*o.n)) = uint16(i)
	o.n++
}

// Len returns how many were added.
func (o *Order) Len() int { return int(o.n) }

// Verdict drops all that were not added, and has the others in the order in which
// they were.
func (o *Order) Verdict() Verdict { return actOrder | Verdict(o.n)<<32 }

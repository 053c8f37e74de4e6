package registry

import "sync/atomic"

// An Owner is who keeps values with records: what it made of one, for as long
// as the record lives.
type Owner struct{ gone atomic.Bool }

// Retire says that the owner asks for its values no more: they go when another
// owner adds one, or with their record.
func (o *Owner) Retire() { o.gone.Store(true) }

// A derived value is one of a list, newest first. The list is never changed,
// only replaced.
type derived struct {
	owner *Owner
	value any
	next  *derived
}

// Derived returns what an owner keeps with the record, nil if nothing.
func (r *Record) Derived(o *Owner) any {
	for d := r.derived.Load(); d != nil; d = d.next {
		if d.owner == o {
			return d.value
		}
	}
	return nil
}

// Derive keeps a value with the record and returns it, or the one that the
// owner keeps already. Size does not count it: let it have a bound.
func (r *Record) Derive(o *Owner, value any) any {
	for {
		old := r.derived.Load()
		next := &derived{owner: o, value: value}
		tail := &next.next
		for d := old; d != nil; d = d.next {
			switch {
			case d.owner == o:
				return d.value
			case !d.owner.gone.Load():
				*tail = &derived{owner: d.owner, value: d.value}
				tail = &(*tail).next
			}
		}
		if r.derived.CompareAndSwap(old, next) {
			return value
		}
	}
}

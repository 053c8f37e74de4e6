package plugins

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/edgecache/edgecache/registry"
)

// An adapterCall is one call of an adapter's export: what it is asked, what it
// answers, and what it may still spend.
type adapterCall struct {
	ctx  context.Context
	name string  // slot 0; "": none
	have *string // slot 2; nil: none
	from *string // slot 3; nil: none

	record   []byte // outputs; nil: not set
	names    []string
	listed   int // bytes of names
	next     *string
	version  *string
	emits    []emitted
	emitted  int   // bytes of emits
	polls    bool  // emit may be called
	recorded bool  // emits keep their text
	trouble  error // the last that a call of the host ended in
	fault    error // what ends the call in spite of what the guest returns

	exchanges map[int64]*exchange
	handles   int64 // given out
	requests  int
	most      int // requests

	total, spent int64
	slice        int32 // that the counter was set to last
	grace        int   // calls of the host once ctx is over
}

// An emitted is what a poll said of a name.
type emitted struct {
	op   uint32
	name string
	rec  *registry.Record // of an upsert
	text []byte           // likewise, as the guest wrote it, if that is recorded
}

// graceCalls of the host are answered after a call's time is over, so that the
// guest can say what it did not get.
const graceCalls = 8

var errOutOfTime = errors.New("its time is over")

// An outOfFuel is how a call ends that spent all that it had.
type outOfFuel struct{ spent, total int64 }

func (o *outOfFuel) Error() string {
	return fmt.Sprintf("out of fuel: %d used of %d; limits.fuel of the manifest raises it, to %d at most", o.spent, o.total, mostAdapterFuel)
}

// refill counts what was spent since it was last called, and gives the next
// slice. It panics, which ends the call, if there is none, or no more time.
func (c *adapterCall) refill(i *instance) {
	c.account(i)
	if c.spent >= c.total {
		panic(&outOfFuel{c.spent, c.total})
	}
	if c.ctx.Err() != nil {
		if c.grace++; c.grace > graceCalls {
			panic(errOutOfTime)
		}
	}
	c.give(i)
}

func (c *adapterCall) account(i *instance) {
	c.spent += int64(c.slice) - int64(api.DecodeI32(i.fuel.Get()))
	c.slice = api.DecodeI32(i.fuel.Get())
}

// fund gives the fuel of what is no call of ec_lookup, ec_list or ec_poll: in
// slices, if the guest asks for them.
func (i *instance) fund(n int32) {
	first := n
	if i.prog.refills {
		first = min(n, sliceFuel)
	}
	i.reserve = n - first
	i.fuel.Set(api.EncodeI32(first))
}

// refund gives a guest that was funded its next slice once the last is used up.
// It panics, which ends the call, if there is none.
func (i *instance) refund() {
	left := api.DecodeI32(i.fuel.Get())
	if left >= 0 || !i.prog.refills {
		return
	}
	if i.reserve == 0 {
		panic(errNoFuel)
	}
	i.fuel.Set(api.EncodeI32(left + i.draw(sliceFuel)))
}

// draw takes fuel of what is yet to be given, as far as there is any.
func (i *instance) draw(n int32) int32 {
	n = min(n, i.reserve)
	i.reserve -= n
	return n
}

func (c *adapterCall) give(i *instance) {
	c.slice = int32(min(sliceFuel, c.total-c.spent))
	i.fuel.Set(api.EncodeI32(c.slice))
}

// do has a guest do one call, and returns its code. After an error, which is a
// [*Failure], the instance must not be used again.
func (i *instance) do(f api.Function, c *adapterCall) (code int32, err error) {
	i.said, i.output, i.call = "", "", c
	c.total = int64(i.prog.module.Manifest.Limits.Fuel)
	c.give(i)
	defer func() {
		i.call = nil
		for _, e := range c.exchanges {
			e.close()
		}
	}()
	i.stack[0] = 0
	err = f.CallWithStack(i.ctx, i.stack[:])
	c.account(i)
	i.spent = c.spent
	if err != nil {
		return 0, i.explainCall(err, c)
	}
	return api.DecodeI32(i.stack[0]), nil
}

// explainCall says in an author's terms how a call ended.
func (i *instance) explainCall(err error, c *adapterCall) error {
	if e, ok := errors.AsType[*outOfFuel](err); ok {
		return &Failure{"fuel", errors.Join(e, i.lastWords())}
	}
	if errors.Is(err, errOutOfTime) {
		return &Failure{"deadline", errors.Join(fmt.Errorf("its time is over: %w", context.Cause(c.ctx)), i.lastWords())}
	}
	if !i.prog.refills && api.DecodeI32(i.fuel.Get()) < 0 {
		return &Failure{"fuel", fmt.Errorf("out of fuel: more than %d units between two calls of the host; a module that imports %s.%s gets more by itself", sliceFuel, importFuel.Module, importFuel.Name)}
	}
	i.fuel.Set(0) // it did not end it
	return i.explain(err, 0)
}

// failed returns what a code below zero stands for, with the guest's words.
func (c *adapterCall) failed(i *instance, code int32) error {
	name, ok := codeNames[code]
	if !ok {
		return &Failure{"output", fmt.Errorf("it returned %d, which is no code", code)}
	}
	words := i.said
	if e, ok := errors.AsType[*httpError](c.trouble); ok && e.code == code && !strings.Contains(words, e.Error()) {
		if words != "" {
			words += ": "
		}
		words += e.Error()
	}
	return &Failure{"guest", &codeError{code, fmt.Sprintf("%s: %s", name, orNothing(words))}}
}

// A codeError is a code that a guest returned, with its words.
type codeError struct {
	code int32
	text string
}

func (e *codeError) Error() string { return e.text }

// left is how long the call may still take.
func (c *adapterCall) left() time.Duration {
	deadline, ok := c.ctx.Deadline()
	if !ok {
		return time.Hour
	}
	return max(0, time.Until(deadline))
}

package plugins

import (
	"errors"
	"strings"
	"time"

	"github.com/tetratelabs/wazero/api"
)

// code returns what a guest is told of an error of the host's, which is noted
// for the failure that may follow.
func (c *adapterCall) code(err error) uint64 {
	c.trouble = err
	if e, ok := errors.AsType[*httpError](err); ok {
		return api.EncodeI32(e.code)
	}
	return api.EncodeI32(codeInternal)
}

// wide makes a code the result of a function that returns an i64.
func wide(code uint64) uint64 { return uint64(int64(int32(uint32(code)))) }

func (i *instance) sendHTTP(stack []uint64) {
	c := i.call
	switch {
	case uint32(stack[1]) > maxHead || uint32(stack[3]) > maxSent:
		stack[0] = wide(c.code(&httpError{codeTooLarge, errors.New("http_send: at most 64 KiB of head and 1 MiB of body expected")}))
		return
	case len(c.exchanges) >= maxHandles:
		stack[0] = wide(c.code(&httpError{codeTooLarge, errors.New("http_send: 4 answers are open; http_close expected")}))
		return
	case c.requests >= c.most:
		stack[0] = wide(c.code(&httpError{codeRateLimited, errors.New("http_send: that were all requests that a call may make")}))
		return
	case c.ctx.Err() != nil:
		stack[0] = wide(c.code(&httpError{codeTimeout, errors.New("http_send: the call's time is over")}))
		return
	}
	c.requests++
	head, body := string(i.bytes(stack[0], stack[1])), append([]byte(nil), i.bytes(stack[2], stack[3])...)
	e, err := i.out.send(c.ctx, head, body, time.Duration(uint32(stack[4]))*time.Millisecond)
	if err != nil {
		stack[0] = wide(c.code(err))
		return
	}
	if c.exchanges == nil {
		c.exchanges = map[int64]*exchange{}
	}
	c.handles++
	c.exchanges[c.handles] = e
	stack[0] = uint64(c.handles)
}

// exchange returns what a handle stands for; nil, with a code on the stack, if
// there is none.
func (i *instance) exchange(stack []uint64) *exchange {
	e := i.call.exchanges[int64(stack[0])]
	if e == nil {
		stack[0] = api.EncodeI32(codeClosed)
	}
	return e
}

func (i *instance) statusHTTP(stack []uint64) {
	if e := i.exchange(stack); e != nil {
		stack[0] = uint64(e.answer.StatusCode)
	}
}

func (i *instance) headerHTTP(stack []uint64) {
	e := i.exchange(stack)
	if e == nil {
		return
	}
	if uint32(stack[2]) > maxKey {
		stack[0] = api.EncodeI32(codeInvalid)
		return
	}
	values := e.answer.Header.Values(string(i.bytes(stack[1], stack[2])))
	if len(values) == 0 {
		stack[0] = api.EncodeI32(codeNotFound)
		return
	}
	stack[0] = i.give(strings.Join(values, "\n"), stack[3], stack[4])
}

func (i *instance) readHTTP(stack []uint64) {
	e := i.exchange(stack)
	if e == nil {
		return
	}
	b, ok := i.mod.Memory().Read(uint32(stack[1]), uint32(stack[2]))
	if !ok {
		panic(beyond(stack[1], stack[2]))
	}
	n, err := e.receive(b)
	i.charge(n)
	if err != nil {
		stack[0] = i.call.code(err)
		return
	}
	stack[0] = uint64(n)
}

func (i *instance) closeHTTP(stack []uint64) {
	e := i.exchange(stack)
	if e == nil {
		return
	}
	delete(i.call.exchanges, int64(stack[0]))
	e.close()
	stack[0] = codeOK
}

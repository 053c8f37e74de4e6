package plugins

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/edgecache/edgecache/plugins/fuel"
)

// An instance is one run of a guest. Whoever took it from its pool is alone with
// it.
type instance struct {
	prog    *program
	ctx     context.Context
	mod     api.Module
	fuel    api.MutableGlobal
	clean   api.Function // ec_idle; nil: none
	first   uint32       // bytes of memory after ec_init
	stack   [1]uint64
	calls   uint64
	cleaned uint64 // calls when ec_idle was called
	said    string // by error_set
	output  string // what it printed first

	// Of adapters.
	call    *adapterCall // that is under way; nil: none
	out     *outbound
	spent   int64 // by the last call
	reserve int32 // fuel that is yet to be given, outside of calls
	kept    *keep // nil: it may keep nothing
}

// An instanceContext is the context of an instance's calls. Each asks it for what
// it does not have, and gets there sooner than by context.WithValue.
type instanceContext struct {
	context.Context
	i *instance
}

// Value returns the instance under its key.
func (c instanceContext) Value(key any) any {
	if _, ok := key.(instanceKey); ok {
		return c.i
	}
	return nil
}

// A Failure is what went wrong in a guest, in words for its author.
type Failure struct {
	Kind string // fuel, trap, exit, verdict, guest, frame, busy, broken, output, deadline
	Err  error
}

func (f *Failure) Error() string { return f.Err.Error() }

func (f *Failure) Unwrap() error { return f.Err }

// start makes i an instance of the program, up to where it can be called. After an
// error nothing of it is left.
func (p *program) start(i *instance) error {
	i.prog = p
	i.ctx = instanceContext{context.Background(), i}
	var err error
	i.mod, err = p.runtime.InstantiateModule(i.ctx, p.compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return fmt.Errorf("instantiation: %w", err)
	}
	touch(i.mod.Memory())
	i.fuel = i.mod.ExportedGlobal(fuel.Export).(api.MutableGlobal)
	if err := i.begin(); err != nil {
		i.close()
		return err
	}
	i.clean = i.mod.ExportedFunction(exportIdle)
	return nil
}

// touch has the system give a memory all of its pages. A guest that were the first
// to need them would run for milliseconds of page faults on little fuel, and a
// garbage collection wait for it.
func touch(m api.Memory) {
	const page = 4096
	for at := uint32(0); at < m.Size(); at += page {
		word, _ := m.ReadUint32Le(at)
		m.WriteUint32Le(at, word)
	}
}

// begin calls what a guest does before its first call, on one budget.
func (i *instance) begin() error {
	i.fund(initFuel)
	for _, export := range [...]string{fuel.Start, "_initialize", exportABI, exportInit} {
		f := i.mod.ExportedFunction(export)
		if f == nil {
			continue
		}
		results, err := f.Call(i.ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", export, i.explain(err, initFuel))
		}
		switch export {
		case exportABI:
			if v := uint32(results[0]); v>>16 != abiMajor || v&0xffff > abiMinor {
				return fmt.Errorf("%s: it was built for ABI %d.%d, this host has %d.%d", export, v>>16, v&0xffff, abiMajor, abiMinor)
			}
		case exportInit:
			if code := api.DecodeI32(results[0]); code != codeOK {
				return fmt.Errorf("%s: it returned %d: %s", export, code, orNothing(i.said))
			}
		}
	}
	i.first = i.mod.Memory().Size()
	return nil
}

func orNothing(said string) string {
	if said == "" {
		return "error_set was not called"
	}
	return said
}

// explain says in an author's terms how a call ended.
func (i *instance) explain(err error, budget int32) error {
	if e, ok := errors.AsType[exit](err); ok {
		return &Failure{"exit", errors.Join(e, i.lastWords())}
	}
	left := api.DecodeI32(i.fuel.Get())
	if left < 0 && (budget == initFuel || budget == idleFuel) {
		return &Failure{"fuel", fmt.Errorf("out of fuel: %d used of %d, which nothing raises", int64(budget)-int64(left), budget)}
	}
	if left < 0 {
		return &Failure{"fuel", fmt.Errorf("out of fuel: %d used of %d; limits.fuel and limits.fuel_per_instance of the manifest raise it, to %d at most", int64(budget)-int64(left), budget, mostFuel)}
	}
	lines := strings.Split(err.Error(), "\n")
	reason := strings.TrimSuffix(strings.TrimPrefix(lines[0], "wasm error: "), " (recovered by wazero)")
	var trace []string
	for _, line := range lines[1:] {
		if line = strings.TrimSpace(line); line != "" && line != "wasm stack trace:" && len(trace) < 4 {
			trace = append(trace, line)
		}
	}
	text := fmt.Errorf("trap: %s, in %s", reason, strings.Join(trace, " < "))
	return &Failure{"trap", errors.Join(text, i.lastWords())}
}

// lastWords returns what the guest said of its end; nil if nothing.
func (i *instance) lastWords() error {
	switch {
	case i.said != "":
		return fmt.Errorf("it said: %s", i.said)
	case i.output != "":
		return fmt.Errorf("it printed: %s", i.output)
	}
	return nil
}

func (i *instance) close() { _ = i.mod.Close(i.ctx) }

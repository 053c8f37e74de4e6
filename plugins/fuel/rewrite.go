package fuel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Version is of the rewriter: what one version wrote another may not run.
const Version = 3

// Names that a rewritten module exports, besides its own.
const (
	Export   = "__ec_fuel"  // the counter, a mutable i32 global; 0 at first: it must be set before any call
	Start    = "__ec_start" // the start function, if there was one: it is not called at instantiation
	reserved = "__ec_"
)

// Most is the greatest value the counter may be set to. A body that overdraws
// it cannot wrap it around.
const Most = 1 << 30

// What a module may have. Compilation takes a time that grows with basic blocks
// times variables, and wazero does not interrupt it: 74 KB can take 35 s.
const (
	maxBody    = 1 << 20   // bytes
	maxLocals  = 1_000     // of a function, parameters among them
	maxMutable = 64        // globals: each is a variable of each function
	maxNesting = 10_000    // blocks
	maxFuncs   = 50_000    // with a body
	maxLabels  = 10_000    // of a br_table
	maxTable   = 65_536    // elements
	maxScore   = 250_000   // basic blocks × (locals + mutable globals) of a function
	maxScores  = 5_000_000 // of all functions

	looked = 2 // basic blocks that a look adds
)

// A Module is what became of a binary.
type Module struct {
	Binary []byte
	Start  bool // it exports [Start]
	Refill bool // it asks for more fuel, see [RewriteRefilled]
	Score  int  // basic blocks × variables, of all functions: what its compilation costs
	plain  module
}

// An Import names what a module imports.
type Import struct{ Module, Name string }

// Rewrite returns a module that does what the given one does, and traps by
// "unreachable" when its counter, exported under [Export], falls below zero.
// The given one must be valid, which is not looked at here: what calls has wazero
// validate all of [Module.Plain] before anything runs, for an invalid module may become
// valid by rewriting, and reach the counter. What would make validation itself
// expensive is refused here.
//
// It is an error, in words for the module's author, if the module imports
// anything but functions, has a table that may grow beyond 65 536 elements or
// more than one memory, exports a name of the host's, uses opcodes
// beyond WebAssembly 2.0, or would take too long to compile.
func Rewrite(wasm []byte) (*Module, error) { return RewriteRefilled(wasm, Import{}) }

// RewriteRefilled is [Rewrite], but for modules that import a function of type
// () -> i32 under the given name: it is called, and its result dropped, where the
// counter has fallen below zero. It sets the counter anew, or ends the call.
func RewriteRefilled(wasm []byte, refill Import) (*Module, error) {
	m, err := parse(wasm, refill)
	if err != nil {
		return nil, err
	}
	if m.mutable++; m.globals > 1<<20 {
		return nil, fmt.Errorf("%d globals, at most %d are expected", m.globals, 1<<20)
	}
	w := &writer{m: m, get: index(opGlobalGet, m.globals), set: index(opGlobalSet, m.globals)}
	code, err := w.code()
	if err != nil {
		return nil, err
	}
	plain := *m
	m.parts[sectionGlobal] = w.globals()
	m.parts[sectionExport] = w.exports()
	m.parts[sectionCode] = code
	m.has[sectionGlobal], m.has[sectionExport], m.has[sectionStart] = true, true, false
	return &Module{Binary: m.join(len(wasm) + len(wasm)/4), plain: plain, Start: m.start >= 0, Refill: m.refill >= 0, Score: w.score}, nil
}

// A writer writes the rewritten module.
type writer struct {
	m        *module
	get, set []byte // instructions on the counter
	score    int
}

func index(op byte, i int) []byte { return appendSize([]byte{op}, i) }

func appendSize(dst []byte, n int) []byte { return binary.AppendUvarint(dst, uint64(n)) }

// grown returns a section whose vector has more items.
func grown(section []byte, more int, items []byte) []byte {
	r := &reader{b: section}
	n := 0
	if len(section) > 0 {
		n = int(r.u32())
	}
	return slices.Concat(binary.AppendUvarint(nil, uint64(n+more)), section[r.at:], items)
}

func (w *writer) globals() []byte {
	return grown(w.m.parts[sectionGlobal], 1, []byte{valueI32, 1, opI32Const, 0, opEnd})
}

func (w *writer) exports() []byte {
	item := func(name string, kind byte, index int) []byte {
		b := append(binary.AppendUvarint(nil, uint64(len(name))), name...)
		return binary.AppendUvarint(append(b, kind), uint64(index))
	}
	items, n := item(Export, kindGlobal, w.m.globals), 1
	if w.m.start >= 0 {
		items, n = append(items, item(Start, kindFunction, w.m.start)...), 2
	}
	return grown(w.m.parts[sectionExport], n, items)
}

// join puts the sections together.
func (m *module) join(size int) []byte {
	out := append(make([]byte, 0, size), header...)
	add := func(id int, content []byte) {
		out = append(appendSize(append(out, byte(id)), len(content)), content...)
	}
	for _, id := range order {
		if m.has[id] {
			add(id, m.parts[id])
		}
	}
	if m.names != nil {
		add(sectionCustom, m.names)
	}
	return out
}

// code returns the code section with its charges.
func (w *writer) code() ([]byte, error) {
	r := &reader{b: w.m.parts[sectionCode]}
	n := 0
	if w.m.has[sectionCode] {
		n = r.count()
	}
	if r.err == nil && n != len(w.m.types) {
		return nil, fmt.Errorf("%d functions are declared and %d have a body", len(w.m.types), n)
	}
	out := binary.AppendUvarint(make([]byte, 0, len(r.b)+len(r.b)/4), uint64(n))
	var body []byte
	for i := range n {
		code := r.take(int(r.u32()))
		if r.err != nil {
			break
		}
		var err error
		if body, err = w.function(body[:0], code, w.m.params[w.m.types[i]]); err != nil {
			return nil, fmt.Errorf("%s: %w", w.m.function(w.m.imported+i), err)
		}
		out = append(binary.AppendUvarint(out, uint64(len(body))), body...)
	}
	if !w.m.has[sectionCode] {
		return nil, r.err
	}
	return out, r.end()
}

// function appends the body of a function with its charges.
func (w *writer) function(dst, code []byte, params int) ([]byte, error) {
	if len(code) > maxBody {
		return nil, fmt.Errorf("its body has %d bytes, at most %d are expected", len(code), maxBody)
	}
	s, first, err := w.m.body(code, params)
	if err != nil {
		return nil, err
	}
	blocks := s.branches()
	score := blocks * (s.locals + w.m.mutable)
	if w.score += score; score > maxScore {
		return nil, fmt.Errorf("it would take long to compile: %d basic blocks and %d variables; at most %d are expected as their product",
			blocks, s.locals+w.m.mutable, maxScore)
	}
	if w.score > maxScores {
		return nil, fmt.Errorf("the module would take long to compile: up to here, basic blocks times variables are more than %d", maxScores)
	}
	dst = append(dst, code[:first]...)
	if len(s.lengths) > 0 {
		if s.locals >= maxLocals {
			return nil, errors.New("no local is left for the length of what it moves")
		}
		dst = grown(code[:first], 1, []byte{1, valueI32})
	}
	at, sites, lengths := first, s.sites(), s.lengths
	for i := 0; i < len(sites) || len(lengths) > 0; {
		if i == len(sites) || len(lengths) > 0 && lengths[0].at < sites[i].at {
			dst = append(dst, code[at:lengths[0].at]...)
			at = lengths[0].at
			dst = w.chargeLength(dst, lengths[0], s.locals)
			lengths = lengths[1:]
			continue
		}
		dst = append(dst, code[at:sites[i].at]...)
		at = sites[i].at
		dst = w.charge(dst, sites[i])
		i++
	}
	return append(dst, code[at:]...), nil
}

// charge appends what takes a weight off the counter.
func (w *writer) charge(dst []byte, s site) []byte {
	if s.weight > 0 {
		dst = append(dst, w.get...)
		dst = appendSigned(append(dst, opI32Const), int32(s.weight))
		dst = append(dst, opI32Sub)
		dst = append(dst, w.set...)
	}
	if s.look {
		dst = w.look(dst)
	}
	return dst
}

// look appends what traps if no fuel is left, or asks for more: in the else
// branch, which wazero lays out behind the function's code, so that nothing is
// jumped over while fuel lasts.
func (w *writer) look(dst []byte) []byte {
	dst = append(append(dst, w.get...), opI32Const, 0, opI32GeS, opIf, emptyBlock, opElse)
	if w.m.refill < 0 {
		return append(dst, opUnreachable, opEnd)
	}
	return append(appendSize(append(dst, opCall), w.m.refill), opDrop, opEnd)
}

// chargeLength appends what takes the cost of the operand on top of the stack
// off the counter, and leaves the stack as it was.
func (w *writer) chargeLength(dst []byte, s site, local int) []byte {
	get := index(opLocalGet, local)
	dst = append(dst, index(opLocalTee, local)...)
	// At most so many: more would fail, and wrap the counter around.
	clamped := func(dst []byte, most int32) []byte {
		limit := appendSigned([]byte{opI32Const}, most)
		return append(slices.Concat(dst, get, limit, get, limit), opI32LtU, opSelect)
	}
	charge := slices.Clone(w.get)
	switch s.length {
	case opMemoryGrow: // by the pages after it
		charge = append(clamped(append(charge, opMemorySize, 0), pagesMost), opI32Add, opI32Const, growShift, opI32Shl)
	case miscTableGrow:
		size := binary.AppendUvarint([]byte{opMisc, miscTableSize}, uint64(s.table))
		charge = append(clamped(append(charge, size...), maxTable), opI32Add, opI32Const, tableShift, opI32ShrU)
	case miscTableInit, miscTableCopy, miscTableFill:
		charge = append(append(charge, get...), opI32Const, tableShift, opI32ShrU)
	default:
		charge = append(append(charge, get...), opI32Const, memoryShift, opI32ShrU)
	}
	dst = append(append(dst, charge...), opI32Sub)
	return w.look(append(dst, w.set...))
}

package fuel_test

import (
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/edgecache/edgecache/plugins/fuel"
)

// wasm is a module of one function () -> () with the given body, and further
// sections by their number.
func wasm(body []byte, more map[byte][]byte) []byte {
	parts := map[byte][]byte{
		1:  vector([]byte{0x60, 0, 0}),
		3:  vector([]byte{0}),
		10: vector(sized(body)),
	}
	for id, content := range more {
		parts[id] = content
	}
	out := []byte("\x00asm\x01\x00\x00\x00")
	for _, id := range []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11, 0} {
		if content, ok := parts[id]; ok {
			out = append(out, section(id, content)...)
		}
	}
	return out
}

func repeat(b []byte, n int) []byte { return []byte(strings.Repeat(string(b), n)) }

func TestWhatIsRefusedAndWhy(t *testing.T) {
	empty := []byte{0, 0x0b}
	name := func(s string) []byte { return append(uleb(uint64(len(s))), s...) }
	// nested blocks, each with an if that adds two basic blocks.
	ifs := func(n, locals int) []byte {
		body := append([]byte{1}, append(uleb(uint64(locals)), 0x7f)...)
		body = append(body, repeat([]byte{0x41, 0, 0x04, 0x40, 0x0b}, n)...)
		return append(body, 0x0b)
	}
	deep := append(append([]byte{0}, repeat([]byte{0x02, 0x40}, 20_000)...), repeat([]byte{0x0b}, 20_001)...)
	table := append([]byte{0, 0x41, 0, 0x0e}, append(uleb(20_000), repeat([]byte{0}, 20_001)...)...)
	global := []byte{0x7f, 1, 0x41, 0, 0x0b}
	// what looks, in a body of 990 locals whose blocks are charged one by one
	looks := func(code []byte) []byte {
		body := append([]byte{1, 0xde, 0x07, 0x7f}, repeat(code, 200)...)
		return append(body, 0x0f, 0x03, 0x40, 0x41, 0, 0x0e, 0, 0, 0x0b, 0x0b)
	}
	for what, c := range map[string]struct {
		binary []byte
		want   string
	}{
		"text":              {[]byte("(module)"), "not a WebAssembly module"},
		"component":         {[]byte("\x00asm\x0d\x00\x01\x00"), "this is a component; a core module is expected"},
		"imported global":   {hostile(t, "importglobal"), "import edgecache_v1.fuel is a global; only functions"},
		"imported table":    {hostile(t, "importtable"), "import edgecache_v1.t is a table; only functions"},
		"the counter":       {hostile(t, "exportcounter"), `export "__ec_fuel": names that begin with __ec_ are the host's`},
		"table too big":     {hostile(t, "bigtable"), "table 0 has up to 1000000 elements, at most 65536"},
		"table without end": {hostile(t, "opentable"), "table 0 may grow without bound"},
		"memories":          {wasm(empty, map[byte][]byte{5: vector([]byte{0, 1}, []byte{0, 1})}), "2 memories"},
		"shared memory":     {wasm(empty, map[byte][]byte{5: vector([]byte{3, 1, 1})}), "shared"},
		"global of none":    {wasm([]byte{0, 0x23, 0, 0x1a, 0x0b}, nil), "function 0: at byte 3: global 0 is used, there are 0"},
		"the counter, set":  {wasm([]byte{0, 0x41, 0, 0x24, 1, 0x0b}, map[byte][]byte{6: vector(global)}), "global 1 is used, there are 1"},
		"constant":          {wasm(empty, map[byte][]byte{6: vector([]byte{0x7f, 0, 0x23, 0, 0x0b})}), "reads a global"},
		"mutable globals":   {wasm(empty, map[byte][]byte{6: append(uleb(65), repeat(global, 65)...)}), "65 mutable globals, at most 64"},
		"locals":            {wasm([]byte{1, 0xe9, 0x07, 0x7f, 0x0b}, nil), "function 0: more than 1000 locals"},
		"many locals":       {wasm([]byte{2, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f, 0x0b}, nil), "more than 1000 locals"},
		"bomb":              {wasm(ifs(5_000, 990), nil), "it would take long to compile: 10001 basic blocks and 991 variables"},
		"bomb of calls":     {wasm(looks([]byte{0x10, 0}), nil), "basic blocks and 991 variables"},
		"bomb of lengths":   {wasm(looks([]byte{0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 11, 0}), nil), "basic blocks and 991 variables"},
		"nesting":           {wasm(deep, nil), "nested deeper than 10000"},
		"labels":            {wasm(append(table, 0x0b), nil), "a br_table has 20000 labels"},
		"threads":           {wasm([]byte{0, 0xfe, 0, 0, 0x0b}, nil), "opcode 0xfe 0xfe is not supported"},
		"tail call":         {wasm([]byte{0, 0x12, 0, 0x0b}, nil), "opcode 0x12 0x12 is not supported"},
		"misc":              {wasm([]byte{0, 0xfc, 0x12, 0x0b}, nil), "opcode 0xfc 0x12 is not supported"},
		"long number":       {wasm([]byte{0, 0x41, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, 0x1a, 0x0b}, nil), "longer than 32 bits"},
		"after the end":     {wasm([]byte{0, 0x0b, 0x0b}, nil), "bytes follow the end"},
		"no end":            {wasm([]byte{0, 0x01}, nil), "cut short"},
		"functions":         {wasm(empty, map[byte][]byte{3: append(uleb(100_000), repeat([]byte{0}, 100_000)...)}), "100000 functions, at most 50000"},
		"data without end":  {wasm(empty, map[byte][]byte{11: {0xf0, 0xf0, 0xf0, 0x59, 0}}), "cut short"},
		"no such data":      {wasm(empty, map[byte][]byte{11: vector([]byte{3, 0})}), "data segment 0 is of kind 3"},
		"no such elements":  {wasm(empty, map[byte][]byte{9: vector([]byte{8, 0})}), "element segment 0 is of kind 8"},
		"elements":          {wasm(empty, map[byte][]byte{9: vector([]byte{0, 0x41, 0, 0x0b, 0xff, 0xff, 0xff, 0x7f})}), "cut short"},
		"place of data":     {wasm(empty, map[byte][]byte{11: vector([]byte{0, 0x23, 0, 0x0b, 0})}), "reads a global"},
		"bodies":            {wasm(empty, map[byte][]byte{3: vector([]byte{0}, []byte{0})}), "2 functions are declared and 1 have a body"},
		"twice": {append(wasm(empty, nil), section(1, vector([]byte{0x60, 0, 0}))...),
			"section 1 is not known, or not in its place"},
		"named": {wasm([]byte{1, 0xe9, 0x07, 0x7f, 0x0b}, map[byte][]byte{0: append(name("name"), append([]byte{1}, sized(vector(append([]byte{0}, name("parse")...)))...)...)}),
			`function 0 "parse": more than 1000 locals`},
	} {
		if _, err := fuel.Rewrite(c.binary); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
	many := append(uleb(30), repeat(sized(ifs(100, 900)), 30)...)
	if _, err := fuel.Rewrite(wasm(nil, map[byte][]byte{3: append(uleb(30), repeat([]byte{0}, 30)...), 10: many})); err == nil || !strings.Contains(err.Error(), "the module would take long") {
		t.Errorf("many functions of a size that is allowed: %v", err)
	}
}

// A body that names the local that rewriting adds is invalid before it, and
// would be valid after it.
func TestWhatRewritingWouldMakeValidWazeroRefuses(t *testing.T) {
	body := []byte{0, 0x41, 0x7f, 0x21, 0, 0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 10, 0, 0, 0x0b}
	guest := wasm(body, map[byte][]byte{5: vector([]byte{0, 1})})
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer r.Close(ctx)
	if _, err := r.CompileModule(ctx, guest); err == nil {
		t.Fatal("valid before")
	}
	if _, err := r.CompileModule(ctx, mustRewrite(t, guest).Binary); err != nil {
		t.Fatalf("%v: whoever rewrites need not validate first, then", err)
	}
}

// Used is what a call costs, by the table in opcodes.go.
func TestWhatACallCosts(t *testing.T) {
	constants := func(n int) []byte { return repeat([]byte{0x41, 0, 0x1a}, n) } // 2 each
	body := func(code ...byte) []byte { return append(append([]byte{1, 2, 0x7f}, code...), 0x0b) }
	loop := func(n, local byte, inner []byte) []byte { // 2 + n × (inner + 5), and a set of the local
		code := append([]byte{0x41, n, 0x21, local, 0x03, 0x40}, inner...)
		return append(code, 0x20, local, 0x41, 1, 0x6b, 0x22, local, 0x0d, 0, 0x0b)
	}
	branches := []byte{0x02, 0x40, 0x02, 0x40, 0x20, 0, 0x0e, 1, 0, 1, 0x0b} // 3, then what is skipped
	branches = append(append(branches, constants(50)...), 0x0b)
	for what, c := range map[string]struct {
		code []byte
		want int32
	}{
		"nothing":              {body(), 16},
		"in a line":            {body(constants(10)...), 16 + 20},
		"loop":                 {body(loop(7, 0, constants(3))...), 16 + 2 + 7*(6+5)},
		"loop in a loop":       {body(loop(3, 1, loop(5, 0, nil))...), 16 + 2 + 3*(5+2+5*5)},
		"half of an if":        {body(append(append([]byte{0x41, 0, 0x04, 0x40}, constants(50)...), 0x0b)...), 16 + 2 + 100}, // a region pays for both
		"br_table in a loop":   {body(loop(7, 0, branches)...), 16 + 2 + 7*(3+5)},                                            // a block only for itself: the first is jumped over
		"memory.fill":          {body(0x41, 0, 0x41, 0, 0x41, 0x80, 0x08, 0xfc, 11, 0), 16 + 3 + 8 + 1024/32},
		"memory.grow":          {body(0x41, 2, 0x40, 0, 0x1a), 16 + 2 + 8 + 3*4096},
		"memory.grow, too far": {body(0x41, 0x7f, 0x40, 0, 0x1a), 16 + 2 + 8 + 65537*4096},
		"division":             {body(0x41, 1, 0x41, 1, 0x6d, 0x1a), 16 + 3 + 8},
		"call":                 {body(0x20, 0, 0x04, 0x40, 0x10, 0, 0x0b), 16 + 2 + 8},
	} {
		guest := wasm(c.code, map[byte][]byte{5: vector([]byte{0, 1}), 7: vector(append(append(uleb(1), 'f'), 0, 0))})
		m := instantiate(t, newRuntime(t, "interpreter"), mustRewrite(t, guest).Binary)
		counter(m).Set(fuel.Most)
		if _, err := m.ExportedFunction("f").Call(ctx); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if used := fuel.Most - left(m); used != c.want {
			t.Errorf("%s costs %d, want %d", what, used, c.want)
		}
	}
}

func TestSectionsThatAreMissingAreMade(t *testing.T) {
	m := mustRewrite(t, wasm([]byte{0, 0x0b}, nil))
	if m.Start || m.Score != 1 {
		t.Errorf("start %v, score %d", m.Start, m.Score)
	}
	i := instantiate(t, newRuntime(t, "interpreter"), m.Binary)
	if left(i) != 0 {
		t.Error("a counter that was not set has fuel")
	}
}

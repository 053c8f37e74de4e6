package plugins

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/edgecache/edgecache/plugins/fuel"
)

// A Module is a guest's binary that was looked at, and rewritten to count fuel.
type Module struct {
	Path     string
	SHA256   string // of the original, in hex
	Manifest Manifest
	Size     int // bytes of the original
	Imports  []string
	Exports  []string

	binary []byte                  // rewritten; hollow, if its code is
	code   string                  // in this directory of wazero's; "": in none
	kept   wazero.CompilationCache // what was compiled of it; nil: that is not kept
	renew  func() error            // has what was found there compiled again; nil: it was just now
}

// Budget returns the fuel of a call, of a filter about n instances.
func (m *Module) Budget(n int) int32 {
	l := &m.Manifest.Limits
	most := int64(mostFuel)
	if m.Manifest.Kind == kindAdapter {
		most = mostAdapterFuel
	}
	return int32(min(int64(l.Fuel)+int64(n)*int64(l.FuelPerInstance), most))
}

// Keep has wazero keep what it compiles of the module until done is called: for
// many trials of one module.
func (m *Module) Keep() (done func()) {
	kept := wazero.NewCompilationCache()
	m.kept = kept
	return func() {
		m.kept = nil
		_ = kept.Close(context.Background())
	}
}

// same reports whether two modules are one.
func (m *Module) same(n *Module) bool {
	return m.SHA256 == n.SHA256 && reflect.DeepEqual(m.Manifest, n.Manifest)
}

// Load reads the module at path and its manifest, "" being the one beside it or
// in it. pin is the SHA-256 the module must have, in hex; "" is any. Errors are
// in words for the module's author.
func Load(path, manifest, pin string) (*Module, error) { return (&cache{}).load(path, manifest, pin) }

func (c *cache) load(path, manifest, pin string) (*Module, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fmt.Errorf("%s is a folder: a module in it expected, a .wasm", path)
	}
	if info.Size() > maxBinary {
		return nil, fmt.Errorf("%s: %d bytes, at most %d expected", path, info.Size(), maxBinary)
	}
	binary, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(binary)
	m := &Module{Path: path, SHA256: hex.EncodeToString(sum[:]), Size: len(binary)}
	if pin != "" && !strings.EqualFold(pin, m.SHA256) {
		return nil, fmt.Errorf("%s: its sha256 is %s, and %s is expected", path, m.SHA256, pin)
	}
	if err := c.options.vouch(path, binary, pin != ""); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	said, err := readManifest(path, manifest, binary)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m.Manifest = *said
	if err := c.take(m, binary); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// take validates a binary and rewrites it. The order matters: what is not valid
// could become so by rewriting, and reach the counter of its fuel.
func (m *Module) take(binary []byte) error {
	ctx := context.Background()
	// The rewriter looks first at what would make validation itself expensive.
	refill := fuel.Import{}
	if m.Manifest.Kind == kindAdapter {
		refill = importFuel
	}
	rewritten, err := fuel.RewriteRefilled(binary, refill)
	if err != nil {
		return err
	}
	r := wazero.NewRuntimeWithConfig(ctx, runtimeConfig(true, m.Manifest.Limits.MemoryPages))
	defer r.Close(ctx)
	for part := range rewritten.Plain() {
		compiled, err := r.CompileModule(ctx, part)
		if err != nil {
			return explainInvalid(err, m.Manifest.Limits.MemoryPages)
		}
		err = m.look(compiled)
		_ = compiled.Close(ctx)
		if err != nil {
			return err
		}
	}
	m.binary = rewritten.Binary
	return nil
}

// look notes what a module imports and exports, and returns an error if that is
// not what plugins do.
func (m *Module) look(compiled wazero.CompiledModule) error {
	m.Imports, m.Exports = nil, slices.Sorted(maps.Keys(compiled.ExportedFunctions()))
	for _, f := range compiled.ImportedFunctions() {
		from, name, _ := f.Import()
		m.Imports = append(m.Imports, from+"."+name)
	}
	return errors.Join(checkImports(compiled, m.Manifest.Kind), checkExports(compiled, m.Manifest.Kind))
}

// explainInvalid says what wazero found in its author's terms, where that is known.
func explainInvalid(err error, pages uint32) error {
	if strings.Contains(err.Error(), "over limit") {
		return fmt.Errorf("it wants more memory than limits.memory_pages (%d) allows: %w", pages, err)
	}
	return fmt.Errorf("not a valid module: %w", err)
}

// checkImports returns an error that names all imports that no host of this
// version has.
func checkImports(m wazero.CompiledModule, kind string) error {
	var errs []error
	for _, f := range m.ImportedFunctions() {
		if len(errs) == maxMistakes {
			errs = append(errs, errors.New("and others"))
			break
		}
		from, name, _ := f.Import()
		from, name = brief(from), brief(name)
		switch from {
		case moduleHost:
			known, ok := hostFuncsOf(kind)[name]
			_, adapters := adapterFuncs[name]
			switch {
			case !ok && adapters:
				errs = append(errs, fmt.Errorf("import %s.%s: it is for adapters, and the manifest says kind: %s", from, name, kind))
			case !ok:
				errs = append(errs, fmt.Errorf("import %s.%s: this host, of ABI %d.%d, has no such function", from, name, abiMajor, abiMinor))
			case !slices.Equal(f.ParamTypes(), known.params) || !slices.Equal(f.ResultTypes(), known.results):
				errs = append(errs, fmt.Errorf("import %s.%s: it is %s, and the module expects %s", from, name,
					signature(known.params, known.results), signature(f.ParamTypes(), f.ResultTypes())))
			}
		case moduleWASI:
			if _, ok := wasiFuncs[name]; !ok {
				errs = append(errs, fmt.Errorf("import %s.%s: plugins have no files, sockets or processes", from, name))
			}
		default:
			errs = append(errs, fmt.Errorf("import %s.%s: only %s and %s can be imported", from, name, moduleHost, moduleWASI))
		}
	}
	return errors.Join(errs...)
}

// maxMistakes are named, of imports that there are not.
const maxMistakes = 20

// brief returns a name of a module's as errors may have it.
func brief(name string) string {
	const most = 100
	if len(name) > most {
		name = name[:most] + "…"
	}
	return printable([]byte(name))
}

// An export is what a module must or may export.
type export struct {
	name            string
	params, results []api.ValueType
	optional        bool
}

// exportsOf returns what plugins of a kind export.
func exportsOf(kind string) []export {
	list := []export{
		{exportMarker, nil, nil, false},
		{exportABI, nil, types(i32), false},
		{exportInit, nil, types(i32), false},
		{exportIdle, nil, types(i32), true},
		{"_initialize", nil, nil, true},
	}
	if kind == kindAdapter {
		return append(list, export{exportLookup, nil, types(i32), false}, export{exportList, nil, types(i32), true}, export{exportPoll, nil, types(i32), true})
	}
	return append(list, export{exportArena, types(i32), types(i32), false}, export{exportFilter, types(i32), types(i64), false})
}

// checkExports returns an error that names all that a plugin of a kind must
// export and this one does not.
func checkExports(m wazero.CompiledModule, kind string) error {
	exports := m.ExportedFunctions()
	var errs []error
	for _, want := range exportsOf(kind) {
		f, ok := exports[want.name]
		switch {
		case !ok && !want.optional:
			errs = append(errs, fmt.Errorf("export %s %s is missing", want.name, signature(want.params, want.results)))
		case ok && (!slices.Equal(f.ParamTypes(), want.params) || !slices.Equal(f.ResultTypes(), want.results)):
			errs = append(errs, fmt.Errorf("export %s is %s, and must be %s", want.name, signature(f.ParamTypes(), f.ResultTypes()), signature(want.params, want.results)))
		}
	}
	if _, ok := m.ExportedMemories()[exportMemory]; !ok {
		errs = append(errs, errors.New("export memory is missing: the module's one memory, under that name"))
	}
	return errors.Join(errs...)
}

func signature(params, results []api.ValueType) string {
	names := func(types []api.ValueType) string {
		list := make([]string, len(types))
		for i, t := range types {
			list[i] = api.ValueTypeName(t)
		}
		return "(" + strings.Join(list, ", ") + ")"
	}
	return names(params) + " -> " + names(results)
}

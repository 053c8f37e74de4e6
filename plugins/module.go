package plugins

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
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

	binary []byte // rewritten
	code   string // wazero's directory that has it compiled; "": none has
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
	rewritten, err := fuel.Rewrite(binary)
	if err != nil {
		return err
	}
	r := wazero.NewRuntimeWithConfig(ctx, runtimeConfig(true, m.Manifest.Limits.MemoryPages))
	defer r.Close(ctx)
	compiled, err := r.CompileModule(ctx, rewritten.Plain)
	if err != nil {
		return explainInvalid(err, m.Manifest.Limits.MemoryPages)
	}
	for _, f := range compiled.ImportedFunctions() {
		from, name, _ := f.Import()
		m.Imports = append(m.Imports, from+"."+name)
	}
	if err := errors.Join(checkImports(compiled), checkExports(compiled)); err != nil {
		return err
	}
	for name := range compiled.ExportedFunctions() {
		m.Exports = append(m.Exports, name)
	}
	slices.Sort(m.Exports)
	m.binary = rewritten.Binary
	return nil
}

// explainInvalid says what wazero found in its author's terms, where that is known.
func explainInvalid(err error, pages uint32) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "over limit"):
		return fmt.Errorf("it wants more memory than limits.memory_pages (%d) allows: %s", pages, text)
	case strings.Contains(text, "feature \""):
		return fmt.Errorf("it uses what WebAssembly 2.0 does not have: %s", text)
	}
	return fmt.Errorf("not a valid module: %w", err)
}

// checkImports returns an error that names all imports that no host of this
// version has.
func checkImports(m wazero.CompiledModule) error {
	var errs []error
	for _, f := range m.ImportedFunctions() {
		from, name, _ := f.Import()
		switch from {
		case moduleHost:
			known, ok := hostFuncs[name]
			switch {
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

// checkExports returns an error that names all that a filter must export and
// this one does not.
func checkExports(m wazero.CompiledModule) error {
	exports := m.ExportedFunctions()
	var errs []error
	for _, want := range []struct {
		name            string
		params, results []api.ValueType
		optional        bool
	}{
		{exportMarker, nil, nil, false},
		{exportABI, nil, []api.ValueType{i32}, false},
		{exportInit, nil, []api.ValueType{i32}, false},
		{exportArena, []api.ValueType{i32}, []api.ValueType{i32}, false},
		{exportFilter, []api.ValueType{i32}, []api.ValueType{i64}, false},
		{exportIdle, nil, []api.ValueType{i32}, true},
		{"_initialize", nil, nil, true},
	} {
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

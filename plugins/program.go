package plugins

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"golang.org/x/time/rate"

	"github.com/edgecache/edgecache/plugins/fuel"
)

// A program is a module with its configuration, compiled: what instances run. It
// never changes.
type program struct {
	name     string // in the configuration
	module   *Module
	settings *setting // the plugin's configuration
	logger   *slog.Logger
	stats    *stats
	lines    *rate.Limiter // of the log
	runtime  wazero.Runtime
	code     wazero.CompilationCache // nil: none
	compiled wazero.CompiledModule
	kept     bool // the module keeps what is compiled
	refills  bool // it imports what gives more fuel
}

// newProgram compiles a module for one of wazero's engines.
func newProgram(name string, m *Module, config map[string]any, interpreted bool, logger *slog.Logger, s *stats) (p *program, err error) {
	p = &program{name: name, module: m, logger: logger.With(m.Manifest.Kind, name), stats: s, lines: rate.NewLimiter(logRate, logRate)}
	text, err := configJSON(config)
	if err == nil {
		p.settings, err = readSettings(text)
	}
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	err = p.compile(interpreted)
	if errors.Is(err, errElsewhere) && m.renew != nil {
		if err = m.renew(); err == nil {
			err = p.compile(interpreted)
		}
	}
	if err != nil {
		return nil, err
	}
	p.refills = m.Manifest.Kind == kindAdapter && imports(p.compiled, importFuel)
	return p, nil
}

// errElsewhere says that wazero did not take the code that there is: it is of
// another version, or for a processor that can do more, or less.
var errElsewhere = errors.New("what was compiled cannot be run here")

// compile makes the runtime, in which the module is compiled and has what it
// imports. After an error nothing of it is left.
func (p *program) compile(interpreted bool) (err error) {
	ctx, m := context.Background(), p.module
	engine := runtimeConfig(interpreted, m.Manifest.Limits.MemoryPages)
	var code codeFile
	if m.kept != nil {
		engine = engine.WithCompilationCache(m.kept)
		p.kept = true
	}
	if m.code != "" {
		if code, err = codeIn(m.code); err != nil {
			return err
		}
		if p.code, err = wazero.NewCompilationCacheWithDir(m.code); err != nil {
			return err
		}
		engine = engine.WithCompilationCache(p.code)
	}
	p.runtime = wazero.NewRuntimeWithConfig(ctx, engine)
	if p.compiled, err = p.runtime.CompileModule(ctx, m.binary); err == nil {
		err = link(ctx, p.runtime, m.Manifest.Kind)
	}
	if err == nil && m.code != "" {
		// What wazero compiled itself is hollow, and it has kept that.
		if now, _ := codeIn(m.code); now != code || interpreted {
			err = errElsewhere
		}
	}
	if err != nil {
		p.end()
	}
	return err
}

func imports(m wazero.CompiledModule, what fuel.Import) bool {
	return slices.ContainsFunc(m.ImportedFunctions(), func(f api.FunctionDefinition) bool {
		from, name, _ := f.Import()
		return fuel.Import{Module: from, Name: name} == what
	})
}

// end gives back what wazero holds: of a runtime with a cache, the code of each
// module has to be closed by itself.
func (p *program) end() {
	ctx := context.Background()
	if p.compiled != nil && !p.kept {
		_ = p.compiled.Close(ctx)
	}
	_ = p.runtime.Close(ctx)
	if p.code != nil {
		_ = p.code.Close(ctx)
	}
}

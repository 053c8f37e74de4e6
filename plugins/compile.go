package plugins

import (
	"context"
	"os"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// runtimeConfig is that of all guests. Whoever compiles for the cache must use
// the same.
func runtimeConfig(interpreted bool, pages uint32) wazero.RuntimeConfig {
	c := wazero.NewRuntimeConfigCompiler
	if interpreted {
		c = wazero.NewRuntimeConfigInterpreter
	}
	return c().WithCoreFeatures(api.CoreFeaturesV2).WithMemoryLimitPages(pages)
}

// Compile is a [Compiler] that compiles in this process. It may take minutes
// and gigabytes over what no check foresees: let it be a child with limits.
func Compile(module, cacheDir string, pages uint32) error {
	binary, err := os.ReadFile(module)
	if err != nil {
		return err
	}
	cache, err := wazero.NewCompilationCacheWithDir(cacheDir)
	if err != nil {
		return err
	}
	ctx := context.Background()
	defer cache.Close(ctx)
	r := wazero.NewRuntimeWithConfig(ctx, runtimeConfig(false, pages).WithCompilationCache(cache))
	defer r.Close(ctx)
	_, err = r.CompileModule(ctx, binary)
	return err
}

package plugins

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/edgecache/edgecache/plugins/fuel"
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
	hollow, err := fuel.Hollow(binary)
	if err != nil {
		return err
	}
	aside := cacheDir + "-whole"
	defer os.RemoveAll(aside)
	if err := compileTo(aside, binary, pages); err != nil {
		return err
	}
	if err := compileTo(cacheDir, hollow, pages); err != nil {
		return err
	}
	whole, err := codeIn(aside)
	if err != nil {
		return err
	}
	hollowed, err := codeIn(cacheDir)
	if err != nil {
		return err
	}
	return os.Rename(whole.path, hollowed.path)
}

// compileTo has wazero compile a module and keep its code in a directory.
func compileTo(dir string, binary []byte, pages uint32) error {
	cache, err := wazero.NewCompilationCacheWithDir(dir)
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

// A codeFile is a file of wazero's compilation cache.
type codeFile struct {
	path    string
	size    int64
	written int64
}

// codeIn returns the file of a directory of wazero's: there must be one.
func codeIn(dir string) (f codeFile, err error) {
	n := 0
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			f, n = codeFile{path, info.Size(), info.ModTime().UnixNano()}, n+1
		}
		return err
	})
	if err == nil && n != 1 {
		return codeFile{}, fmt.Errorf("%s: %d files, one expected", dir, n)
	}
	return f, err
}

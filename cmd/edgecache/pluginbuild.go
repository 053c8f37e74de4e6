package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// A toolchain builds plugins of one language.
type toolchain struct {
	language string
	source   string   // the suffix of its sources
	programs []string // any of these
	install  string   // how to get one
	command  func(program string, b *pluginBuild) (args, environ []string)
	able     func(program string) bool // nil: any is
}

// A pluginBuild is what is built of what.
type pluginBuild struct {
	dir, source, module string
	kit                 string // directory of the plugin kits, "": none was found
}

var toolchains = []toolchain{
	{"Go", ".go", []string{"go"}, "https://go.dev/dl, 1.24 or later", func(program string, b *pluginBuild) ([]string, []string) {
		return []string{program, "build", "-C", b.dir, "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", b.module, "."}, []string{"GOOS=wasip1", "GOARCH=wasm"}
	}, nil},
	{"Rust", ".rs", []string{"rustc", "/usr/bin/rustc"}, "Debian packages rustc, libstd-rust-dev-wasm32 and lld; or rustup target add wasm32-unknown-unknown", func(program string, b *pluginBuild) ([]string, []string) {
		args := []string{program, "--edition", "2021", "--crate-type", "cdylib", "--target", "wasm32-unknown-unknown", "-C", "panic=abort",
			"-C", "lto", "-C", "strip=symbols", "-C", "target-feature=+bulk-memory", "-C", "link-arg=-zstack-size=65536", "-o", b.module, b.source, "-C"}
		if b.filters() {
			args = append(args, "opt-level=3")
		} else {
			args = append(args, "opt-level=s")
		}
		for _, linker := range [...]string{"rust-lld", "wasm-ld", "wasm-ld-14"} {
			if _, err := exec.LookPath(linker); err == nil {
				args = append(args, "-C", "linker="+linker)
				break
			}
		}
		return args, nil
	}, hasTarget},
	{"C", ".c", []string{"clang", "clang-14"}, "Debian packages clang and lld", func(program string, b *pluginBuild) ([]string, []string) {
		// By -O2 alone clang would have a wasm-opt that is there change the module.
		return []string{program, "--target=wasm32", "-Xclang", "-O2", "-ffreestanding", "-nostdlib", "-mbulk-memory", "-Wall", "-I", filepath.Join(b.kit, "c"),
			"-Wl,--no-entry", "-Wl,-z,stack-size=65536", "-Wl,--strip-all", "-o", b.module, b.source}, nil
	}, nil},
	{"AssemblyScript", ".ts", []string{"asc"}, "npm install assemblyscript, in a folder above or --global", func(program string, b *pluginBuild) ([]string, []string) {
		return []string{program, b.source, "-o", b.module, "-Ospeed", "--noAssert", "--runtime", "stub", "--exportStart", "_initialize", "--use", "abort=" + b.abort()}, nil
	}, nil},
}

func pluginBuildCommand(g *globals) *cobra.Command {
	var b pluginBuild
	c := &cobra.Command{
		Use:   "build [DIR]",
		Short: "Build the plugin in a directory with its language's toolchain",
		Long: "Build the plugin in a directory, or the current one: one source file of Rust, C or AssemblyScript, or a Go package, becomes\n" +
			"a module of the same name (of Go: of the directory's, or of its one file). The command is printed.",
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			b.dir = hereOr(args)
			return buildPlugin(cmd, g, &b)
		},
	}
	c.Flags().StringVarP(&b.module, "output", "o", "", "the module (default: beside its source)")
	c.Flags().StringVar(&b.kit, "pdk", "", "directory of the plugin kits (default: pdk in a directory above)")
	return c
}

func buildPlugin(cmd *cobra.Command, g *globals, b *pluginBuild) error {
	t, err := b.find()
	if err != nil {
		return err
	}
	if b.module == "" {
		b.module = strings.TrimSuffix(b.source, t.source) + ".wasm"
	}
	if b.module, err = filepath.Abs(b.module); err != nil {
		return err
	}
	if b.kit == "" {
		b.kit = above(b.dir, "pdk")
	}
	program := t.program(b.dir)
	if program == "" {
		return fmt.Errorf("%s is not installed here, which builds %s: %s", t.programs[0], t.language, t.install)
	}
	args, environ := t.command(program, b)
	fmt.Fprintln(g.stdout, strings.Join(append(environ, args...), " "))
	build := exec.CommandContext(cmd.Context(), args[0], args[1:]...)
	build.Env = append(os.Environ(), environ...)
	build.Stdout, build.Stderr = g.stderr, g.stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("%s: %w", t.language, err)
	}
	info, err := os.Stat(b.module)
	if err != nil {
		return err
	}
	fmt.Fprintf(g.stdout, "%s, %d bytes; next: edgecache plugin test %s\n", b.module, info.Size(), b.module)
	return nil
}

// program returns the first of its programs that is able to build for WebAssembly,
// or else one that is there and will say why it is not; "": none is.
func (t *toolchain) program(dir string) string {
	found := ""
	for _, name := range append([]string{above(dir, filepath.Join("node_modules", ".bin", t.programs[0]))}, t.programs...) {
		path, err := exec.LookPath(name)
		switch {
		case err != nil:
		case t.able == nil || t.able(path):
			return path
		default:
			found = cmp.Or(found, path)
		}
	}
	return found
}

// hasTarget reports whether a compiler of Rust has the library of its target.
func hasTarget(rustc string) bool {
	dir, err := exec.Command(rustc, "--print", "target-libdir", "--target", "wasm32-unknown-unknown").Output()
	if err != nil {
		return false
	}
	_, err = os.Stat(strings.TrimSpace(string(dir)))
	return err == nil
}

// filters reports whether a manifest in the directory, or above it, says that the
// plugin is a filter: what runs for each request is built for speed.
func (b *pluginBuild) filters() bool {
	for _, pattern := range [...]string{"*.yaml", filepath.Join("..", "*.yaml")} {
		paths, _ := filepath.Glob(filepath.Join(b.dir, pattern))
		for _, path := range paths {
			if text, err := os.ReadFile(path); err == nil && strings.Contains("\n"+string(text), "\nkind: filter") {
				return true
			}
		}
	}
	return false
}

// abort returns the function of AssemblyScript's kit that reports what a plugin
// aborts with, as asc names it; "" without a kit.
func (b *pluginBuild) abort() string {
	if b.kit == "" {
		return ""
	}
	kit, err := filepath.Abs(filepath.Join(b.kit, "as", "edgecache"))
	if err != nil {
		return ""
	}
	here, err := os.Getwd()
	if err != nil {
		return ""
	}
	if kit, err = filepath.Rel(here, kit); err != nil {
		return ""
	}
	return filepath.ToSlash(kit) + "/abort"
}

// find says which toolchain builds the directory, and of what.
func (b *pluginBuild) find() (*toolchain, error) {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return nil, err
	}
	for i := range toolchains {
		t := &toolchains[i]
		var found []string
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), t.source) && !strings.Contains(e.Name(), "_test.") && !strings.Contains(e.Name(), ".test.") {
				found = append(found, filepath.Join(b.dir, e.Name()))
			}
		}
		switch {
		case len(found) == 0:
			continue
		case len(found) > 1 && t.language != "Go":
			return nil, fmt.Errorf("%s has %d files of %s, one expected: %s", b.dir, len(found), t.language, strings.Join(found, ", "))
		}
		b.source = found[0]
		return t, nil
	}
	return nil, errors.New(b.dir + ": no source of a plugin: a file .go, .rs, .c or .ts expected")
}

// above returns the nearest directory of a name in one of those above; "" if
// there is none.
func above(dir, name string) string {
	at, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	for ; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, name)); err == nil {
			return filepath.Join(at, name)
		}
		if at == filepath.Dir(at) {
			return ""
		}
	}
}

package plugins

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// section returns a section of a module.
func section(id byte, content []byte) []byte {
	return append(binary.AppendUvarint([]byte{id}, uint64(len(content))), content...)
}

// importing is a module with so many imports of one name, of type () -> ().
func importing(n int, name string) []byte {
	item := append(binary.AppendUvarint([]byte{1, 'x'}, uint64(len(name))), name...)
	item = append(item, 0, 0)
	out := append([]byte("\x00asm\x01\x00\x00\x00"), section(1, []byte{1, 0x60, 0, 0})...)
	return append(out, section(2, append(binary.AppendUvarint(nil, uint64(n)), bytes.Repeat(item, n)...))...)
}

func TestAnErrorDoesNotGrowWithTheModule(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.wasm")
	if err := os.WriteFile(path, importing(10_000, strings.Repeat("n", 300)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(path, "testdata/hostile/hostile.yaml", "")
	if err == nil || len(err.Error()) > 5_000 || !strings.Contains(err.Error(), "import x.nnn") || !strings.Contains(err.Error(), "\nand others\n") {
		t.Errorf("%v", err)
	}
}

// What is wrong inside, in the words of a module's author.
func TestWhatIsInvalidAndWhy(t *testing.T) {
	header := "\x00asm\x01\x00\x00\x00"
	function := string(section(1, []byte{1, 0x60, 0, 0})) + string(section(3, []byte{1, 0}))
	for want, module := range map[string]string{
		"not a valid module: invalid function[0]":                                                   header + function + string(section(10, []byte{1, 4, 0, 0x41, 0, 0x0b})), // a value is left
		"it wants more memory than limits.memory_pages (256) allows: section memory: min 300 pages": header + string(section(5, []byte{1, 0, 0xac, 2})),
		"limits of a kind that is not supported (shared or 64-bit memory)":                          header + string(section(5, []byte{1, 3, 1, 1})),
		"opcode 0x6a is none of a constant expression":                                              header + string(section(6, []byte{1, 0x7f, 0, 0x41, 1, 0x41, 2, 0x6a, 0x0b})), // 1 + 2
	} {
		path := filepath.Join(t.TempDir(), "x.wasm")
		if err := os.WriteFile(path, []byte(module), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path, "testdata/hostile/hostile.yaml", ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestHeadersOfAManifest(t *testing.T) {
	for name, ok := range map[string]bool{"x-canary": true, "X-Canary": false, "": false, "a b": false, "a:": false, "a\u00e9": false, "a, b": false} {
		m := Manifest{Name: "x", Kind: kindFilter, ABI: "1.0", Needs: Needs{Headers: []string{name}}}
		m.Limits.complete(false)
		if err := m.validate(); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestAFolderIsNoModule(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir, "", ""); err == nil || err.Error() != dir+" is a folder: a module in it expected, a .wasm" {
		t.Error(err)
	}
}

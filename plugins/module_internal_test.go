package plugins

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// importing is a module with so many imports of one name, of type () -> ().
func importing(n int, name string) []byte {
	section := func(id byte, content []byte) []byte {
		return append(binary.AppendUvarint([]byte{id}, uint64(len(content))), content...)
	}
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

package edgecache

import (
	"os"
	"os/exec"
	"path"
	"strings"
	"testing"
)

// TestKitsNeedTheStandardLibraryOnly: authors copy them, wherever their module is.
// One kit must not import the other either.
func TestKitsNeedTheStandardLibraryOnly(t *testing.T) {
	for _, kit := range []string{".", "./adapter"} {
		for _, system := range [][]string{{"GOOS=wasip1", "GOARCH=wasm"}, nil} {
			list := exec.Command("go", "list", "-deps", "-f", "{{.ImportPath}} {{.Standard}}", kit)
			list.Env = append(os.Environ(), system...)
			out, err := list.Output()
			if err != nil {
				t.Fatalf("go list: %v", err)
			}
			for line := range strings.Lines(string(out)) {
				imported, standard, _ := strings.Cut(strings.TrimSpace(line), " ")
				if standard != "true" && imported != path.Join("github.com/edgecache/edgecache/pdk/go", kit) {
					t.Errorf("%s depends on %s", kit, imported)
				}
			}
		}
	}
}

package protocol_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A step function cannot read a clock, wait or race if it has nothing to do so
// with.
var mayImport = []string{"bytes", "cmp", "encoding/binary", "errors", "fmt", "maps", "slices", "strings"}

func TestCoreIsAStepFunction(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, e := range entries {
		name := e.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found++
		for _, problem := range problems(t, name, string(source)) {
			t.Error(problem)
		}
	}
	if found < 10 {
		t.Errorf("%d files found", found)
	}
}

// problems returns what a file has that the core may not have.
func problems(t *testing.T, name, source string) (list []string) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	add := func(n ast.Node, what string) { list = append(list, files.Position(n.Pos()).String()+": "+what) }
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			if path, _ := strconv.Unquote(n.Path.Value); !slices.Contains(mayImport, path) {
				add(n, "imports "+path)
			}
		case *ast.GoStmt:
			add(n, "starts a goroutine")
		case *ast.SelectStmt:
			add(n, "waits in a select")
		case *ast.ChanType:
			add(n, "has a channel")
		}
		return true
	})
	return list
}

func TestProblemsAreFound(t *testing.T) {
	got := problems(t, "x.go", `package x
import "time"
import "fmt"
var c chan int
func f() { go f(); select {}; fmt.Println(time.Now()) }
`)
	want := []string{"x.go:2:8: imports time", "x.go:4:7: has a channel", "x.go:5:12: starts a goroutine", "x.go:5:20: waits in a select"}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// deadline bounds every wait for something that must happen; nothing is
// expected to take nearly as long.
const deadline = 30 * time.Second

// program is the node, built with the race detector: one that saw a race exits
// with a code of its own, which every test takes for a failure.
var program string

// plain builds the node without it, once, and returns its path.
var plain = sync.OnceValues(func() (string, error) {
	path := program + "-plain"
	return path, build(path)
})

// browser sends the tests' requests.
var browser = &http.Client{
	Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	Timeout:   2 * deadline,
}

func TestMain(m *testing.M) {
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil { // of the processes it runs
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	dir, err := os.MkdirTemp("", "edgecache-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = filepath.Join(dir, "edgecache")
	if err := build(program, "-race"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		browser.CloseIdleConnections()
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(code)
	}))
}

// build builds the node to path.
func build(path string, flags ...string) error {
	args := append([]string{"build", "-o", path}, flags...)
	if out, err := exec.Command("go", append(args, "../cmd/edgecache")...).CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", args, err, out)
	}
	return nil
}

// shipped returns the node built as users get it.
func shipped(t *testing.T) string {
	t.Helper()
	path, err := plain()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

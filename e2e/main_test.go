package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
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

// browser sends the tests' requests.
var browser = &http.Client{
	Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	Timeout:   2 * deadline,
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "edgecache-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = filepath.Join(dir, "edgecache")
	build := exec.Command("go", "build", "-race", "-o", program, "../cmd/edgecache")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build -race: %v\n%s", err, out)
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

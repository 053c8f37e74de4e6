package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// Set in the environment, they make the test binary the program, for tests
// that need a process, or let a test leave goroutines behind.
const (
	asProgram = "RUN_EDGECACHE"
	mayLeak   = "MAY_LEAK_GOROUTINES"
)

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" || len(os.Args) > 1 && os.Args[1] == compileCommandName {
		main()
		return
	}
	if os.Getenv(mayLeak) != "" {
		os.Exit(m.Run())
	}
	// fasthttp has one clock and one set of compressors for the process, which never end;
	// a probe of memberlist that is under way when a node closes does within seconds.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreTopFunction("github.com/valyala/fasthttp/stackless.funcWorker"),
		goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"))
}

package registrytest

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
)

// Failures runs the suite, or only the subtest of that name, without failing
// t. It returns what failed, by subtest.
func Failures(t *testing.T, h Harness, only string) map[string][]string {
	failures := map[string][]string{}
	for _, s := range suite {
		if only != "" && s.name != only {
			continue
		}
		r := &recorder{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.run(r, h)
		}()
		<-done
		if len(r.failures) > 0 {
			failures[s.name] = r.failures
		}
	}
	return failures
}

// A recorder is a testing.TB that keeps failures to itself.
type recorder struct {
	testing.TB
	mu       sync.Mutex // protects failures
	failures []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Skipf(format string, args ...any) {
	r.Errorf("skipped: "+format, args...)
	runtime.Goexit()
}

package http

import (
	"bytes"
	"fmt"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	defaultProfile = 30 // seconds
	maxProfile     = 120
	defaultTrace   = 1
	maxTrace       = 64 << 20 // bytes: a trace that grows beyond ends early
)

// snapshots are the profiles that are there at once; block and mutex record
// only while one is taken over some seconds.
var snapshots = []string{"allocs", "block", "goroutine", "heap", "mutex", "threadcreate"}

// A profileQuery is what a profile request asks: seconds 0 is a snapshot.
type profileQuery struct {
	name    string
	seconds int
	debug   int
	gc      int
}

var profileParameters = parameterSet{once: []string{"seconds", "debug", "gc"}}

// pprof answers GET /debug/pprof/{profile}.
func (s *Server) pprof(c *call) error {
	q, err := parseProfile(c)
	if err != nil {
		return err
	}
	header := &c.ctx.Response.Header
	header.SetContentType("application/octet-stream")
	if q.debug > 0 {
		header.SetContentType("text/plain; charset=utf-8")
	}
	if c.ctx.IsHead() {
		return nil
	}
	if q.seconds == 0 {
		return writeSnapshot(c, q)
	}
	if !s.profiling.TryLock() {
		return rateLimited.because("another profile is being taken; ask again when it is done")
	}
	defer s.profiling.Unlock()
	s.logChange(c, "profile taken", "profile", q.name, "seconds", q.seconds)
	switch q.name {
	case "profile":
		return s.cpuProfile(c, q)
	case "trace":
		return s.executionTrace(c, q)
	case "block":
		runtime.SetBlockProfileRate(1)
		defer runtime.SetBlockProfileRate(0)
	case "mutex":
		defer runtime.SetMutexProfileFraction(runtime.SetMutexProfileFraction(1))
	}
	s.pause(q.seconds, nil)
	return writeSnapshot(c, q)
}

// parseProfile reads the parameters. Only profiles that record over time take
// seconds, only snapshots the others.
func parseProfile(c *call) (profileQuery, error) {
	q := profileQuery{name: strings.Clone(c.name)}
	overTime, snapshot := true, slices.Contains(snapshots, q.name)
	switch q.name {
	case "profile":
		q.seconds = defaultProfile
	case "trace":
		q.seconds = defaultTrace
	case "block", "mutex":
	default:
		overTime = false
	}
	if !overTime && !snapshot {
		return q, noSuchRoute.because("there is no profile %q; there are profile, trace, %s", q.name, strings.Join(snapshots, ", "))
	}
	if err := c.parse(&profileParameters); err != nil {
		return q, err
	}
	for _, p := range c.params {
		low, high, into, takes := 0, 0, new(int), snapshot
		switch p.key {
		case "seconds":
			low, high, into, takes = 1, maxProfile, &q.seconds, overTime
		case "debug":
			high, into = 2, &q.debug
		case "gc":
			high, into = 1, &q.gc
		}
		n, err := strconv.Atoi(p.value)
		switch {
		case !takes:
			return q, badRequest(p.key, "the profile %s does not take %s", q.name, p.key)
		case err != nil || n < low || n > high:
			return q, badRequest(p.key, "%s: %q: a number from %d to %d expected", p.key, p.value, low, high)
		}
		*into = n
	}
	return q, nil
}

// cpuProfile records for some seconds where the processor's time goes.
func (s *Server) cpuProfile(c *call, q profileQuery) error {
	var out bytes.Buffer
	if err := pprof.StartCPUProfile(&out); err != nil {
		return rateLimited.because("no CPU profile now: %v", err)
	}
	s.pause(q.seconds, nil)
	pprof.StopCPUProfile()
	c.ctx.Response.SetBodyRaw(out.Bytes())
	return nil
}

// executionTrace records for some seconds what the scheduler does.
func (s *Server) executionTrace(c *call, q profileQuery) error {
	out := &traceBuffer{full: make(chan struct{})}
	if err := trace.Start(out); err != nil {
		return rateLimited.because("no trace now: %v", err)
	}
	s.pause(q.seconds, out.full)
	trace.Stop()
	c.ctx.Response.SetBodyRaw(out.Bytes())
	return nil
}

// A traceBuffer says when it holds more than it should. It still takes what
// comes, so that the trace is whole.
type traceBuffer struct {
	bytes.Buffer
	full chan struct{}
	told bool
}

func (b *traceBuffer) Write(p []byte) (int, error) {
	n, err := b.Buffer.Write(p)
	if b.Len() > maxTrace && !b.told {
		b.told = true
		close(b.full)
	}
	return n, err
}

// pause waits that many seconds, or until early is closed or the server is.
func (s *Server) pause(seconds int, early <-chan struct{}) {
	timer := time.NewTimer(time.Duration(seconds) * time.Second)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-early:
	case <-s.base.Done():
	}
}

func writeSnapshot(c *call, q profileQuery) error {
	if q.gc == 1 {
		runtime.GC()
	}
	var out bytes.Buffer
	if err := pprof.Lookup(q.name).WriteTo(&out, q.debug); err != nil {
		return err
	}
	c.ctx.Response.SetBodyRaw(out.Bytes())
	return nil
}

// pprofIndex answers GET /debug/pprof/.
func (s *Server) pprofIndex(c *call) error {
	if err := noParameters(c); err != nil {
		return err
	}
	page := []byte("Profiles, for `go tool pprof`; debug=1 is text, gc=1 collects garbage first:\n\n")
	for _, name := range snapshots {
		page = fmt.Appendf(page, "/debug/pprof/%s\n", name)
	}
	page = fmt.Appendf(page, "/debug/pprof/profile?seconds=%d\n/debug/pprof/trace?seconds=%d (for `go tool trace`)\n", defaultProfile, defaultTrace)
	page = append(page, "\nblock and mutex record only while seconds= pass.\n"...)
	c.ctx.Response.Header.SetContentType("text/plain; charset=utf-8")
	c.ctx.Response.SetBodyRaw(page)
	return nil
}

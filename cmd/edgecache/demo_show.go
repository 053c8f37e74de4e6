package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// shownHeaders are the headers that the tour prints.
var shownHeaders = []string{"Cache-Status", "Age", "ETag", "Edgecache-Index", "Edgecache-Registry"}

const shownBody = 200 // bytes of a body

// curl gets a path of the data port and prints it as curl -si would, cut short.
func (t *tour) curl(ctx context.Context, path string) (reply, error) {
	return t.curlAt(ctx, t.base, path)
}

// curlAt does the same on another node.
func (t *tour) curlAt(ctx context.Context, base, path string) (reply, error) {
	fmt.Fprintf(t.g.stdout, "\n  $ curl -si %s%s\n", base, path)
	a, err := t.getAt(ctx, base, path)
	if err != nil {
		return a, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\n", a.status, http.StatusText(a.status))
	for _, name := range shownHeaders {
		if value := a.header.Get(name); value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	fmt.Fprintf(&b, "\n%s\n", clip(strings.TrimSpace(a.body), shownBody))
	fmt.Fprint(t.g.stdout, indent(b.String()))
	return a, nil
}

// edgecache runs one of the program's own commands against the node.
func (t *tour) edgecache(ctx context.Context, args ...string) error {
	var out bytes.Buffer
	args = t.command(args)
	code := run(ctx, args, &out, &out)
	fmt.Fprint(t.g.stdout, indent(out.String()))
	if code != exitDone {
		return fmt.Errorf("edgecache %s: exit code %d", strings.Join(args, " "), code)
	}
	return nil
}

// command prints a command line and returns it with the node's address.
func (t *tour) command(args []string) []string {
	args = append(args, "--address", t.admin)
	fmt.Fprintf(t.g.stdout, "\n  $ edgecache %s\n", strings.Join(args, " "))
	return args
}

// A follower runs a command that does not end by itself and prints its lines
// as they come.
type follower struct {
	out  *tourWriter
	stop func() // ends the command and waits for it
}

func (t *tour) follow(ctx context.Context, args ...string) *follower {
	args = t.command(args)
	ctx, cancel := context.WithCancel(ctx)
	f := &follower{out: &tourWriter{t: t, wrote: make(chan struct{}, 1)}}
	var running sync.WaitGroup
	running.Go(func() { run(ctx, args, f.out, f.out) })
	f.stop = func() { cancel(); running.Wait() }
	return f
}

// until waits until the command has printed text.
func (f *follower) until(ctx context.Context, text string) error {
	for !f.out.has(text) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%q was not seen in time", text)
		case <-f.out.wrote:
		}
	}
	return nil
}

// A tourWriter prints what a command writes, indented.
type tourWriter struct {
	t     *tour
	wrote chan struct{} // holds a value after a Write

	mu   sync.Mutex // protects text
	text strings.Builder
}

func (w *tourWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	w.text.Write(p)
	w.mu.Unlock()
	fmt.Fprint(w.t.g.stdout, indent(string(p)))
	select {
	case w.wrote <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (w *tourWriter) has(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Contains(w.text.String(), text)
}

// A lockedWriter writes for several goroutines: the tour and a command that it
// follows.
type lockedWriter struct {
	mu     sync.Mutex // protects w
	w      io.Writer
	failed func() // called when nobody reads any more
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := l.w.Write(p)
	if err != nil {
		l.failed()
	}
	return n, err
}

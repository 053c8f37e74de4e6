package file_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/file"
)

// deadline is below the time between two looks that no event asks for.
const deadline = 8 * time.Second

// source returns a source that relies on file events: it polls never.
func source(t *testing.T, paths ...string) *file.Source {
	t.Helper()
	s, err := file.New(file.Options{Path: paths, Poll: time.Hour, Name: "files"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func web(port int) []byte {
	return fmt.Appendf(nil, "services:\n  - name: web\n    instances:\n      - {address: 10.0.0.1, port: %d}\n", port)
}

func named(name string) []byte {
	return fmt.Appendf(nil, "services:\n  - name: %s\n    instances:\n      - {address: 10.0.0.1, port: 80}\n", name)
}

// ports is what a watch of all names shows: each service's first port.
type ports struct {
	mu     sync.Mutex // protects the fields below
	now    map[string]uint16
	log    []string // upserts in their order
	synced int
	ends   []error
}

// watch keeps a watch running until the test ends.
func watch(t *testing.T, s *file.Source) *ports {
	p := &ports{now: map[string]uint16{}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			err := s.Watch(ctx, registry.Revision{}, nil, p.emit)
			p.mu.Lock()
			p.ends = append(p.ends, err)
			p.mu.Unlock()
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return p
}

func (p *ports) emit(e registry.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e.Kind {
	case registry.EventUpsert:
		p.now[e.Name] = 0
		if len(e.Record.Instances) > 0 {
			p.now[e.Name] = e.Record.Instances[0].Main().Port
		}
		p.log = append(p.log, fmt.Sprintf("%s:%d", e.Name, p.now[e.Name]))
	case registry.EventDelete:
		delete(p.now, e.Name)
	case registry.EventSynced:
		p.synced++
	}
}

// until waits until the watch shows "name:port …".
func (p *ports) until(t *testing.T, want string) {
	t.Helper()
	var got string
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(time.Millisecond) {
		p.mu.Lock()
		var all []string
		for name, port := range p.now {
			all = append(all, fmt.Sprintf("%s:%d", name, port))
		}
		synced := p.synced
		p.mu.Unlock()
		slices.Sort(all)
		if got = strings.Join(all, " "); got == want && synced > 0 {
			return
		}
	}
	t.Fatalf("the watch shows %q, not %q", got, want)
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestChangesOfOneFileAreSeenWithoutPolling(t *testing.T) {
	for name, change := range map[string]func(testing.TB, string, []byte){
		"in place":  overwrite,
		"by rename": replace,
		"config map": func(t testing.TB, path string, content []byte) {
			swap(t, filepath.Dir(path), filepath.Base(path), content)
		},
		"as vim does": func(t testing.TB, path string, content []byte) {
			_ = os.Rename(path, path+"~") // fails the first time
			overwrite(t, path, content)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "services.yaml")
			change(t, path, web(1))
			p := watch(t, source(t, path))
			for port := 1; port < 6; port++ {
				change(t, path, web(port))
				p.until(t, fmt.Sprintf("web:%d", port))
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if len(p.ends) > 0 {
				t.Errorf("the watch ended: %v", p.ends)
			}
		})
	}
}

func TestFilesComeAndGoInADirectoryAndAGlob(t *testing.T) {
	for name, pattern := range map[string]string{"directory": "", "glob": "*.yaml", "glob of directories": "../*/[a-z].yaml"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "a.yaml"), named("a"))
			write(t, filepath.Join(dir, ".b.yaml.swp"), named("hidden"))
			write(t, filepath.Join(dir, "notes.txt"), []byte("not: [services"))
			p := watch(t, source(t, filepath.Join(dir, pattern)))
			p.until(t, "a:80")
			replace(t, filepath.Join(dir, "b.yaml"), named("b"))
			p.until(t, "a:80 b:80")
			if err := os.Remove(filepath.Join(dir, "a.yaml")); err != nil {
				t.Fatal(err)
			}
			p.until(t, "b:80")
		})
	}
}

func TestLinkToAFileElsewhere(t *testing.T) {
	target := filepath.Join(t.TempDir(), "real.yaml")
	write(t, target, web(1))
	link := filepath.Join(t.TempDir(), "services.yaml")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	p := watch(t, source(t, link))
	p.until(t, "web:1")
	replace(t, target, web(2))
	p.until(t, "web:2")
}

func TestBadContentEndsTheWatchAndGoodContentIsSeenAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "services.yaml")
	write(t, path, web(1))
	s := source(t, path)
	p := watch(t, s)
	p.until(t, "web:1")
	for round, break_ := range []func(){
		func() { write(t, path, []byte("services: [")) },
		func() { write(t, path, nil) },
		func() { write(t, path, []byte("<html>")) },
		func() { _ = os.Remove(path) },
	} {
		break_()
		ended := false
		for end := time.Now().Add(deadline); !ended && time.Now().Before(end); time.Sleep(time.Millisecond) {
			p.mu.Lock()
			ended = len(p.ends) == round+1
			p.mu.Unlock()
		}
		if !ended {
			t.Fatalf("round %d: the watch does not end", round)
		}
		p.until(t, fmt.Sprintf("web:%d", round+1)) // nothing was taken back
		if _, err := s.Lookup(t.Context(), "web", nil); !isUpstream(err) {
			t.Fatalf("round %d: lookup: %v", round, err)
		}
		if _, err := s.List(t.Context()); !isUpstream(err) {
			t.Fatalf("round %d: list: %v", round, err)
		}
		replace(t, path, web(round+2))
		p.until(t, fmt.Sprintf("web:%d", round+2))
	}
}

func isUpstream(err error) bool {
	var upstream *registry.UpstreamError
	return errors.As(err, &upstream) && upstream.Registry == "files" && !errors.Is(err, registry.ErrNotFound)
}

func TestASlowWriterIsWaitedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "services.yaml")
	write(t, path, web(1))
	p := watch(t, source(t, path))
	p.until(t, "web:1")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	content := append(web(2), []byte("  - name: last\n    instances: [{address: 10.0.0.2, port: 2}]\n")...)
	var slowest time.Duration
	for line := range bytes.Lines(content) { // the file is valid YAML after most of them
		began := time.Now()
		if _, err := f.Write(line); err != nil {
			t.Fatal(err)
		}
		time.Sleep(8 * time.Millisecond) // a writer that is slow, not a wait
		slowest = max(slowest, time.Since(began))
	}
	p.until(t, "last:2 web:2")
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ends) > 0 || p.synced != 1 {
		t.Errorf("half a file ended the watch: %v", p.ends)
	}
	// Both come from one reading, in the order of their names.
	if want := []string{"web:1", "last:2", "web:2"}; slowest < 15*time.Millisecond && !slices.Equal(p.log, want) {
		t.Errorf("half a file was read: %q, not %q", p.log, want)
	}
}

func TestANameInTwoFilesIsAnErrorThatNamesBoth(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), named("größe"))
	write(t, filepath.Join(dir, "b.json"), []byte(`{"services":[{"name":"größe"}]}`))
	_, err := source(t, dir).Lookup(t.Context(), "größe", nil)
	if !isUpstream(err) || !strings.Contains(err.Error(), "a.yaml") || !strings.Contains(err.Error(), "b.json") || !strings.Contains(err.Error(), "größe") {
		t.Errorf("found %v", err)
	}
}

func TestPrometheusJobsMaySpreadOverFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.json"), []byte(`[{"targets":["10.0.0.1:1"],"labels":{"job":"node"}}]`))
	write(t, filepath.Join(dir, "b.yml"), []byte("- targets: ['10.0.0.2:2']\n  labels: {job: node}\n"))
	rec, err := source(t, dir).Lookup(t.Context(), "node", nil)
	if err != nil || len(rec.Instances) != 2 {
		t.Errorf("found %v, %v", rec, err)
	}
}

func TestUnicodeAndSlashedNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dienste.yaml")
	names := []string{"größe", "サービス", "team/web", "a b", "x:y", "🙂"}
	var b strings.Builder
	b.WriteString("services:\n")
	for _, name := range names {
		fmt.Fprintf(&b, "  - name: %q\n", name)
	}
	write(t, path, []byte(b.String()))
	s := source(t, path)
	for _, name := range names {
		if rec, err := s.Lookup(t.Context(), name, nil); err != nil || rec.Key.Name != name {
			t.Errorf("%q: %v, %v", name, rec, err)
		}
	}
	slices.Sort(names)
	if got, err := s.List(t.Context()); err != nil || !slices.Equal(got, names) {
		t.Errorf("list: %q, %v", got, err)
	}
}

func TestWhatIsNoFileIsAnError(t *testing.T) {
	dir := t.TempDir()
	huge := filepath.Join(dir, "huge.yaml")
	write(t, huge, nil)
	if err := os.Truncate(huge, 65<<20); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"missing": "none.yaml", "missing directory": "none/*.yaml", "no match": "*.json", "empty directory": "empty", "too large": "huge.yaml",
	} {
		if _, err := source(t, filepath.Join(dir, path)).Lookup(t.Context(), "web", nil); !isUpstream(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := source(t, os.DevNull).Lookup(t.Context(), "web", nil); !isUpstream(err) {
		t.Errorf("a device: %v", err)
	}
}

func TestAWishAloneIsAChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "services.yaml")
	write(t, path, []byte("services: [{name: web, ttl_ms: 1000}]"))
	s := source(t, path)
	have, err := s.Lookup(t.Context(), "web", nil)
	if err != nil || have.Wishes.TTL != time.Second {
		t.Fatalf("%+v, %v", have, err)
	}
	replace(t, path, []byte("services: [{name: web, ttl_ms: 2000}]"))
	if rec, err := s.Lookup(t.Context(), "web", have); err != nil || rec.Wishes.TTL != 2*time.Second {
		t.Errorf("%+v, %v", rec, err)
	}
}

func TestOneErrorIsLoggedOnce(t *testing.T) {
	var mu sync.Mutex
	var log strings.Builder
	path := filepath.Join(t.TempDir(), "services.yaml")
	s, err := file.New(file.Options{Path: registry.Strings{path}, Name: "files", Logger: slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(p)
	}), nil))})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		_, _ = s.Lookup(t.Context(), "web", nil)
	}
	write(t, path, web(1))
	for range 5 {
		if _, err := s.Lookup(t.Context(), "web", nil); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if lines := strings.Count(log.String(), "\n"); lines != 2 {
		t.Errorf("%d lines, not one for the error and one for its end:\n%s", lines, log.String())
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestOptionsNameAllMistakes(t *testing.T) {
	_, err := file.New(file.Options{Format: "toml", Poll: -1})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"path:", `format: "toml"`, "poll:"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	if _, err := file.New(file.Options{Path: registry.Strings{"[a"}}); err == nil {
		t.Error("a bad glob is accepted")
	}
}

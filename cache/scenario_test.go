package cache_test

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestScenarios runs the scripts in testdata/*.txt on a fake clock. A block of
// commands ends with ----; what they print follows up to an empty line.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runScenario(t, file) })
		})
	}
}

func runScenario(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &scenario{t: t, fakes: map[string]*registrytest.Fake{}}
	var out strings.Builder
	for _, block := range strings.Split(strings.TrimRight(string(text), "\n"), "\n\n") {
		commands, want, ok := strings.Cut(block, "\n----")
		if !ok { // a comment, or set-up that prints nothing
			want = ""
		}
		got := ""
		for line := range strings.Lines(commands) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				got += s.do(strings.Fields(line))
			}
		}
		if want = strings.TrimPrefix(want, "\n"); !*update && strings.TrimSpace(got) != strings.TrimSpace(want) {
			t.Errorf("%s\n%s\n---- got\n%s---- want\n%s", file, commands, got, want)
		}
		out.WriteString(commands)
		if got != "" {
			out.WriteString("\n----\n" + strings.TrimRight(got, "\n"))
		}
		out.WriteString("\n\n")
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.TrimRight(out.String(), "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// A scenario is the world a script acts on.
type scenario struct {
	t     *testing.T
	opts  cache.Options
	list  []cache.Registry
	fakes map[string]*registrytest.Fake
	c     *cache.Cache
	last  registry.Answer
}

func (s *scenario) cache() *cache.Cache {
	if s.c == nil {
		s.c = open(s.t, func(o *cache.Options) {
			p := o.Policy
			*o = s.opts
			if o.Memory == 0 {
				*o = cache.Defaults()
			}
			p = o.Policy
			p.Jitter = 0
			o.Policy = p
			o.Registries = s.list
		}, s.list...)
		synctest.Wait()
	}
	return s.c
}

// do runs one command and returns what it prints.
func (s *scenario) do(args []string) string {
	f := s.fakes[""]
	if len(args) > 1 {
		if named := s.fakes[args[1]]; named != nil {
			f = named
		}
	}
	switch args[0] {
	case "registry": // name [key=value]…
		s.registry(args[1], args[2:])
	case "merge": // name part…
		s.list = append(s.list, cache.Registry{Name: args[1], Type: "merge", Kind: registry.KindService, Of: args[2:]})
	case "open":
		s.cache()
	case "put": // registry name id…
		var in []registry.Instance
		for _, id := range args[3:] {
			in = append(in, instance(id))
		}
		f.Put(args[2], in...)
		synctest.Wait()
	case "vanish": // registry name: gone, without the registry saying so deliberately
		f.Vanish(args[2])
		synctest.Wait()
	case "remove": // registry name
		f.Remove(args[2])
		synctest.Wait()
	case "down": // registry
		f.SetError(&registry.UpstreamError{Registry: args[1], Status: 500, Err: errors.New("down")})
		synctest.Wait()
	case "up": // registry
		f.SetError(nil)
		synctest.Wait()
	case "slow": // registry duration
		f.SetDelay(duration(s.t, args[2]))
	case "advance":
		s.cache()
		time.Sleep(duration(s.t, args[1]))
		synctest.Wait()
	case "calls": // registry
		return fmt.Sprintf("%d calls\n", f.Calls(""))
	case "lookup": // name [registry=] [max_age=] [cached]
		return s.lookup(args[1], args[2:])
	case "invalidate": // mode name|prefix*|#tag|@registry|all
		return s.invalidate(args[1], args[2:])
	case "names":
		p, err := s.cache().Names(s.t.Context(), &registry.NamesQuery{Limit: 100})
		if err != nil {
			return err.Error() + "\n"
		}
		var rows []string
		for _, r := range p.Rows {
			rows = append(rows, r.Registry+"/"+r.Name)
		}
		return fmt.Sprintf("%s stale=%t complete=%t\n", strings.Join(rows, " "), p.Stale, p.Complete)
	default:
		s.t.Fatalf("unknown command %q", args)
	}
	return ""
}

func duration(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (s *scenario) registry(name string, settings []string) {
	f := registrytest.NewFake(name)
	s.fakes[name] = f
	r := unwatched(name, f)
	f.Caps.List, f.Caps.WatchList, f.Caps.Ordered = false, false, false
	o := &r.Overrides
	for _, setting := range settings {
		key, value, _ := strings.Cut(setting, "=")
		switch key {
		case "ttl", "swr", "sie", "negative", "verify":
			d := duration(s.t, value)
			*map[string]**time.Duration{"ttl": &o.TTL, "swr": &o.StaleWhileRevalidate, "sie": &o.StaleIfError,
				"negative": &o.NegativeTTL, "verify": &o.Verify}[key] = &d
		case "ahead":
			share := registry.Share(0)
			o.RefreshAhead = &share
		case "watch":
			r.Watch = true
			f.Caps.WatchAll = value == "all"
		case "list":
			f.Caps.List, f.Caps.WatchList = true, value == "watch"
			r.Watch = r.Watch || value == "watch"
			if value == "watch" && !slices.Contains(settings, "watch=all") && !slices.Contains(settings, "watch=each") {
				f.Caps.Watch = false
			}
		case "ordered":
			f.Caps.Ordered = true
		case "services":
			r.Services = strings.Split(value, ",")
		case "on_down":
			r.FailOnDown = value == "fail"
		default:
			s.t.Fatalf("unknown setting %q", setting)
		}
	}
	s.list = append(s.list, r)
}

func (s *scenario) lookup(name string, settings []string) string {
	q, anyAge := query(name), false
	for _, setting := range settings {
		key, value, _ := strings.Cut(setting, "=")
		switch key {
		case "registry":
			q.Registry = value
		case "max_age":
			q.MaxAge = duration(s.t, value)
		case "cached":
			q.OnlyCached = true
		case "anyage": // it depends on jitter
			anyAge = true
		}
	}
	a, err := s.cache().Lookup(s.t.Context(), q)
	line := describe(a, err)
	if anyAge {
		line = strings.Replace(line, "age="+a.Age.String(), "age=*", 1)
	}
	if a.Index != 0 && s.last.Index != 0 {
		switch {
		case a.Index > s.last.Index:
			line += " index rose"
		case a.Index < s.last.Index:
			line += " INDEX FELL"
		}
	}
	if a.Index != 0 {
		s.last = a
	}
	return line + "\n"
}

// describe writes an answer as scenarios show it.
func describe(a registry.Answer, err error) string {
	var b strings.Builder
	w := bufio.NewWriter(&b)
	switch e, _ := errors.AsType[*registry.LookupError](err); {
	case e != nil:
		fmt.Fprint(w, e.Err)
	case len(a.Record.Instances) == 0:
		fmt.Fprintf(w, "%s: no instances", a.Record.Key.Registry)
	default:
		fmt.Fprintf(w, "%s: %s", a.Record.Key.Registry, ids(a))
	}
	if err == nil {
		if a.Stale {
			fmt.Fprint(w, " stale")
		}
		fmt.Fprintf(w, " age=%s", a.Age)
	}
	if a.Hit {
		fmt.Fprint(w, " hit")
	}
	for i, name := range registry.DetailNames {
		if a.Details&(1<<i) != 0 {
			fmt.Fprintf(w, " %s", name)
		}
	}
	w.Flush()
	return b.String()
}

func (s *scenario) invalidate(mode string, what []string) string {
	m, err := registry.ParseMode(mode)
	if err != nil {
		s.t.Fatal(err)
	}
	inv := &registry.Invalidation{Mode: m}
	for _, w := range what {
		var sel registry.Selector
		switch {
		case w == "all":
			sel.All = true
		case strings.HasPrefix(w, "@"):
			sel.Key.Registry = w[1:]
		case strings.HasPrefix(w, "#"):
			sel.Tag = w[1:]
		case strings.HasSuffix(w, "*"):
			sel.Prefix = strings.TrimSuffix(w, "*")
		default:
			sel.Key.Name = w
		}
		inv.Selectors = append(inv.Selectors, sel)
	}
	if err := s.cache().Invalidate(s.t.Context(), inv); err != nil {
		return err.Error() + "\n"
	}
	return ""
}

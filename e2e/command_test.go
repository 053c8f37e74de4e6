package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// command runs one command of the program to its end.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*deadline)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.TempDir(), &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Fatalf("%v does not end; it wrote\n%s%s", args, &out, &errs)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func TestTheCommandsOfAClient(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.set("web", "web-1", "web-2")
	u.set("team/api", "api-1")
	n := start(t, loopback+`registries:
  - {name: catalog, type: httpjson, address: "`+u.URL+`", path: "/s/{name}", list: /names, warm: all, timeout: 20s, retries: 0}
`)
	n.awaits("loaded", "/v1/services/team/api", func(a *answer) bool { return a.status == 200 })
	slow := func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(time.Second):
			u.answer(w, r)
		}
	}
	for _, tc := range []struct {
		args  []string
		code  int
		wants []string // in the output, or on failure in the message
		fault func(http.ResponseWriter, *http.Request)
	}{
		{args: []string{"get", "web"}, wants: []string{"web-1", "10.2.0.2:80", "catalog"}},
		{args: []string{"get", "team/api", "--registry", "catalog"}, wants: []string{"api-1"}},
		{args: []string{"get", "web", "--view", "addresses"}, wants: []string{"10.2.0.1:80\n10.2.0.2:80"}},
		{args: []string{"get", "web", "--view", "document"}, wants: []string{`"web-1"`}},
		{args: []string{"get", "nowhere"}, code: 3, wants: []string{"nowhere"}},
		{args: []string{"get"}, code: 2, wants: []string{"NAME"}},
		{args: []string{"get", "web", "--output", "xml"}, code: 2, wants: []string{"table or json"}},
		{args: []string{"get", "a//b"}, code: 1, wants: []string{"empty segment"}},
		{args: []string{"get", "web", "--registry", "nobody"}, code: 3, wants: []string{"no-such-registry"}},
		{args: []string{"list"}, wants: []string{"team/api", "web"}},
		{args: []string{"list", "--prefix", "we"}, wants: []string{"web"}},
		{args: []string{"invalidate", "web"}, wants: []string{"confirmed by 1 of 1 member"}},
		{args: []string{"invalidate", "--all", "--mode", "soft"}, wants: []string{"confirmed"}},
		{args: []string{"invalidate"}, code: 2, wants: []string{"--all"}},
		{args: []string{"invalidate", "web", "--registry", "nobody"}, code: 1, wants: []string{"nobody"}},
		{args: []string{"refresh", "web"}, wants: []string{"web", "unchanged"}},
		{args: []string{"refresh", "team/api"}, code: 1, wants: []string{"failed"},
			fault: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "boom", 500) }},
		{args: []string{"status"}, wants: []string{"edge-1", "ready", "lookups:"}},
		{args: []string{"members"}, wants: []string{"edge-1", "alive"}},
		{args: []string{"refresh", "web", "--timeout", "300ms"}, code: 4, fault: slow, wants: []string{"still runs"}},
		{args: []string{"top", "--once", "--interval", "100ms"}, wants: []string{"edge-1", "catalog", "web"}},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			u.setFault(tc.fault)
			defer u.setFault(nil)
			code, out, errs := command(t, append(tc.args, "--address", n.admin)...)
			text := out
			if code != 0 {
				text = out + errs
			}
			for _, want := range tc.wants {
				if !strings.Contains(text, want) {
					t.Errorf("no %q", want)
				}
			}
			if code != tc.code || code == 0 && out == "" {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			if t.Failed() {
				t.Logf("it wrote\n%s%s", out, errs)
			}
			if tc.code != 0 || strings.Contains(strings.Join(tc.args, " "), "document") {
				return
			}
			code, out, errs = command(t, append(tc.args, "--address", n.admin, "--output", "json")...)
			if code != 0 || !json.Valid([]byte(out)) {
				t.Errorf("as JSON: %d\n%s%s", code, out, errs)
			}
		})
	}
	code, _, errs := command(t, "status", "--address", "127.0.0.1:"+freePorts(t, 1)[0])
	if code != 1 || !strings.Contains(errs, "edgecache serve") {
		t.Errorf("without a node: %d %s", code, errs)
	}
	if code, _, _ := command(t, "no-such-command"); code != 2 {
		t.Errorf("a command that does not exist: %d, want 2", code)
	}
}

func TestTheWatchCommandFollowsUntilInterrupted(t *testing.T) {
	t.Parallel()
	n, path := withFile(t, map[string][]string{"web": {"web-1"}}, "")
	ctx, cancel := context.WithTimeout(t.Context(), 2*deadline)
	defer cancel()
	var out logBuffer
	cmd := exec.CommandContext(ctx, program, "watch", "web", "api", "--address", n.admin, "--output", "json")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	told := func(what string, words ...string) {
		t.Helper()
		eventually(t, what, func() error {
			for line := range strings.Lines(out.String()) {
				if !json.Valid([]byte(line)) {
					return errors.New("not JSON: " + line)
				}
				found := 0
				for _, w := range words {
					if strings.Contains(line, w) {
						found++
					}
				}
				if found == len(words) {
					return nil
				}
			}
			return errors.New(out.String())
		})
	}
	told("the list", `"synced"`)
	writeServices(t, path, map[string][]string{"web": {"web-1", "web-2"}})
	told("a change", `"upsert"`, `"web-2"`)
	writeServices(t, path, map[string][]string{"api": {"api-1"}})
	told("a name that goes", `"delete"`, `"name":"web"`, `"id"`)
	told("a name that comes", `"upsert"`, `"api-1"`)
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("interrupted: %v, want exit code 0", err)
	}
}

func TestTheDemoShowsWhatItClaims(t *testing.T) {
	t.Parallel()
	started := time.Now()
	code, out, errs := command(t, "demo", "--exit", "--listen", "127.0.0.1:"+freePorts(t, 1)[0], "--admin", "127.0.0.1:"+freePorts(t, 1)[0])
	if code != 0 || !strings.Contains(out, "stale-if-error") {
		t.Errorf("the tour ended with %d after %s:\n%s%s", code, time.Since(started), out, errs)
	}
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

const wrkReport = `Running 1s test @ http://127.0.0.1:7400/v1/services/web
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     0.89ms    3.23ms  60.94ms   96.15%
    Req/Sec   131.27k    16.61k  171.05k    75.00%
  Latency Distribution
     50%  380.00us
     75%    0.61ms
     90%    1.24ms
     99%   15.39ms
  130624 requests in 1.00s, 163.81MB read
Requests/sec: 130561.93
Transfer/sec:    163.73MB
`

func TestReportsOfLoadGeneratorsAreRead(t *testing.T) {
	s, err := parseWrk(wrkReport)
	if err != nil || s.rate != 130561.93 || s.p99 != 15390*time.Microsecond {
		t.Errorf("wrk: %+v, %v", s, err)
	}
	s, err = parseRedisBenchmark(`"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
"GET web","120481.93","0.285","0.128","0.279","0.359","0.447","1.055"
`)
	if err != nil || s.rate != 120481.93 || s.p99 != 447*time.Microsecond {
		t.Errorf("redis-benchmark: %+v, %v", s, err)
	}
}

func TestErrorsUnderLoadAreNoSample(t *testing.T) {
	for _, bad := range []string{"  Non-2xx or 3xx responses: 12\n", "  Socket errors: connect 0, read 3, write 0, timeout 0\n"} {
		if s, err := parseWrk(strings.Replace(wrkReport, "Requests/sec", bad+"Requests/sec", 1)); err == nil {
			t.Errorf("%q gave %+v, an error expected", bad, s)
		}
	}
	for _, cut := range []string{"", wrkReport[:200]} {
		if s, err := parseWrk(cut); err == nil {
			t.Errorf("%q gave %+v, an error expected", cut, s)
		}
	}
	if s, err := parseRedisBenchmark("Error: Connection refused\n"); err == nil {
		t.Errorf("redis-benchmark: %+v, an error expected", s)
	}
}

func TestQuantilesInterpolate(t *testing.T) {
	got := quantiles([]float64{4, 1, 3, 2}, 0, 0.25, 0.5, 1)
	if want := []float64{1, 1.75, 2.5, 4}; !slices.Equal(got, want) {
		t.Errorf("quantiles = %v, want %v", got, want)
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing = %v, want NaN", got)
	}
}

func TestRatiosAreTakenWithinRounds(t *testing.T) {
	b := &bench{options: options{rounds: 4}}
	var order []string
	speed := 1.0 // of the machine; changes with each round
	contend := func(name string, rate float64) contender {
		return contender{name, func(context.Context) (sample, error) {
			order = append(order, name)
			if len(order)%2 == 0 {
				speed *= 3
			}
			return sample{rate: rate * math.Pow(3, float64((len(order)-1)/2))}, nil
		}}
	}
	r, err := b.versus(t.Context(), contend("ours", 20), contend("theirs", 10))
	if err != nil || r.value != 2 || r.quartile != [2]float64{2, 2} {
		t.Errorf("value %v, quartiles %v, %v; want 2 whatever the machine does", r.value, r.quartile, err)
	}
	if got := strings.Join(order[2:6], " "); got != "ours theirs theirs ours" {
		t.Errorf("order of two rounds: %s", got)
	}
}

func TestOutcomesPrintOneLine(t *testing.T) {
	f := figure{name: "hit/nginx"}
	for want, o := range map[string]outcome{
		"RATIO hit/nginx 1.44":                               {figure: f, result: result{value: 1.437}},
		"RATIO hit/nginx 1536":                               {figure: f, result: result{value: 1536.2}},
		"RATIO hit/nginx 28.8":                               {figure: f, result: result{value: 28.81}},
		"FAIL hit/nginx two lines":                           {figure: f, err: errors.New("two\nlines")},
		"SKIP hit/nginx peer: nginx is not installed: run a": {figure: f, err: fmt.Errorf("peer: %w", missing("nginx", "run a"))},
	} {
		if got := o.line(); got != want {
			t.Errorf("line = %q, want %q", got, want)
		}
	}
}

func TestFiguresAreChosenByPattern(t *testing.T) {
	chosen, err := choose(figures(), "hit/*,wake")
	if err != nil || len(chosen) != 7 || chosen[6].name != "wake" {
		t.Errorf("chosen: %d figures, %v", len(chosen), err)
	}
	if _, err := choose(figures(), "hit/*,speed"); err == nil || !strings.Contains(err.Error(), "coalesce") {
		t.Errorf("error = %v; it should list the figures", err)
	}
	for _, f := range figures() {
		if (f.goal == "") != (f.reached == nil) {
			t.Errorf("%s: goal %q without a check, or the other way round", f.name, f.goal)
		}
	}
}

func TestDocumentIsARecordOfAboutOneKilobyte(t *testing.T) {
	rec, err := registry.ParseRecord([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	rec.Seal(1)
	var sel registry.Selection
	s := registry.DefaultSelect
	s.Tags = []string{"v1"}
	s.Apply(rec, &sel)
	if len(rec.Instances) != 6 || len(sel.Picks) != 5 {
		t.Errorf("%d instances, %d with the tag; 6 and 5 expected", len(rec.Instances), len(sel.Picks))
	}
	if len(document) < 900 || len(document) > 1200 {
		t.Errorf("the document has %d bytes", len(document))
	}
}

func TestOriginCanGoAwayAndComeBack(t *testing.T) {
	b := &bench{}
	o, err := b.newOrigin(nil)
	if err != nil {
		t.Fatal(err)
	}
	check := serves("http://" + o.address + originPath + name)
	for range 2 {
		if err := errors.Join(o.up(), check()); err != nil {
			t.Errorf("up: %v", err)
		}
		if err := errors.Join(o.down(), o.down()); err != nil {
			t.Errorf("down: %v", err)
		}
		if check() == nil {
			t.Error("down, and it answers")
		}
	}
	if got := o.count(name); got != 2 {
		t.Errorf("%d calls counted, want 2", got)
	}
}

func TestProcessesEndWithTheBench(t *testing.T) {
	if _, err := exec.LookPath("taskset"); err != nil {
		t.Skip("no taskset here: install util-linux")
	}
	which, err := pickCores()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{dir: t.TempDir(), cores: which}
	file := filepath.Join(b.dir, "child")
	ready := func() error {
		_, err := os.Stat(file)
		return err
	}
	// A shell that ignores being asked, and its child.
	p, err := b.start(t.Context(), ready, "sh", "-c", "trap '' TERM; sleep 60 & echo $! >child.new; mv child.new child; wait")
	if err != nil {
		t.Fatal(err)
	}
	child, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.start(t.Context(), func() error { return errors.New("not ready") }, "sh", "-c", "echo cannot start; exit 3"); err == nil || !strings.Contains(err.Error(), "cannot start") {
		t.Errorf("error = %v; it should hold what the process said", err)
	}
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
	group := p.cmd.Process.Pid
	running := func() bool { // a dead child may wait for init to take note of it
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%s/stat", strings.TrimSpace(string(child)))) // gone: not running
		fields := strings.Fields(string(text))
		return len(fields) > 2 && fields[2] != "Z" && fields[2] != "X"
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := poll(ctx, func() error {
		if syscall.Kill(group, 0) == nil || running() {
			return errors.New("still running")
		}
		return nil
	}); err != nil {
		t.Errorf("process %d and its child %s: %v", group, child, err)
	}
}

func TestBareHandlerRepeatsAnAnswer(t *testing.T) {
	ports, err := registrytest.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(captured{
		Address: "127.0.0.1:" + ports[0], Body: []byte("body"),
		Headers: [][2]string{{"Content-Type", "application/json"}, {"Cache-Status", "edgecache; hit; ttl=3"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "answer.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serveBare(ctx, []string{path}) }()
	limited, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err = poll(limited, func() error {
		body, header, err := get("http://127.0.0.1:" + ports[0] + "/")
		if _, refused := errors.AsType[*net.OpError](err); refused {
			return err
		}
		if err != nil || string(body) != "body" || header.Get("Content-Type") != "application/json" || header.Get("Cache-Status") != "edgecache; hit; ttl=3" {
			t.Errorf("body %q, headers %v, %v", body, header, err)
		}
		return nil
	})
	stop()
	if err := errors.Join(err, <-ended); err != nil {
		t.Error(err)
	}
}

func TestReportHoldsEveryOutcome(t *testing.T) {
	b := &bench{options: options{rounds: 9, duration: time.Second, results: t.TempDir()}}
	fast := result{value: 1.5, quartile: [2]float64{1.4, 1.6}, sides: []side{{"edgecache", []sample{{rate: 1000, p99: time.Millisecond, server: 1}}}}}
	path, err := writeReport(b, []outcome{
		{figure: figure{name: "a", goal: "≥ 1", reached: atLeast(1)}, result: fast},
		{figure: figure{name: "b", goal: "≥ 2", reached: atLeast(2)}, result: fast},
		{figure: figure{name: "c"}, result: fast},
		{figure: figure{name: "d", goal: "≥ 1"}, err: missing("nginx", "install it")},
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| `a` | 1.50 | 1.40 – 1.60 | ≥ 1 | yes |", "| ≥ 2 | no |", "| `c` | 1.50 | 1.40 – 1.60 |  |  |",
		"SKIP d nginx is not installed", "| `a` | edgecache | 1000 | 1000 – 1000 | 1ms | 100 % |", "method: 9 rounds"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
}

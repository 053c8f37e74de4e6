package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documented returns the metrics of docs/metrics.md: name, type and labels.
func documented(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(edgecache_[a-z_]+)` \\| (\\w+) \\| (.*?) \\| .+ \\|$").FindAllStringSubmatch(string(text), -1) {
		out[row[1]] = row[2] + " " + strings.NewReplacer("`", "", ",", "").Replace(row[3])
	}
	return out
}

func TestEveryMetricIsDocumentedAndEveryDocumentedOneExists(t *testing.T) {
	want := map[string]string{requestSeconds: "histogram ", delaySeconds: "histogram "}
	for _, f := range families() {
		kind := "gauge"
		if f.kind == counter {
			kind = "counter"
		}
		want[f.name] = kind + " " + strings.Join(f.labels, " ")
	}
	got := documented(t)
	for name, is := range want {
		if got[name] != is {
			t.Errorf("docs/metrics.md says %q of %s, want %q", got[name], name, is)
		}
	}
	for name := range got {
		if want[name] == "" {
			t.Errorf("docs/metrics.md lists %s, which does not exist", name)
		}
	}
}

func TestMetricNamesFollowTheRule(t *testing.T) {
	for _, f := range families() {
		if total := strings.HasSuffix(f.name, "_total"); total != (f.kind == counter) {
			t.Errorf("%s: counters, and only they, end in _total", f.name)
		}
		if part := strings.Split(f.name, "_"); !slices.Contains([]string{"cache", "store", "gossip", "registry", "plugins", "http", "node"}, part[1]) {
			t.Errorf("%s: no package %s", f.name, part[1])
		}
	}
}

func TestAScrapeShowsEveryMetric(t *testing.T) {
	config := files(t, "edgecache.yaml", twoPorts+"registries: [{name: files, type: file, path: DIR/web.yaml, warm: all}]\n"+
		"filters: ["+brokenFilter("broken", "trap-unreachable", "open")+"]\n", "web.yaml", webFile)
	s := startServe(t, "--config", config)
	waitUntil(t, "a hit", func() bool {
		_, _ = s.request("GET", s.data+"/v1/services/web")
		_, body := s.request("GET", s.base+"/metrics")
		return regexp.MustCompile(`edgecache_cache_lookups_total\{outcome="hit"\} [1-9]`).MatchString(body)
	})
	status, body := s.request("GET", s.base+"/metrics")
	if status != 200 {
		t.Fatalf("metrics: %d %s", status, body)
	}
	for name := range documented(t) {
		if !strings.Contains(body, "\n# TYPE "+name+" ") {
			t.Errorf("%s is not in the scrape", name)
		}
	}
	for _, want := range []string{"go_goroutines ", "process_open_fds ", `edgecache_node_info{node="edge-1"`, "edgecache_http_request_seconds_bucket"} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is missing", want)
		}
	}
	s.end(0)
}

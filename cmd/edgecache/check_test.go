package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

func TestCheckPrintsTheEffectiveConfigurationWithoutSecrets(t *testing.T) {
	config := files(t, "edgecache.yaml", `
cache: {ttl: 90s}
registries:
  - {name: consul, type: consul, address: ["http://me:hunter2@10.0.0.1:8500"], token: s3cret}
  - name: web
    type: httpjson
    address: http://127.0.0.1:9000
    path: /x/{name}
    headers: {Authorization: "Basic aHVudGVy"}
`)
	t.Setenv("EDGECACHE_CACHE_VERIFY", "70ms")
	t.Setenv("EDGECACHE_STORE_MAX_BYTES", "1GiB")
	t.Setenv("EDGECACHE_NONSENSE", "1")
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"check", "--config", config, "--set", "http.timeout=9s"}, &stdout, &stderr)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, stderr.String())
	}
	for _, want := range []string{"ttl: 1m30s", "verify: 70ms", "timeout: 9s", "data_dir: ./data", "max_bytes: 1GiB", "min_free: 5%", "token: '***'", "me:***@10.0.0.1", "Authorization: '***'"} {
		if !strings.Contains(strings.ReplaceAll(stdout.String(), `"`, "'"), want) {
			t.Errorf("%q is missing in\n%s", want, stdout.String())
		}
	}
	for _, secret := range []string{"hunter2", "s3cret", "aHVudGVy"} {
		if strings.Contains(stdout.String()+stderr.String(), secret) {
			t.Errorf("the output tells %s:\n%s", secret, stdout.String())
		}
	}
	if !strings.Contains(stderr.String(), "EDGECACHE_NONSENSE is not a setting") {
		t.Errorf("no warning in %q", stderr.String())
	}
}

func TestCheckFailsOnMistakes(t *testing.T) {
	config := files(t, "edgecache.yaml", "cache: {tll: 1s}\n")
	var stderr bytes.Buffer
	if code := run(t.Context(), []string{"check", "--config", config}, io.Discard, &stderr); code != exitFailed {
		t.Errorf("exit %d, want %d", code, exitFailed)
	}
	if !strings.Contains(stderr.String(), "edgecache.yaml:1:9: cache.tll: unknown key; did you mean ttl?") {
		t.Errorf("stderr: %s", stderr.String())
	}
	if code := run(t.Context(), []string{"check", "--config", config + ".missing"}, io.Discard, io.Discard); code != exitFailed {
		t.Errorf("a missing file: exit %d, want %d", code, exitFailed)
	}
}

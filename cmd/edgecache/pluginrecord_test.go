package main

import (
	"encoding/pem"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhatIsRecordedOfARegistryIsAFixture(t *testing.T) {
	server := httptest.NewTLSServer(&countedRegistry{id: "one"})
	defer server.Close()
	authority := files(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	fixture := filepath.Join(filepath.Dir(authority), "recorded.yaml")
	args := []string{"record", echoModule, "--allow", server.URL, "--config", `{"url": "` + server.URL + `"}`, "--lookup", "web,db", "--list", "--poll", "-o", fixture}
	if code, out, errs := plugin(t, args...); code != 0 || !strings.Contains(errs, "lookup web failed, and the fixture expects that: ") || !strings.Contains(errs, "certificate") {
		t.Errorf("without its authority: %d %s\n%s", code, out, errs)
	}
	code, out, errs := plugin(t, append(args, "--ca", authority)...)
	if code != 0 || strings.Contains(errs, "failed") || !strings.Contains(out, "4 exchanges, 4 cases; next: edgecache plugin test "+echoModule) {
		t.Fatalf("%d %s\n%s", code, out, errs)
	}
	server.Close()
	if code, out, errs := plugin(t, "test", echoModule, "--fixtures", fixture); code != 0 || !strings.Contains(out, "4 cases") {
		t.Errorf("what was recorded: %d %s\n%s", code, out, errs)
	}
	code, _, errs = plugin(t, "record", echoModule, "--allow", server.URL)
	if code != 2 || !strings.Contains(errs, "--lookup NAME, --list or --poll expected") {
		t.Errorf("nothing to record: %d %s", code, errs)
	}
}

package plugins_test

import (
	"strings"
	"testing"
	"time"

	"github.com/edgecache/edgecache/plugins"
	"github.com/edgecache/edgecache/registry"
)

func TestMistakesOfAdapterOptionsAreToldAllAtOnce(t *testing.T) {
	o := plugins.AdapterDefaults()
	o.SHA256, o.Poll, o.Pool = "abc", time.Millisecond, 5000
	o.Allow = registry.Strings{"127.0.0.1:1", "https://good.example.com", "http://x/path", "http://x 10.0.0.0/99", "ftp://x", "http://a.*.b", ""}
	o.Secrets = map[string]plugins.Secret{"A": {To: registry.Strings{"nowhere"}}, "B": {File: "./b"}}
	err := o.Validate()
	if err == nil {
		t.Fatal("they are taken")
	}
	for _, want := range []string{
		"plugin: the path of a .wasm file expected",
		`sha256: "abc": 64 hexadecimal digits expected`,
		`allow[0]: "127.0.0.1:1": `, `allow[2]: "http://x/path": no more than scheme, host and port expected`,
		`allow[3]: "10.0.0.0/99": a network as in 10.0.0.0/8 expected`, `allow[4]: "ftp://x": scheme, host and port`,
		`allow[5]: "http://a.*.b": a * stands for names at the beginning only`, "allow[6]: empty; an origin",
		"secrets.A.file: the path of a file expected", `secrets.A.to[0]: "nowhere": `,
		"secrets.B.to: allow has 7 entries; the origins that may see the secret expected",
		"poll: 1ms: 100ms or more expected", "pool: 5000: 1 to 1024 expected",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not have %s", err, want)
		}
	}
	if strings.Contains(err.Error(), "allow[1]") {
		t.Error(err)
	}
}

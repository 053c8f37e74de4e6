package httpjson_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/fetch"
	"github.com/edgecache/edgecache/registry/httpjson"
)

func valid() httpjson.Options {
	return httpjson.Options{Address: registry.Strings{"http://127.0.0.1:1"}, Path: "/services/{name}.json"}
}

func TestValidateNamesEachMistakeByItsKey(t *testing.T) {
	for _, row := range []struct {
		want   string
		change func(*httpjson.Options)
	}{
		{"address: missing", func(o *httpjson.Options) { o.Address = nil }},
		{"address: ", func(o *httpjson.Options) { o.Address = registry.Strings{"127.0.0.1:80"} }},
		{"tls.ca: ", func(o *httpjson.Options) { o.TLS = fetch.TLS{CA: "none"} }},
		{"max_bytes: ", func(o *httpjson.Options) { o.MaxBytes = -1 }},
		{"timeout: ", func(o *httpjson.Options) { o.Timeout = -1 }},
		{"token: one line", func(o *httpjson.Options) { o.Token = "a\nb" }},
		{"token_file: open none", func(o *httpjson.Options) { o.TokenFile = "none" }},
		{"token_file: given beside token", func(o *httpjson.Options) { o.Token, o.TokenFile = "a", "options_test.go" }},
		{"token_file: options_test.go: one line", func(o *httpjson.Options) { o.TokenFile = "options_test.go" }},
		{"headers: host cannot be set", func(o *httpjson.Options) { o.Headers = map[string]string{"host": "x"} }},
		{`headers: "a b"`, func(o *httpjson.Options) { o.Headers = map[string]string{"a b": "x"} }},
		{"headers: the value of A", func(o *httpjson.Options) { o.Headers = map[string]string{"A": "x\r\nB: y"} }},
		{"path: missing", func(o *httpjson.Options) { o.Path = "" }},
		{"path: \"/services\" has no {name}", func(o *httpjson.Options) { o.Path = "/services" }},
		{"path: ", func(o *httpjson.Options) { o.Path = "http://x/{name}" }},
		{"path: ", func(o *httpjson.Options) { o.Path = "/a b/{name}" }},
		{"path: ", func(o *httpjson.Options) { o.Path = "/%zz/{name}" }},
		{"list: ", func(o *httpjson.Options) { o.List = "//other/list" }},
		{"poll: ", func(o *httpjson.Options) { o.Poll = 1 }},
		{"poll: ", func(o *httpjson.Options) { o.Poll = -1 }},
		{"items: it needs list", func(o *httpjson.Options) { o.Items = "/x" }},
		{"items: \"x\": a JSON pointer", func(o *httpjson.Options) { o.List, o.Items = "/l", "x" }},
		{"item_name: ", func(o *httpjson.Options) { o.ItemName = "/a~b" }},
		{"next: it needs list", func(o *httpjson.Options) { o.Next = "link" }},
		{"next: ", func(o *httpjson.Options) { o.List, o.Next = "/l", "header" }},
		{"next_parameter: ", func(o *httpjson.Options) { o.List, o.Next, o.NextParam = "/l", "link", "cursor" }},
		{"instances: ", func(o *httpjson.Options) { o.Instances = "hosts" }},
		{"fields.port: ", func(o *httpjson.Options) { o.Fields.Port = "port" }},
		{"format: ", func(o *httpjson.Options) { o.Format = "eureka" }},
		{"fields: not with format", func(o *httpjson.Options) { o.Format, o.Fields.Port = "prometheus", "/p" }},
		{"item_name: missing", func(o *httpjson.Options) { o.Format, o.List = "prometheus", "/l" }},
		{"health_values: it needs", func(o *httpjson.Options) { o.HealthValues = map[string]string{"UP": "passing"} }},
		{"health_values: UP: ", func(o *httpjson.Options) {
			o.Fields.Health, o.HealthValues = "/h", map[string]string{"UP": "good"}
		}},
	} {
		o := valid()
		row.change(&o)
		err := o.Validate()
		if err == nil || !strings.Contains("\n"+err.Error(), "\n"+row.want) {
			t.Errorf("got %v, want a line that begins with %q", err, row.want)
		}
		if _, err := httpjson.New(o); err == nil {
			t.Errorf("New accepts what begins with %q", row.want)
		}
	}
	if err := valid().Validate(); err != nil {
		t.Errorf("a valid one: %v", err)
	}
	many := httpjson.Options{Items: "x", HealthValues: map[string]string{"a": "b"}, Timeout: -1}
	if err := many.Validate(); err == nil || strings.Count(err.Error(), "\n") < 5 {
		t.Errorf("got %v, want all mistakes at once", err)
	}
}

func TestIdentityChangesWithWhatDecidesTheAnswer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{open(t, valid()).Identity(): "nothing"}
	for what, change := range map[string]func(*httpjson.Options){
		"address":    func(o *httpjson.Options) { o.Address = registry.Strings{"http://127.0.0.1:2"} },
		"token":      func(o *httpjson.Options) { o.Token = "t" },
		"token_file": func(o *httpjson.Options) { o.TokenFile = file },
		"headers":    func(o *httpjson.Options) { o.Headers = map[string]string{"X-Tenant": "a"} },
		"path":       func(o *httpjson.Options) { o.Path = "/s/{name}" },
		"list":       func(o *httpjson.Options) { o.List = "/s" },
		"fields":     func(o *httpjson.Options) { o.Fields.Port = "/p" },
		"documents":  func(o *httpjson.Options) { o.Documents = true },
	} {
		o := valid()
		change(&o)
		id := open(t, o).Identity()
		if seen[id] != "" {
			t.Errorf("%s gives the identity of %s", what, seen[id])
		}
		if strings.Contains(id, "secret") {
			t.Errorf("the identity %q shows the token", id)
		}
		seen[id] = what
	}
	same := valid()
	same.Timeout, same.MaxBytes = 5, 4096
	if seen[open(t, same).Identity()] != "nothing" {
		t.Error("a timeout makes entries stale")
	}
}

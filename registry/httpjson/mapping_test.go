package httpjson_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/httpjson"
)

var allFields = httpjson.Fields{
	ID: "/i", Address: "/a", Port: "/p", Protocol: "/pr", TLS: "/t", URL: "/u", Health: "/h", Weight: "/w",
	Version: "/v", Region: "/r", Zone: "/z", Node: "/n", Tags: "/tags", Metadata: "/m",
}

// mapped serves the body as the document of web.
func mapped(t testing.TB, body string, change func(*httpjson.Options)) *httpjson.Source {
	t.Helper()
	o := httpjson.Options{
		Address: registry.Strings{answering(t, map[string]string{"/web": body})}, Path: "/{name}",
		Instances: "/list", Fields: allFields, HealthValues: map[string]string{"UP": "passing", "true": "passing", "0": "maintenance"},
	}
	if change != nil {
		change(&o)
	}
	return open(t, o)
}

func TestFieldsAreMapped(t *testing.T) {
	const rest = " health=unknown weight=100 version= region= zone= node= tags=[] meta=map[]"
	for _, row := range []struct{ name, instance, want string }{
		{"everything", `{"i":"x","a":"10.0.0.1","p":80,"pr":"http","t":true,"h":"UP","w":0.5,"v":"1.2","r":"eu","z":"eu-1","n":"host","tags":["a",7],"m":{"k":"v","n":1.50,"o":{"b":[ 1 ]},"z":null}}`,
			`x 10.0.0.1:80 proto=http tls=true url= health=passing weight=50 version=1.2 region=eu zone=eu-1 node=host tags=[a 7] meta=map[k:v n:1.50 o:{"b":[1]} z:null]`},
		{"digits as texts", `{"i":12345678901234567890,"a":"h","p":"8080","t":"false","w":"2","v":3}`,
			`12345678901234567890 h:8080 proto= tls=false url= health=unknown weight=200 version=3 region= zone= node= tags=[] meta=map[]`},
		{"nulls", `{"i":null,"a":"h","p":null,"t":null,"h":null,"w":null,"tags":null,"m":null}`, "h h:0 proto= tls=false url=" + rest},
		{"id from address and port", `{"a":"2001:db8::1","p":80}`, "[2001:db8::1]:80 2001:db8::1:80 proto= tls=false url=" + rest},
		{"brackets", `{"a":"[2001:db8::1]","p":80}`, "[2001:db8::1]:80 2001:db8::1:80 proto= tls=false url=" + rest},
		{"from a URL", `{"u":"https://h.test/x"}`, "https://h.test/x h.test:443 proto=https tls=true url=https://h.test/x" + rest},
		{"a URL beside an address", `{"a":"10.0.0.1","p":1,"u":"https://h.test/x"}`, "https://h.test/x 10.0.0.1:1 proto= tls=false url=https://h.test/x" + rest},
		{"a socket", `{"a":"/run/web.sock","pr":"unix"}`, "/run/web.sock /run/web.sock:0 proto=unix tls=false url=" + rest},
		{"boolean health", `{"a":"h","h":true}`, "h h:0 proto= tls=false url=" + strings.Replace(rest, "unknown", "passing", 1)},
		{"numeric health", `{"a":"h","h":0}`, "h h:0 proto= tls=false url=" + strings.Replace(rest, "unknown", "maintenance", 1)},
		{"our own health word", `{"a":"h","h":"critical"}`, "h h:0 proto= tls=false url=" + strings.Replace(rest, "unknown", "critical", 1)},
		{"no traffic", `{"a":"h","w":0}`, "h h:0 proto= tls=false url=" + strings.Replace(rest, "=100", "=0", 1)},
		{"hardly any traffic", `{"a":"h","w":0.0001}`, "h h:0 proto= tls=false url=" + strings.Replace(rest, "=100", "=1", 1)},
	} {
		t.Run(row.name, func(t *testing.T) {
			rec := found(t, mapped(t, `{"list":[`+row.instance+`]}`, nil), "web")
			if len(rec.Instances) != 1 {
				t.Fatalf("got %d instances", len(rec.Instances))
			}
			if got := describe(rec.Instances[0]); got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
}

func TestBadFieldsAreNamed(t *testing.T) {
	for _, row := range []struct{ instance, want string }{
		{`{"a":"h","p":65536}`, `instances[1].port (/p): "65536": a whole number`},
		{`{"a":"h","p":-1}`, `.port (/p)`},
		{`{"a":"h","p":80.5}`, `.port (/p)`},
		{`{"a":"h","p":true}`, `.port (/p): a port expected, found true`},
		{`{"a":["h"]}`, `.address (/a): a text expected, found a list`},
		{`{"a":"h h"}`, `.address: "h h": a host name`},
		{`{"a":"h\nx"}`, `.address: `},
		{`{"a":"1:2:3","p":1}`, `.address: "1:2:3"`},
		{`{}`, `.address: missing`},
		{`{"u":"/x"}`, `.url: "/x": an absolute URL`},
		{`{"a":"h","t":1}`, `.tls (/t): true or false expected, found 1`},
		{`{"a":"h","t":{}}`, `.tls (/t): true or false expected, found an object`},
		{`{"a":"h","h":"SICK"}`, `.health (/h): "SICK" is neither`},
		{`{"a":"h","h":[]}`, `.health (/h)`},
		{`{"a":"h","w":-1}`, `.weight (/w)`},
		{`{"a":"h","w":"NaN"}`, `.weight (/w)`},
		{`{"a":"h","w":1e99}`, `.weight (/w)`},
		{`{"a":"h","tags":"a,b"}`, `.tags (/tags): a list of texts expected, found "a,b"`},
		{`{"a":"h","tags":[[]]}`, `.tags (/tags): [0]: `},
		{`{"a":"h","m":[]}`, `.metadata (/m): an object expected`},
		{`{"i":{},"a":"h"}`, `.id (/i)`},
		{`"h:80"`, `instances[1]: an object expected, found "h:80"`},
		{`{"i":"one","a":"h"}`, `instances[1].id: "one" is taken by instance 0`},
	} {
		refusedAs(t, mapped(t, `{"list":[{"i":"one","a":"h0"},`+row.instance+`]}`, nil), "web", row.want)
	}
}

func TestGarbageIsAnUpstreamErrorThatSaysWhere(t *testing.T) {
	many := `{"list":[` + strings.TrimSuffix(strings.Repeat(`{"a":"h"},`, registry.MaxInstances+1), ",") + `]}`
	for _, row := range []struct{ name, body, want string }{
		{"empty", "", "body is empty"},
		{"HTML", "<!doctype html>", "is not JSON"},
		{"half", `{"list":[{"a":"h"}`, "is not JSON"},
		{"two values", `{"list":[]}{"list":[]}`, "is not JSON"},
		{"no UTF-8", "{\"list\":[{\"a\":\"\xff\"}]}", "not valid UTF-8"},
		{"pointer to nowhere", `{"other":[]}`, "instances: /list: there is nothing"},
		{"a list instead", `[]`, "instances: /list: there is nothing"},
		{"a text instead", `{"list":"x"}`, "instances: /list: a list expected"},
		{"too many", many, "more than 10000 instances"},
		{"deep", strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000), ""},
	} {
		t.Run(row.name, func(t *testing.T) { refusedAs(t, mapped(t, row.body, nil), "web", row.want) })
	}
}

func TestShapesOfInstances(t *testing.T) {
	for _, row := range []struct {
		name, body, instances string
		want                  int
	}{
		{"none", `{"list":[]}`, "/list", 0},
		{"null is none", `{"list":null}`, "/list", 0},
		{"one that is not in a list", `{"list":{"a":"h"}}`, "/list", 1},
		{"the document itself", `[{"a":"h"},{"a":"i"}]`, "", 2},
		{"escaped pointer", `{"a/b":{"~":[{"a":"h"}]}}`, "/a~1b/~0", 1},
		{"index", `[[],[{"a":"h"}]]`, "/1", 1},
		{"byte order mark", "\xef\xbb\xbf" + `{"list":[]}`, "/list", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			rec := found(t, mapped(t, row.body, func(o *httpjson.Options) { o.Instances = row.instances }), "web")
			if len(rec.Instances) != row.want {
				t.Errorf("got %d instances, want %d", len(rec.Instances), row.want)
			}
		})
	}
}

func TestFieldsHaveTheirOwnNamesIfNoneIsSet(t *testing.T) {
	rec := found(t, mapped(t, `{"list":[{"id":"x","address":"h","port":1,"other":{}}]}`, func(o *httpjson.Options) {
		o.Fields, o.HealthValues = httpjson.Fields{}, nil
	}), "web")
	if e := rec.Instances[0].Main(); rec.Instances[0].ID != "x" || e.Address != "h" || e.Port != 1 {
		t.Errorf("got %+v", rec.Instances[0])
	}
}

func TestAddressMayHoldThePort(t *testing.T) {
	for address, want := range map[string]string{"h:80": "h 80", "[::1]:80": "::1 80", "h": "h 0", "::1": "::1 0"} {
		rec := found(t, mapped(t, `[{"a":"`+address+`"}]`, func(o *httpjson.Options) {
			o.Instances, o.Fields, o.HealthValues = "", httpjson.Fields{Address: "/a"}, nil
		}), "web")
		if e := rec.Instances[0].Main(); fmt.Sprint(e.Address, " ", e.Port) != want {
			t.Errorf("%s: got %s %d, want %s", address, e.Address, e.Port, want)
		}
	}
}

func TestHealthOfOtherWordsIsTheStars(t *testing.T) {
	rec := found(t, mapped(t, `{"list":[{"a":"h","h":"STARTING"},{"a":"i"}]}`, func(o *httpjson.Options) {
		o.HealthValues = map[string]string{"UP": "passing", "*": "critical"}
	}), "web")
	if rec.Instances[0].Health != registry.HealthCritical || rec.Instances[1].Health != registry.HealthUnknown {
		t.Errorf("got %v and %v, want critical and unknown", rec.Instances[0].Health, rec.Instances[1].Health)
	}
}

func TestADocumentOfAnotherNameIsRefused(t *testing.T) {
	named := func(o *httpjson.Options) { o.ItemName = "/name" }
	refusedAs(t, mapped(t, `{"name":"db","list":[]}`, named), "web", "item_name", "not asked for")
	refusedAs(t, mapped(t, `{"list":[]}`, named), "web", "item_name: /name: there is nothing")
	found(t, mapped(t, `{"name":"web","list":[]}`, named), "web")
	native := func(o *httpjson.Options) {
		o.Instances, o.Fields, o.HealthValues = "", httpjson.Fields{}, nil
	}
	refusedAs(t, mapped(t, `{"name":"db","instances":[]}`, native), "web", "not asked for")
	refusedAs(t, mapped(t, `{"name":"web","instances":[{"port":"x"}]}`, native), "web", "instances[0].port")
}

func TestTargetGroups(t *testing.T) {
	body := `[{"targets":["10.0.0.1:80","[::1]:81"],"labels":{"job":"web","zone":"a","__scheme__":"https"}},
		{"targets":["10.0.0.9:80"],"labels":{"job":"db"}},
		{"targets":["10.0.0.1:80","h"],"labels":{"job":"web","zone":"b"}}]`
	s := open(t, httpjson.Options{
		Address: registry.Strings{answering(t, map[string]string{"/sd": body})},
		List:    "/sd", Format: "prometheus", ItemName: "/labels/job",
	})
	rec := found(t, s, "web")
	want := []string{
		"10.0.0.1:80 10.0.0.1:80 proto=https tls=true url= health=unknown weight=100 version= region= zone= node= tags=[] meta=map[__scheme__:https job:web zone:a]",
		"[::1]:81 ::1:81 proto=https tls=true url= health=unknown weight=100 version= region= zone= node= tags=[] meta=map[__scheme__:https job:web zone:a]",
		"h h:0 proto= tls=false url= health=unknown weight=100 version= region= zone= node= tags=[] meta=map[job:web zone:b]",
	}
	if len(rec.Instances) != len(want) {
		t.Fatalf("got %d instances, want %d", len(rec.Instances), len(want))
	}
	for i := range want {
		if got := describe(rec.Instances[i]); got != want[i] {
			t.Errorf("got  %s\nwant %s", got, want[i])
		}
	}
	for body, word := range map[string]string{
		`[{"targets":["a b"],"labels":{"job":"web"}}]`: "targets[0].address",
		`[{"targets":"a","labels":{"job":"web"}}]`:     "target group",
		`[{"targets":["a"]}]`:                          "item_name",
	} {
		s := open(t, httpjson.Options{
			Address: registry.Strings{answering(t, map[string]string{"/sd": body})},
			List:    "/sd", Format: "prometheus", ItemName: "/labels/job",
		})
		refusedAs(t, s, "web", word)
	}
}

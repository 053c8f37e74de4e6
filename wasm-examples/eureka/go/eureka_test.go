package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	edgecache "github.com/edgecache/edgecache/pdk/go/adapter"
	"github.com/edgecache/edgecache/registry"
)

const base = "http://eureka.test/eureka"

func started(t *testing.T, config string, exchanges ...edgecache.Exchange) {
	t.Helper()
	if err := edgecache.Start(config); err != nil {
		t.Fatal(err)
	}
	edgecache.Exchanges(exchanges...)
}

// got writes what a look-up ended in in a few words.
func got(t *testing.T, r edgecache.Result) string {
	t.Helper()
	switch {
	case r.NotFound:
		return "not found"
	case r.NotModified:
		return "not modified"
	case r.Code != 0:
		return r.Code.Error() + ": " + r.Error
	}
	return written(t, r.Record)
}

func written(t *testing.T, text string) string {
	t.Helper()
	record, err := registry.ParseRecord([]byte(text))
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	list := []string{}
	for i := range record.Instances {
		list = append(list, string(registry.AppendInstance(nil, &record.Instances[i], 0)))
	}
	return record.Key.Name + " " + strings.Join(list, " ")
}

// one is an instance of Eureka's; more are members that come last.
func one(id, status string, more ...string) string {
	s := fmt.Sprintf(`{"instanceId":%q,"hostName":"h","ipAddr":"10.0.0.1","status":%q,"port":{"$":80,"@enabled":"true"},"actionType":"ADDED"`, id, status)
	return strings.Join(append([]string{s}, more...), ",") + "}"
}

func app(name string, instances ...string) string {
	return fmt.Sprintf(`{"name":%q,"instance":[%s]}`, name, strings.Join(instances, ","))
}

func all(version int, hash string, apps ...string) string {
	return fmt.Sprintf(`{"applications":{"versions__delta":"%d","apps__hashcode":%q,"application":[%s]}}`, version, hash, strings.Join(apps, ","))
}

func at(path, answer string) edgecache.Exchange {
	return edgecache.Exchange{Request: "GET " + base + path, Headers: map[string]string{"Accept": "application/json"}, Answer: answer}
}

const url = `{"url":"` + base + `"}`

func TestWhatAnInstanceSays(t *testing.T) {
	const full = `{"instanceId":"web-1","hostName":"web-1.example","app":"WEB","ipAddr":"10.0.0.1","status":"UP","overriddenStatus":"UNKNOWN","port":{"$":8080,"@enabled":"true"},
		"securePort":{"$":8443,"@enabled":"true"},"countryId":1,"dataCenterInfo":{"@class":"x","name":"Amazon","metadata":{"availability-zone":"eu-1c","instance-id":"i-1"}},
		"leaseInfo":{"renewalIntervalInSecs":30,"registrationTimestamp":1795323097925},"metadata":{"@class":"x","version":"1.2.3","region":"eu","n":5,"o":{"a":1}},
		"homePageUrl":"http://web-1.example:8080/","vipAddress":"web","secureVipAddress":"webs","lastUpdatedTimestamp":"1795323097929"}`
	const fullSays = `{"id":"web-1","address":"10.0.0.1","port":8080,"url":"http://web-1.example:8080/","health":"passing","weight":1,"region":"eu","zone":"eu-1c",` +
		`"node":"web-1.example","version":"1.2.3","metadata":{"n":"5","o":"{\"a\":1}","region":"eu","secureVipAddress":"webs","version":"1.2.3","vipAddress":"web"},"registered":"2026-11-22T04:51:37.925Z"}`
	for _, c := range []struct{ name, config, instance, want string }{
		{"all", url, full, fullSays},
		{"secure", `{"url":"` + base + `","secure":true,"address":"host"}`, one("a", "UP", `"securePort":{"$":"443","@enabled":true}`),
			`{"id":"a","address":"h","port":443,"tls":true,"health":"passing","weight":1,"node":"h"}`},
		{"only secure", url, one("a", "UP", `"port":{"$":80,"@enabled":"false"},"securePort":{"$":443,"@enabled":"true"}`),
			`{"id":"a","address":"10.0.0.1","port":443,"tls":true,"health":"passing","weight":1,"node":"h"}`},
		{"not secure", `{"url":"` + base + `","secure":true}`, one("a", "UP", `"securePort":{"$":443,"@enabled":"false"}`),
			`{"id":"a","address":"10.0.0.1","port":80,"health":"passing","weight":1,"node":"h"}`},
		{"numbers as text", url, one("a", "DOWN", `"port":{"$":"81","@enabled":true},"leaseInfo":{"registrationTimestamp":"1000"}`),
			`{"id":"a","address":"10.0.0.1","port":81,"health":"critical","weight":1,"node":"h","registered":"1970-01-01T00:00:01Z"}`},
		{"a zone of its own", url, one("a", "STARTING", `"metadata":{"zone":"z"},"dataCenterInfo":{"metadata":{"availability-zone":"y"}}`),
			`{"id":"a","address":"10.0.0.1","port":80,"health":"critical","weight":1,"zone":"z","node":"h","metadata":{"zone":"z"}}`},
		{"no id", url, `{"hostName":"h2","status":"OUT_OF_SERVICE","metadata":null}`, `{"id":"h2","address":"h2","health":"maintenance","weight":1,"node":"h2"}`},
		{"an id of Amazon's", url, `{"hostName":"h2","ipAddr":"::1","status":"UNKNOWN","metadata":"","dataCenterInfo":{"metadata":{"instance-id":"i-1"}},"homePageUrl":"none"}`,
			`{"id":"i-1","address":"::1","health":"unknown","weight":1,"node":"h2"}`},
	} {
		started(t, c.config, at("/apps/WEB", `{"application":`+app("WEB", c.instance)+`}`))
		if g := got(t, edgecache.Lookup("web", "")); g != "web "+c.want {
			t.Errorf("%s:\ngot  %s\nwant web %s", c.name, g, c.want)
		}
		if said := edgecache.Logged(); len(said) != 0 {
			t.Errorf("%s: it logged %q", c.name, said)
		}
	}
}

func TestAnInstanceThatCannotBeReadIsLeftOut(t *testing.T) {
	const good = `{"id":"good","address":"10.0.0.1","port":80,"health":"passing","weight":1,"node":"h"}`
	for instance, want := range map[string]string{
		one("a", "UP", `"port":{"$":70000}`):         `port.$: "70000": a whole number from 0 to 65535 expected`,
		one("a", "UP", `"port":8080`):                `port: an object expected, found a number`,
		one("a", "UP", `"port":{"$":[]}`):            `port.$: a string expected, found a list`,
		one("a", "UP", `"status":7`):                 `status: a string expected, found a number`,
		one("a", "UP", `"metadata":[]`):              `metadata: an object expected, found a list`,
		one("a", "UP", `"ipAddr":"10.0.0.1:80"`):     `ipAddr or hostName: "10.0.0.1:80": a host's name or an IP address expected`,
		one("a", "UP", `"lastUpdatedTimestamp":"x"`): `lastUpdatedTimestamp: "x": a whole number from 0 to 9223372036854775807 expected`,
		`{"instanceId":"a","status":"UP"}`:           `ipAddr: an address expected, found none`,
		`"a"`:                                        `an object expected, found a string`,
	} {
		started(t, url, at("/apps/WEB", `{"application":`+app("WEB", instance, one("good", "UP"))+`}`))
		if g := got(t, edgecache.Lookup("web", "")); g != "web "+good {
			t.Errorf("%s: got %s", instance, g)
		}
		if said := strings.Join(edgecache.Logged(), "\n"); !strings.Contains(said, "left out: ") || !strings.HasSuffix(said, want) {
			t.Errorf("%s: it logged %q, want %q", instance, said, want)
		}
		started(t, url, at("/apps/WEB", `{"application":`+app("WEB", instance)+`}`))
		if g := got(t, edgecache.Lookup("web", "")); g != "internal error: GET "+base+"/apps/WEB: none of its instances can be read, see the log" {
			t.Errorf("%s alone: got %s", instance, g)
		}
	}
}

func TestAnswersThatMakeNoSense(t *testing.T) {
	for answer, want := range map[string]string{
		"<html>":                              "internal error: GET " + base + "/apps/WEB: no JSON at byte 1: a value expected",
		`{"application":{"name":"WEB"`:        "unavailable: GET " + base + "/apps/WEB: application: the answer ends too early",
		"":                                    "unavailable: GET " + base + "/apps/WEB: the answer ends too early",
		`{}`:                                  "internal error: GET " + base + "/apps/WEB: application: an object expected, found none",
		`{"application":{"name":"OTHER"}}`:    `internal error: GET ` + base + `/apps/WEB: application.name: "WEB" expected, found "OTHER"`,
		`{"application":{"name":5}}`:          "internal error: GET " + base + "/apps/WEB: application.name: a string expected, found a number",
		`{"application":{"instance":"none"}}`: "internal error: GET " + base + "/apps/WEB: application.instance: a list expected, found a string",
	} {
		started(t, url, at("/apps/WEB", answer))
		if g := got(t, edgecache.Lookup("web", "")); g != want {
			t.Errorf("%s:\ngot  %s\nwant %s", answer, g, want)
		}
	}
	for answer, want := range map[string]string{
		`{"applications":{"application":[{"name":"A"},{"instance":[]}]}}`: "/apps: applications.application[1]: a name expected, found none",
		`{"applications":{"application":[{"name":[]}]}}`:                  "/apps: applications.application[0].name: a string expected, found a list",
		`{"applications":{"application":{"instance":5}}}`:                 "/apps: applications.application: a name expected, found none",
		`{"applications":{"application":5}}`:                              "/apps: applications.application: a list expected, found a number",
		`{"applications":{"apps__hashcode":{}}}`:                          "/apps: applications.apps__hashcode: a string expected, found an object",
		`{"applications":[]}`:                                             "/apps: applications: an object expected, found a list",
		`{"other":1}`:                                                     "/apps: applications: an object expected, found none",
		`[]`:                                                              "/apps: an object expected, found a list",
		`{"applications":{"application":[{"name":"A"`:                     "/apps: applications.application[0]: the answer ends too early",
	} {
		started(t, url, at("/apps", answer))
		if _, err := edgecache.List(); err == nil || err.Error() != "GET "+base+want {
			t.Errorf("%s: %v, want %s", answer, err, want)
		}
	}
}

func TestStatuses(t *testing.T) {
	broken := at("/apps/WEB", `{"application":{"name":`)
	broken.Broken = edgecache.ErrUnavailable
	for _, c := range []struct {
		name      string
		exchanges []edgecache.Exchange
		want      string
	}{
		{"none", []edgecache.Exchange{status("/apps/WEB", 404), at("/apps/delta", all(1, ""))}, "not found"},
		{"none, and changes are not told", []edgecache.Exchange{status("/apps/WEB", 404), status("/apps/delta", 403)}, "not found"},
		{"not Eureka", []edgecache.Exchange{status("/apps/WEB", 404), status("/apps/delta", 404)},
			"unsupported: GET " + base + "/apps/WEB: GET " + base + "/apps/delta: 404: url should end in the path of Eureka's API, as in http://10.0.0.5:8761/eureka"},
		{"a page", []edgecache.Exchange{status("/apps/WEB", 404), at("/apps/delta", "<html>")},
			"internal error: GET " + base + "/apps/WEB: GET " + base + "/apps/delta: no JSON at byte 1: a value expected"},
		{"starting", []edgecache.Exchange{status("/apps/WEB", 403)}, "unavailable: GET " + base + "/apps/WEB: 403, as of a server that is starting"},
		{"401", []edgecache.Exchange{status("/apps/WEB", 401)}, "denied: GET " + base + "/apps/WEB: 401: authorization is missing, or wrong"},
		{"429", []edgecache.Exchange{status("/apps/WEB", 429)}, "rate limited: GET " + base + "/apps/WEB: 429"},
		{"503", []edgecache.Exchange{status("/apps/WEB", 503)}, "unavailable: GET " + base + "/apps/WEB: 503"},
		{"302", []edgecache.Exchange{status("/apps/WEB", 302)}, "unavailable: GET " + base + "/apps/WEB: 302"},
		{"half a body", []edgecache.Exchange{broken}, "unavailable: GET " + base + "/apps/WEB: application: GET " + base + "/apps/WEB: its body: unavailable"},
	} {
		started(t, url, c.exchanges...)
		if g := got(t, edgecache.Lookup("web", "")); g != c.want {
			t.Errorf("%s: got %s, want %s", c.name, g, c.want)
		}
	}
	// What is known of a server need not be asked again.
	started(t, url, at("/apps/WEB", `{"application":`+app("WEB", one("a", "UP"))+`}`), status("/apps/NONE", 404))
	_ = edgecache.Lookup("Web", "")
	if g := got(t, edgecache.Lookup("none", "")); g != "not found" || len(edgecache.Requested()) != 2 {
		t.Errorf("got %s after %q", g, edgecache.Requested())
	}
}

func status(path string, code int) edgecache.Exchange {
	return edgecache.Exchange{Request: "GET " + base + path, Status: code}
}

func TestServersAreTriedInOrder(t *testing.T) {
	const one, two = "http://one.test:8761/eureka", "https://two.test/eureka/v2"
	answer := `{"application":` + app("WEB", `{"instanceId":"a","ipAddr":"10.0.0.1"}`) + `}`
	started(t, `{"url":"`+one+`/, `+two+`","authorization":"Basic ${secret.eureka}"}`,
		edgecache.Exchange{Request: "GET " + one + "/apps/A%2FB", Error: edgecache.ErrTimeout},
		edgecache.Exchange{Request: "GET " + two + "/apps/A%2FB", Error: edgecache.ErrUnavailable},
		edgecache.Exchange{Request: "GET " + one + "/apps/WEB", Answer: "<html>"},
		edgecache.Exchange{Request: "GET " + two + "/apps/WEB", Headers: map[string]string{"Authorization": "Basic ${secret.eureka}"}, Answer: answer},
	)
	if g := got(t, edgecache.Lookup("a/b", "")); g != "timed out: GET "+one+"/apps/A%2FB: timed out; GET "+two+"/apps/A%2FB: unavailable" {
		t.Errorf("nobody there: got %s", g)
	}
	for range 2 { // which then begins with the one that answered
		if g := got(t, edgecache.Lookup("web", "")); !strings.HasPrefix(g, `web {"id":"a"`) {
			t.Errorf("got %s", g)
		}
	}
	if asked := edgecache.Requested(); len(asked) != 5 || asked[4] != "GET "+two+"/apps/WEB" {
		t.Errorf("requested %q", asked)
	}
}

func TestConfigurations(t *testing.T) {
	for config, want := range map[string]string{
		`5`:                                 "configuration: an object expected, found a number",
		`{}`:                                "url: the base of a server's API expected, as in http://10.0.0.5:8761/eureka, or a list of those",
		`{"url":"10.0.0.5:8761"}`:           `url: "10.0.0.5:8761": the base of a server's API expected, as in http://10.0.0.5:8761/eureka`,
		`{"url":["http://a/eureka",""]}`:    `url: "": the base of a server's API expected, as in http://10.0.0.5:8761/eureka`,
		`{"url":"http://a:b@c/eureka"}`:     `give authorization: "Basic ${secret.NAME}"`,
		`{"url":5}`:                         "configuration: url: a string expected, found a number",
		`{"url":"http://a","poll_ms":10}`:   "poll_ms: 10: 1000 or more expected",
		`{"url":"http://a","address":"x"}`:  `address: "x": ip or host expected`,
		`{"url":"http://a","names":"mix"}`:  `names: "mix": lower or upper expected`,
		`{"url":"http://a","urls":"b"}`:     `configuration: urls: unknown`,
		`{"url":"http://a","secure":"yes"}`: "configuration: secure: true or false expected, found a string",
	} {
		if err := edgecache.Start(config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", config, err, want)
		}
	}
}

func TestList(t *testing.T) {
	started(t, url, at("/apps", all(1, "UP_2_", app("WEB", one("a", "UP")), app("DB"), `{"name":"x//y"}`)))
	if names, err := edgecache.List(); err != nil || !slices.Equal(names, []string{"web", "db"}) {
		t.Errorf("%q, %v", names, err)
	}
	started(t, `{"url":["`+base+`"],"names":"upper"}`, at("/apps", `{"applications":{"application":{"x":1,"name":"Web","instance":{"instanceId":"a"}}}}`))
	if names, err := edgecache.List(); err != nil || !slices.Equal(names, []string{"WEB"}) {
		t.Errorf("one application that is no list: %q, %v", names, err)
	}
	started(t, url, at("/apps", `{"applications":{"versions__delta":1,"apps__hashcode":"","application":null}}`))
	if names, err := edgecache.List(); err != nil || len(names) != 0 {
		t.Errorf("none: %q, %v", names, err)
	}
	started(t, url, status("/apps", 404))
	if _, err := edgecache.List(); err == nil || !strings.Contains(err.Error(), "url should end in the path") {
		t.Errorf("of no Eureka: %v", err)
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(all(1, "UP_1_", app("WEB", one("a", "UP")))))
	f.Add([]byte(`{"application":` + app("WEB", one("a", "UP", `"metadata":{"a":[1]}`)) + `}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if err := edgecache.Start(url); err != nil {
			t.Fatal(err)
		}
		edgecache.Exchanges(at("/apps/WEB", string(answer)), at("/apps", string(answer)), at("/apps/delta", string(answer)))
		if r := edgecache.Lookup("web", ""); r.NotFound || r.Code == 0 && !json.Valid([]byte(r.Record)) {
			t.Errorf("%q is %+v", answer, r)
		} else if r.Code == 0 {
			written(t, r.Record)
		}
		cursor := edgecache.Follow("").Cursor
		for _, e := range edgecache.Follow(cursor).Emits {
			if e.Op == "upsert" {
				written(t, e.Record)
			}
		}
	})
}

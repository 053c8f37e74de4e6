package registry_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/edgecache/edgecache/registry"
)

func TestParseRecordDefaults(t *testing.T) {
	rec, err := registry.ParseRecord([]byte(`{"name":"web","instances":[
		{"address":"10.0.0.1","port":80},
		{"address":"2001:db8::1","port":80},
		{"address":"web.local"},
		{"url":"https://web.example/mcp"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range []string{"10.0.0.1:80", "[2001:db8::1]:80", "web.local", "https://web.example/mcp"} {
		in := rec.Instances[i]
		if in.ID != id || in.Weight != registry.DefaultWeight || in.Health != registry.HealthUnknown || len(in.Endpoints) != 1 {
			t.Errorf("instance %d: %+v, want id %s, weight 100, unknown health, one endpoint", i, in, id)
		}
	}
	if rec.Wishes != registry.NoWishes {
		t.Errorf("wishes %+v, want none", rec.Wishes)
	}
}

func TestParseRecordReadsWhatOnlyInputHas(t *testing.T) {
	rec, err := registry.ParseRecord([]byte(`{"name":"web","ttl_ms":1500,"stale_while_revalidate_ms":0,"no_store":true,
		"document": {"b" : 1, "a":"<"} ,"metadata":{"n":1.50,"o":{"a" : [1, null]},"s":"\u00e9","z":null}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(rec.Document), `{"b" : 1, "a":"<"}`; got != want || rec.MediaType != "application/json" {
		t.Errorf("document %s of type %s, want %s as it stands", got, rec.MediaType, want)
	}
	wishes := registry.Freshness{TTL: 1500 * time.Millisecond, StaleIfError: registry.Unsaid, NoStore: true}
	if rec.Wishes != wishes {
		t.Errorf("wishes %+v, want %+v", rec.Wishes, wishes)
	}
	if want := (registry.Metadata{{"n", "1.50"}, {"o", `{"a":[1,null]}`}, {"s", "é"}, {"z", "null"}}); !reflect.DeepEqual(rec.Metadata, want) {
		t.Errorf("metadata %v, want %v", rec.Metadata, want)
	}
}

func TestWhatIsParsedIsNoPartOfTheText(t *testing.T) {
	for name, text := range map[string]string{
		"plain":     `{"name":"web","tags":["a","b"],"instances":[{"id":"a","address":"h","zone":"z"},{"address":"i","port":1,"metadata":{"k":"v"}}]}`,
		"escaped":   `{"name":"web","instances":[{"id":"\\","address":"h","zone":"\"z\\\""},{"id":"","address":"i","node":"\u00e4"}]}`,
		"not UTF-8": "{\"name\":\"web\",\"instances\":[{\"id\":\"\xff\",\"address\":\"h\",\"zone\":\"\xc3\xa4\"}]}",
	} {
		want, err := registry.ParseRecord([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		data := []byte(text)
		got, err := registry.ParseRecord(data)
		if err != nil {
			t.Fatal(err)
		}
		clear(data)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: it became\n%+v, want\n%+v", name, got, want)
		}
	}
	rec, _ := registry.ParseRecord([]byte(`{"name":"web","instances":[{"id":"\\","address":"h","zone":"\"z\\\""},{"id":"b","address":"i"}]}`))
	if in := rec.Instances[0]; in.ID != `\` || in.Zone != `"z\"` {
		t.Errorf("what was escaped is %q, %q", in.ID, in.Zone)
	}
	rec.Instances[0].Endpoints = append(rec.Instances[0].Endpoints, registry.Endpoint{Address: "other"})
	if at := rec.Instances[1].Main().Address; at != "i" {
		t.Errorf("the next instance is at %s, want i", at)
	}
}

func TestParseRecordUnitesFlatAndListedEndpoints(t *testing.T) {
	for _, test := range []struct {
		name, instance string
		want           []registry.Endpoint
	}{
		{"listed ones have the flat address", `"address":"h","endpoints":[{"name":"a","port":1},{"name":"b","address":"i","port":2},{"name":"c","url":"u"}]`,
			[]registry.Endpoint{{Name: "a", Address: "h", Port: 1}, {Name: "b", Address: "i", Port: 2}, {Name: "c", URL: "u"}}},
		{"the flat one is the main one", `"address":"h","port":2,"endpoints":[{"name":"a","port":1},{"name":"b","port":2,"tls":true}]`,
			[]registry.Endpoint{{Name: "b", Address: "h", Port: 2, TLS: true}, {Name: "a", Address: "h", Port: 1}}},
		{"a flat one of its own comes first", `"address":"h","port":3,"endpoints":[{"name":"a","port":1}]`,
			[]registry.Endpoint{{Address: "h", Port: 3}, {Name: "a", Address: "h", Port: 1}}},
		{"list alone", `"endpoints":[{"address":"h","port":1}]`, []registry.Endpoint{{Address: "h", Port: 1}}},
		{"unix", `"address":"/run/a b.sock","protocol":"unix"`, []registry.Endpoint{{Address: "/run/a b.sock", Protocol: "unix"}}},
	} {
		rec, err := registry.ParseRecord([]byte(`{"name":"web","instances":[{` + test.instance + `}]}`))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		} else if got := rec.Instances[0].Endpoints; !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %+v, want %+v", test.name, got, test.want)
		}
	}
}

func TestParseRecordNamesWhatIsWrong(t *testing.T) {
	instance := func(s string) string { return `{"name":"web","instances":[{"address":"h"},{` + s + `}]}` }
	for _, test := range []struct{ in, want string }{
		{``, "JSON: line 1, column 1: unexpected end of JSON input"},
		{"{\n \"é\" x", "JSON: line 2, column 6: invalid character 'x' after object key"},
		{`[]`, "an object expected, found a list"},
		{`{}`, "name expected"},
		{`{"name":null}`, "name expected"},
		{`{"name":7}`, "name: a string expected, found a number"},
		{`{"name":"a//b"}`, "name: name has an empty segment; write it without a leading, trailing or doubled /"},
		{`{"name":"a","name":"b"}`, "name: given twice"},
		{`{"name":"a","instance":[]}`, "instance: unknown field, did you mean instances?"},
		{`{"name":"a","x":[]}`, "x: unknown field"},
		{`{"name":"a","instances":{}}`, "instances: a list expected, found an object"},
		{`{"name":"a","tags":["b",true]}`, "tags[1]: a string expected, found a boolean"},
		{`{"name":"a","tags":[null]}`, "tags[0]: a string expected, found null"},
		{`{"name":"a","metadata":{"k":"1","k":"2"}}`, "metadata.k: given twice"},
		{`{"name":"a","ttl_ms":-1}`, "ttl_ms: -1: a whole number of milliseconds expected"},
		{`{"name":"a","ttl_ms":1e400}`, "ttl_ms: 1e400 is out of range"},
		{`{"name":"a","no_store":1}`, "no_store: true or false expected, found a number"},
		{`{"name":"a","versions":[{}]}`, "versions[0]: version expected"},
		{`{"name":"a","versions":[{"version":"1","status":"on"}]}`, `versions[0].status: "on": active, deprecated or deleted expected`},
		{`{"name":"a","versions":[{"version":"1","labels":["latest"]},{"version":"2","labels":["latest"]}]}`, "versions[1]: version 0 is the latest already"},
		{instance(``), "instances[1]: address or url expected"},
		{instance(`"address":"i","port":65536`), "instances[1].port: 65536: a whole number from 0 to 65535 expected"},
		{instance(`"address":"i","port":"80"`), "instances[1].port: a number expected, found a string"},
		{instance(`"address":"i:80"`), `instances[1]: address "i:80": a host name or an IP address expected, and the port in the field port`},
		{instance(`"address":"[::1]"`), `instances[1]: address "[::1]": a host name or an IP address without brackets expected`},
		{instance(`"endpoints":[{"name":"a"}]`), `instances[1]: endpoint "a": address or url expected`},
		{instance(`"endpoints":[{"adress":"a"}]`), `instances[1].endpoints[0].adress: unknown field, did you mean address?`},
		{instance(`"address":"h"`), `instances[1]: id "h" is taken by instance 0`},
		{instance(`"address":"i","health":"ok"`), `instances[1].health: health "ok": one of [unknown passing warning draining critical maintenance] expected`},
		{instance(`"address":"i","weight":-0.5`), "instances[1].weight: -0.5: a number from 0 to 42949672 expected"},
		{instance(`"address":"i","registered":"today"`), `instances[1].registered: "today": an RFC 3339 time expected, as in 2026-01-31T12:00:00Z`},
	} {
		if _, err := registry.ParseRecord([]byte(test.in)); err == nil || err.Error() != test.want {
			t.Errorf("ParseRecord(%s):\n got %v\nwant %s", test.in, err, test.want)
		}
	}
}

func TestParseRecordBoundsInstances(t *testing.T) {
	list := func(n int) []byte {
		var b strings.Builder
		b.WriteString(`{"name":"web","instances":[`)
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"address":"h%d"}`, i)
		}
		b.WriteString("]}")
		return []byte(b.String())
	}
	if rec, err := registry.ParseRecord(list(registry.MaxInstances)); err != nil || len(rec.Instances) != registry.MaxInstances {
		t.Errorf("the most instances: %v", err)
	}
	if _, err := registry.ParseRecord(list(registry.MaxInstances + 1)); err == nil || err.Error() != "instances[10000]: more than 10000 instances" {
		t.Errorf("one instance too many: %v", err)
	}
}

func TestParseRecordKeepsSmallWeightsAlive(t *testing.T) {
	for in, want := range map[string]uint32{"0": 0, "0.001": 1, "0.25": 25, "1": 100, "1e2": 10000} {
		rec, err := registry.ParseRecord([]byte(`{"name":"a","instances":[{"address":"h","weight":` + in + `}]}`))
		if err != nil || rec.Instances[0].Weight != want {
			t.Errorf("weight %s: %v, %v, want %d", in, rec, err, want)
		}
	}
}

func TestParseRecordsReadsBothForms(t *testing.T) {
	for _, in := range []string{`[{"name":"a"},{"name":"b"}]`, ` {"services" : [ {"name":"a"} , {"name":"b"} ] } `} {
		list, err := registry.ParseRecords([]byte(in))
		if err != nil || len(list) != 2 || list[0].Key.Name != "a" || list[1].Key.Name != "b" {
			t.Errorf("ParseRecords(%s) = %v, %v", in, list, err)
		}
	}
	for in, want := range map[string]string{
		`{}`: `a list of services expected, as in {"services": [{"name": "web", …}]}`,
		`{"services":[{"name":"a"},{"name":"a"}]}`: `services[1]: name "a" is taken by service 0 of the list`,
		`{"service":[]}`: "service: unknown field, did you mean services?",
		`[{"name":"a"},{"name":"b","instances":[{}]}]`:    "[1].instances[0]: address or url expected",
		`{"services":[{"name":"a","instances":[{"p":1}]}`: "JSON: line 1, column 47: unexpected end of JSON input",
	} {
		if _, err := registry.ParseRecords([]byte(in)); err == nil || err.Error() != want {
			t.Errorf("ParseRecords(%s):\n got %v\nwant %s", in, err, want)
		}
	}
}

// asJSON drops what the JSON form does not carry.
func asJSON(r *registry.Record) {
	r.Key.Registry, r.Kind, r.Document, r.MediaType = "", "", nil, ""
	for i := range r.Versions {
		r.Versions[i].Document, r.Versions[i].MediaType = nil, ""
	}
}

func TestAnswersCanBeFedToAnotherNode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rec := recordGen.Draw(t, "record")
		rec.Seal(7)
		body := answer(rec, nil)
		got, err := registry.ParseRecord(body)
		if err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		asJSON(rec)
		if got.ContentHash() != rec.ContentHash() {
			t.Fatalf("%s reads as\n%+v, want\n%+v", body, got, rec)
		}
	})
}

func FuzzParseRecord(f *testing.F) {
	f.Add(answer(sealed(full(), 7), nil))
	f.Add([]byte(`{"name":"web","document":{"a":[1,"\"}"]},"instances":[{"address":"h","endpoints":[{"port":1}]}]}`))
	f.Add([]byte(`{"services":[{"name":"a","ttl_ms":1,"metadata":{"a":{}}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		registry.ParseRecords(data)
		rec, err := registry.ParseRecord(data)
		if err != nil {
			return
		}
		if err := registry.CheckName(rec.Key.Name); err != nil {
			t.Fatal(err)
		}
		rec.Seal(7)
		body := answer(rec, nil)
		again, err := registry.ParseRecord(body)
		if err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		asJSON(rec)
		if again.ContentHash() != rec.ContentHash() {
			t.Fatalf("%s\n%+v\n%+v", body, again, rec)
		}
	})
}

func TestARecordOfANameNeedNotSayIt(t *testing.T) {
	for text, want := range map[string]string{
		`{"instances":[]}`: "web", `{"name":null}`: "web", `{"name":"db"}`: "db",
	} {
		if rec, err := registry.ParseRecordOf("web", []byte(text)); err != nil || rec.Key.Name != want {
			t.Errorf("%s: %+v, %v; want %s", text, rec, err, want)
		}
	}
	if rec, err := registry.ParseRecord([]byte(`{"instances":[]}`)); err == nil {
		t.Errorf("without a name: %+v", rec)
	}
	if rec, err := registry.ParseRecordOf("web", []byte(`{"name":""}`)); err == nil {
		t.Errorf("an empty name: %+v", rec)
	}
}

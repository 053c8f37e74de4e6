package registry_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/edgecache/edgecache/registry"
)

func answer(rec *registry.Record, sel *registry.Selection) []byte {
	return registry.AppendAnswer(nil, rec, sel, 412*time.Millisecond, false)
}

func TestAnswerIsTheDocumentedExample(t *testing.T) {
	got := string(answer(sealed(web(), 890211220766725), nil))
	want := `{"age_ms":412,"stale":false,"name":"web","registry":"consul","kind":"service","revision":"1532","index":890211220766725,` +
		`"instances":[{"id":"web-1","address":"10.0.0.1","port":8080,"health":"passing","weight":1,"region":"eu","zone":"eu-1a","node":"host-7",` +
		`"version":"1.4.2","tags":["v1"],"metadata":{"canary":"false"},"endpoints":[{"name":"http","port":8080},{"name":"grpc","port":9090,"tls":true}]}]}`
	if got != want {
		t.Errorf("AppendAnswer:\n got %s\nwant %s", got, want)
	}
}

func TestAnswerOfEveryField(t *testing.T) {
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, answer(sealed(full(), 890211220766725), nil), "", "  "); err != nil {
		t.Fatal(err)
	}
	golden(t, "record.json", append(pretty.Bytes(), '\n'))
}

func TestAnswerWithoutInstancesShowsAnEmptyList(t *testing.T) {
	rec := sealed(&registry.Record{Key: registry.Key{Name: "web"}}, 7)
	got := string(registry.AppendAnswer(nil, rec, &registry.Selection{All: true}, -time.Second, true))
	if want := `{"age_ms":0,"stale":true,"name":"web","index":7,"instances":[]}`; got != want {
		t.Errorf("AppendAnswer = %s, want %s", got, want)
	}
}

func TestAnswerShowsThePickedInstancesInTheirOrder(t *testing.T) {
	rec := sealed(full(), 7)
	for _, picks := range [][]int32{{}, {0}, {3}, {2, 0, 3, 1}, {1, 2}, {1, 2, 3, 0}, {0, 1, 3}} {
		var got struct {
			Instances []struct{ ID string }
			Versions  []any
		}
		body := answer(rec, &registry.Selection{Picks: picks})
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatalf("picks %v: %v in %s", picks, err, body)
		}
		var ids, want []string
		for _, in := range got.Instances {
			ids = append(ids, in.ID)
		}
		for _, p := range picks {
			want = append(want, rec.Instances[p].ID)
		}
		if strings.Join(ids, " ") != strings.Join(want, " ") || len(got.Versions) != 2 {
			t.Errorf("picks %v: got instances %v and %d versions, want %v and 2", picks, ids, len(got.Versions), want)
		}
	}
}

func TestAnswerByPortShowsThatEndpointFlat(t *testing.T) {
	rec := sealed(full(), 7)
	sel := registry.Selection{}
	query := registry.Select{Health: registry.HealthMaintenance, Port: "grpc"}
	query.Apply(rec, &sel)
	var got struct {
		Instances []struct {
			ID, Address string
			Port        int
			TLS         bool
			Endpoints   []struct{ Name string }
		}
	}
	body := answer(rec, &sel)
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Instances) != 2 {
		t.Fatalf("%d instances with the port grpc, want 2: %s", len(got.Instances), body)
	}
	for i, want := range []struct{ address, endpoints string }{{"10.0.0.1", "grpc http"}, {"10.0.0.2", "grpc  mcp"}} {
		in := got.Instances[i]
		var names []string
		for _, e := range in.Endpoints {
			names = append(names, e.Name)
		}
		if in.Address != want.address || in.Port != 9090 || !in.TLS || strings.Join(names, " ") != want.endpoints {
			t.Errorf("instance %s: %+v, want %s:9090 with TLS and the endpoints %s", in.ID, in, want.address, want.endpoints)
		}
	}
}

func TestAnswersAllocateNothing(t *testing.T) {
	rec := sealed(full(), 7)
	for name, sel := range map[string]*registry.Selection{
		"all":   {All: true},
		"picks": {Picks: []int32{2, 0}},
		"port":  {Picks: []int32{0, 1}, Port: "grpc"},
	} {
		dst := make([]byte, 0, 8192)
		allocs := testing.AllocsPerRun(100, func() {
			dst = registry.AppendAnswer(dst[:0], rec, sel, 412*time.Millisecond, false)
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations an answer, want 0", name, allocs)
		}
	}
}

func TestFragmentsAreBuiltOnce(t *testing.T) {
	rec := sealed(full(), 890211220766725)
	got := make([]*registry.Fragments, 8)
	var callers sync.WaitGroup
	for i := range got {
		callers.Go(func() { got[i] = rec.Fragments() })
	}
	callers.Wait()
	for i, f := range got {
		if f != got[0] {
			t.Errorf("caller %d has its own fragments", i)
		}
	}
	if got[0].IndexText() != "890211220766725" {
		t.Errorf("IndexText = %s", got[0].IndexText())
	}
}

func TestStringsAreValidJSONAndUTF8(t *testing.T) {
	for in, want := range map[string]string{
		"":               `""`,
		`a"b\c/`:         `"a\"b\\c/"`,
		"<&>":            `"<&>"`,
		"\x00\n\x1f\x7f": `"\u0000\u000a\u001f` + "\x7f" + `"`,
		"a\u2028\u2029é": `"a\u2028\u2029é"`,
		"a\xffb\xc3":     `"a` + "\ufffd" + `b` + "\ufffd" + `"`,
	} {
		if got := string(registry.AppendString(nil, in)); got != want {
			t.Errorf("AppendString(%q) = %s, want %s", in, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		in := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		var got string
		if err := json.Unmarshal(registry.AppendString(nil, in), &got); err != nil {
			t.Fatal(err)
		}
		if want := string([]rune(in)); got != want {
			t.Fatalf("AppendString(%q) reads as %q, want %q", in, got, want)
		}
	})
}

func TestWeightsPrintAsDecimals(t *testing.T) {
	for weight, want := range map[uint32]string{
		0: "0", 1: "0.01", 5: "0.05", 25: "0.25", 50: "0.5", 100: "1", 110: "1.1", 1005: "10.05", 4294967295: "42949672.95",
	} {
		in := registry.Instance{ID: "a", Weight: weight}
		want = `{"id":"a","health":"unknown","weight":` + want + `}`
		if got := string(registry.AppendInstance(nil, &in, 0)); got != want {
			t.Errorf("weight %d: %s, want %s", weight, got, want)
		}
	}
}

func TestTimesAreLeftOutWhereRFC3339HasNone(t *testing.T) {
	for _, ms := range []int64{0, -1, 253402300800000, 1 << 62} {
		in := registry.Instance{ID: "a", Registered: ms}
		if got := string(registry.AppendInstance(nil, &in, 0)); strings.Contains(got, "registered") {
			t.Errorf("registered %d: %s", ms, got)
		}
	}
}

package consul_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/consul"
	"github.com/edgecache/edgecache/registry/consul/consultest"
)

func web(id string, port uint16) consultest.Instance {
	return consultest.Instance{ID: id, Name: "web", Address: "10.0.0.1", Port: port}
}

func TestDocumentAndSpansAreConsulsOwnBytes(t *testing.T) {
	s := startServer(t)
	s.Put(web("web-1", 80), web("web-2", 81))
	for _, pretty := range []bool{false, true} {
		if pretty {
			s.SetFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				r.URL.RawQuery += "&pretty"
				next.ServeHTTP(w, r)
			})
		}
		o := to(s)
		o.Documents = true
		rec := mustLookup(t, open(t, o), "web")
		if rec.MediaType != "application/json" || !json.Valid(rec.Document) {
			t.Fatalf("media type %q, document %q", rec.MediaType, rec.Document)
		}
		for _, in := range rec.Instances {
			raw := rec.Document[in.Raw.Off : in.Raw.Off+in.Raw.Len]
			var e struct{ Service struct{ ID string } }
			if err := json.Unmarshal(raw, &e); err != nil || e.Service.ID != in.ID || raw[0] != '{' || raw[len(raw)-1] != '}' {
				t.Errorf("span of %s: %q, %v", in.ID, raw, err)
			}
		}
	}
	rec := mustLookup(t, open(t, to(s)), "web")
	if rec.Document != nil || rec.Instances[0].Raw != (registry.Span{}) {
		t.Errorf("a document is kept without being asked for")
	}
}

func TestUnchangedRecordIsConfirmedOnlyUnderTheSameIdentity(t *testing.T) {
	s := startServer(t)
	s.Put(web("web-1", 80))
	src := open(t, to(s))
	rec := mustLookup(t, src, "web")
	if _, err := lookup(t, src, "web", rec); !errors.Is(err, registry.ErrNotModified) {
		t.Errorf("ErrNotModified expected, found %v", err)
	}
	o := to(s)
	o.Documents = true
	other, err := lookup(t, open(t, o), "web", rec)
	if err != nil || other.Document == nil {
		t.Errorf("a record with a document expected, found %v, %v", other, err)
	}
}

func TestTagsSelectInstancesButNotNames(t *testing.T) {
	s := startServer(t)
	blue, green := web("web-1", 80), web("web-2", 81)
	blue.Tags, green.Tags = []string{"blue", "v1"}, []string{"green", "v1"}
	s.Put(blue, green, consultest.Instance{Name: "db", Port: 5432})
	o := to(s)
	o.Tags, o.Documents = []string{"blue", "v1"}, true
	src := open(t, o)
	rec := mustLookup(t, src, "web")
	if len(rec.Instances) != 1 || rec.Instances[0].ID != "web-1" || !slices.Equal(rec.Tags, []string{"blue", "v1"}) {
		t.Errorf("instances %+v, tags %q", rec.Instances, rec.Tags)
	}
	rec = mustLookup(t, src, "db")
	if len(rec.Instances) != 0 || string(rec.Document) != "[]" {
		t.Errorf("db without instances expected, found %+v, document %q", rec.Instances, rec.Document)
	}
	if _, err := lookup(t, src, "none", nil); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("ErrNotFound expected, found %v", err)
	}
	names, err := src.List(context.Background())
	if err != nil || !slices.Equal(names, []string{"db", "web"}) {
		t.Errorf("list %q, %v", names, err)
	}
	r := watch(t, src, registry.Revision{}, "web")
	defer r.close()
	r.kinds(registry.EventUpsert, registry.EventSynced)
	s.Remove("web-1")
	events := r.kinds(registry.EventUpsert, registry.EventSynced, registry.EventUpsert)
	if n := len(events[2].Record.Instances); n != 0 {
		t.Errorf("%d instances", n)
	}
	s.Remove("web-2")
	r.kinds(registry.EventUpsert, registry.EventSynced, registry.EventUpsert, registry.EventDelete)
}

func TestEmptyAnswerOfDoubtfulServerIsNoAbsence(t *testing.T) {
	for name, headers := range map[string]map[string]string{
		"no leader":       {"X-Consul-KnownLeader": "false"},
		"old contact":     {"X-Consul-LastContact": "2500"},
		"filtered by ACL": {"X-Consul-Results-Filtered-By-ACLs": "true"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			headers := consultest.Headers(headers)
			s.SetFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.URL.Query().Has("consistent") { // only the leader could tell
					http.Error(w, "No cluster leader", http.StatusInternalServerError)
					return
				}
				headers(w, r, next)
			})
			src := open(t, to(s))
			_, err := lookup(t, src, "web", nil)
			fails(t, err, "")
			if name == "filtered by ACL" {
				return
			}
			if up := fails(t, err, "No cluster leader"); up.Status != 500 {
				t.Errorf("status %d", up.Status)
			}
			s.Put(web("web-1", 80))
			rec := mustLookup(t, src, "web")
			if !rec.Wishes.NoStore {
				t.Errorf("an answer that may be old may be kept")
			}
			_, err = lookup(t, src, "web", rec)
			fails(t, err, "the leader cannot be asked")
			r := watch(t, src, registry.Revision{}, "web")
			defer r.stop()
			fails(t, <-r.ended, "the leader cannot be asked")
		})
	}
}

func TestLaggingServerDoesNotReplaceNewerData(t *testing.T) {
	s := startServer(t)
	s.Put(web("web-1", 80))
	lag := s.Lagging()
	s.Put(web("web-1", 81))
	src := open(t, to(s))
	newer := mustLookup(t, src, "web")
	s.SetFault(lag)
	if rec, err := lookup(t, src, "web", newer); !errors.Is(err, registry.ErrNotModified) {
		t.Errorf("ErrNotModified from the leader expected, found %+v, %v", rec, err)
	}
	if rec := mustLookup(t, src, "web"); rec.Instances[0].Main().Port != 80 {
		t.Errorf("port %d: the test's server does not lag", rec.Instances[0].Main().Port)
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	rec, err := src.Lookup(registry.ReadThrough(ctx), "web", nil)
	if err != nil || rec.Instances[0].Main().Port != 81 {
		t.Errorf("read through: %+v, %v", rec, err)
	}
}

func TestRestoredIndexBeginsAnEpoch(t *testing.T) {
	s := startServer(t)
	for port := uint16(80); port < 90; port++ {
		s.Put(web("web-1", port))
	}
	src := open(t, to(s))
	old := mustLookup(t, src, "web")
	s.Reset()
	rec, err := lookup(t, src, "web", old)
	if err != nil {
		t.Fatal(err)
	}
	if order, ok := rec.Revision.Compare(old.Revision); !ok || order <= 0 || rec.Revision.Order >= old.Revision.Order {
		t.Errorf("revision %+v after %+v", rec.Revision, old.Revision)
	}
	// A source made later, by a restart or on another node, goes on in it.
	next, err := lookup(t, open(t, to(s)), "web", rec)
	if !errors.Is(err, registry.ErrNotModified) {
		t.Errorf("ErrNotModified expected, found %+v, %v", next, err)
	}
}

func TestAnswersThatAreNotConsulsAreErrors(t *testing.T) {
	good := `[{"Node":{"Node":"n","Address":"10.0.0.1"},"Service":{"ID":"a","Service":"web","Port":80},"Checks":[]}]`
	swap := func(old, with string) string { return strings.Replace(good, old, with, 1) }
	for want, body := range map[string]string{
		"JSON array expected":      "<html>",
		"found <nil>":              "null",
		"found {":                  `{"a":1}`,
		"unexpected EOF":           good[:len(good)-30],
		"end of the JSON":          good + "x",
		"Service.Port":             swap("80", "80000"),
		"Service.Port of type":     swap("80", `"80"`),
		"Service.ID is missing":    swap(`"ID":"a",`, ""),
		"Service is missing":       swap(`"Service":{`, `"Other":{`),
		"Node is missing":          swap(`"Node":{`, `"Other":{`),
		"Node.Node is missing":     swap(`"Node":"n",`, ""),
		`"web" expected`:           swap(`"Service":"web"`, `"Service":"db"`),
		"Checks[0].Status":         swap(`[]}`, `[{"Status":"fine"}]}`),
		"Address are missing":      swap("10.0.0.1", ""),
		"stands twice":             "[" + good[1:len(good)-1] + "," + good[1:],
		"Service.Tags":             swap(`"Port":80`, `"Port":80,"Tags":{}`),
		"Service.Meta":             swap(`"Port":80`, `"Port":80,"Meta":{"a":1}`),
		"TaggedAddresses[\"lan\"]": swap(`"Port":80`, `"Port":80,"TaggedAddresses":{"lan":{"Port":1}}`),
	} {
		s := startServer(t)
		s.SetFault(consultest.Garbage(body))
		_, err := lookup(t, open(t, to(s)), "web", nil)
		if up := fails(t, err, want); up.Status != 200 || up.Registry != "consul" {
			t.Errorf("%s: %+v", want, up)
		}
	}
}

func TestAnswersOfOtherServersAreErrors(t *testing.T) {
	s := startServer(t)
	s.Put(web("web-1", 80))
	src := open(t, to(s))
	for want, fault := range map[string]consultest.Fault{
		"is not Consul's API":   consultest.Status(404, "no such page"),
		"X-Consul-Index":        consultest.Headers(map[string]string{"X-Consul-Index": ""}),
		"X-Consul-LastContact":  consultest.Headers(map[string]string{"X-Consul-LastContact": "soon"}),
		"Permission denied":     consultest.Status(403, "Permission denied"),
		"No path to datacenter": consultest.Status(500, "No path to datacenter"),
	} {
		s.SetFault(fault)
		_, err := lookup(t, src, "web", nil)
		fails(t, err, want)
		_, err = src.List(context.Background())
		fails(t, err, want)
	}
	s.SetFault(consultest.Garbage("null"))
	_, err := src.List(context.Background())
	fails(t, err, "found null")
}

func TestRequestsCarryTheOptions(t *testing.T) {
	s := startServer(t)
	file := filepath.Join(t.TempDir(), "token")
	write := func(token string) {
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	seen := make(chan *http.Request, 10)
	s.SetFault(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		seen <- r.Clone(context.Background())
		next.ServeHTTP(w, r)
	})
	src := open(t, consul.Options{Address: registry.Strings{s.URL()}, TokenFile: file, Datacenter: "dc1", Namespace: "team",
		Partition: "p", Tags: []string{"a", "b"}, NodeMeta: map[string]string{"rack": "r1"}, Consistency: "default", Near: "_agent"})
	_, _ = lookup(t, src, "a/b c", nil)
	r := <-seen
	want := map[string][]string{"dc": {"dc1"}, "ns": {"team"}, "partition": {"p"}, "tag": {"a", "b"}, "node-meta": {"rack:r1"}, "near": {"_agent"}}
	if got := map[string][]string(r.URL.Query()); !reflect.DeepEqual(got, want) {
		t.Errorf("query %v, expected %v", got, want)
	}
	if r.URL.EscapedPath() != "/v1/health/service/a%2Fb%20c" || r.Header.Get("X-Consul-Token") != "first" {
		t.Errorf("path %q, token %q", r.URL.EscapedPath(), r.Header.Get("X-Consul-Token"))
	}
	<-seen // of the catalog
	write("second")
	_, _ = src.List(context.Background())
	if r := <-seen; r.Header.Get("X-Consul-Token") != "second" {
		t.Errorf("token %q after it was renewed", r.Header.Get("X-Consul-Token"))
	}
}

func TestMistakesInOptionsAreNamedTogether(t *testing.T) {
	err := consul.Options{Address: registry.Strings{"localhost:8500"}, Token: "a", TokenFile: "/nonexistent", Consistency: "weak",
		Tags: []string{""}, NodeMeta: map[string]string{"a:b": ""}, Rate: -1, Timeout: -1, Wait: time.Minute}.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, key := range []string{"address: ", "token_file: given", "token_file: open", "consistency: ", "tags[0]: ", "node_meta: ", "rate: ", "timeout: ", "wait: "} {
		if !strings.Contains("\n"+err.Error(), "\n"+key) {
			t.Errorf("no line begins with %q in:\n%v", key, err)
		}
	}
	if err := (consul.Options{}).Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
}

func TestIdentityChangesWithWhatDecidesTheAnswer(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range []consul.Options{{}, {Token: "a"}, {Token: "b"}, {Datacenter: "dc1"}, {Namespace: "dc1"}, {Tags: []string{"a"}}, {Tags: []string{"a", "b"}},
		{NodeMeta: map[string]string{"a": "b"}}, {Address: registry.Strings{"http://h:1"}}, {Documents: true}, {Near: "_agent"}} {
		id := open(t, o).Identity()
		if seen[id] {
			t.Errorf("%+v has the identity of another", o)
		}
		seen[id] = true
	}
	if open(t, consul.Options{Timeout: 5}).Identity() != open(t, consul.Options{}).Identity() {
		t.Errorf("a timeout changes the identity")
	}
}

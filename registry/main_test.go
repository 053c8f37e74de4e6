package registry_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/edgecache/edgecache/registry"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// golden compares got with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; run with -update if that is meant\n got: %q\nwant: %q", path, got, want)
	}
}

// web is the record of api.md's example.
func web() *registry.Record {
	return &registry.Record{
		Key: registry.Key{Registry: "consul", Name: "web"}, Kind: registry.KindService,
		Revision: registry.Revision{Order: 1532}, Wishes: registry.NoWishes,
		Instances: []registry.Instance{{
			ID: "web-1", Health: registry.HealthPassing, Weight: 100,
			Region: "eu", Zone: "eu-1a", Node: "host-7", Version: "1.4.2",
			Tags: []string{"v1"}, Metadata: registry.Metadata{{"canary", "false"}},
			Endpoints: []registry.Endpoint{
				{Name: "http", Address: "10.0.0.1", Port: 8080},
				{Name: "grpc", Address: "10.0.0.1", Port: 9090, TLS: true},
			},
		}},
	}
}

// full is a record in which every field says something.
func full() *registry.Record {
	r := web()
	r.Revision = registry.Revision{Epoch: 3, Order: 1532, Token: `W/"x"`}
	r.Wishes = registry.Freshness{TTL: 5e9, StaleWhileRevalidate: registry.Unsaid, StaleIfError: 0, NoStore: true}
	r.Document = []byte(`[{"Service": "web"}, {}]`)
	r.MediaType = "application/json"
	r.Metadata = registry.Metadata{{"a", "x\ny"}, {"b", "\u2028"}, {"owner", "team \"a\""}}
	r.Tags = []string{"payments", "eu"}
	r.Instances[0].Raw = registry.Span{Off: 1, Len: 18}
	r.Instances = append(r.Instances,
		registry.Instance{
			ID: "web-2", Health: registry.HealthWarning, Weight: 50, Priority: 7, Zone: "eu-1b", Version: "1.5.0",
			Tags: []string{"v2", "canary"}, Registered: 1767268800250, Raw: registry.Span{Off: 21, Len: 2},
			Metadata: registry.Metadata{{"canary", "true"}, {"zone", "eu-1b"}},
			Endpoints: []registry.Endpoint{
				{Address: "2001:db8::1", Port: 8080, Protocol: "http", URL: "http://[2001:db8::1]:8080/"},
				{Name: "grpc", Address: "10.0.0.2", Port: 9090, Protocol: "grpc", TLS: true},
				{Name: "mcp", URL: "https://web.example/mcp", Protocol: "sse"},
			},
		},
		registry.Instance{
			ID: "web-3", Health: registry.HealthCritical, Weight: 25,
			Endpoints: []registry.Endpoint{{Address: "/run/web.sock", Protocol: "unix"}},
		},
		registry.Instance{ID: "web-4", Health: registry.HealthMaintenance, Endpoints: []registry.Endpoint{{Address: "web.local"}}},
	)
	r.Versions = []registry.Version{
		{
			Version: "1.5.0", Status: "active", Labels: []string{"latest", "canary"}, Updated: 1767268800000,
			Metadata: registry.Metadata{{"sha", "abc"}}, Document: []byte(`{"v":"1.5.0"}`), MediaType: "application/json",
		},
		{Version: "1.4.2", Status: "deprecated", Document: []byte{}},
	}
	return r
}

func sealed(r *registry.Record, index uint64) *registry.Record {
	r.Seal(index)
	return r
}

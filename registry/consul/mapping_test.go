package consul_test

import (
	"os"
	"reflect"
	"testing"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/consul"
)

const full = `[
 {"Node":{"Node":"n1","Address":"10.0.0.9","Datacenter":"dc7","Meta":{"az":"dc7-a"}},
  "Service":{"ID":"w","Service":"web","Tags":["v1","a"],"Address":"","Port":80,"Meta":{"version":"1.2","zone":"z1"},
   "TaggedAddresses":{"wan":{"Address":"1.2.3.4","Port":8080},"lan_ipv6":{"Address":"fd00::1","Port":80}},
   "Weights":{"Passing":5,"Warning":2}},
  "Checks":[{"CheckID":"serfHealth","Status":"passing"},{"CheckID":"c","Status":"warning"}]},
 {"Node":{"Node":"n2","Address":"10.0.0.8","Datacenter":"dc7","Meta":{"az":"dc7-a"}},
  "Service":{"ID":"w","Service":"web","Tags":null,"Address":"host.example","Port":0,"Meta":null,
   "Ports":[{"Name":"admin","Port":9},{"Name":"http","Port":8,"Default":true}],"Weights":{"Passing":5,"Warning":2}},
  "Checks":[{"CheckID":"serfHealth","Status":"critical"},{"CheckID":"_service_maintenance:w","Status":"critical"}]},
 {"Node":{"Node":"n3","Address":"","Datacenter":"dc7","Locality":{"Region":"eu"}},
  "Service":{"ID":"sock","Service":"WEB","SocketPath":"/run/web.sock","Locality":{"Zone":"eu-1"}},"Checks":null}
]`

func TestInstancesAreMapped(t *testing.T) {
	rec, err := consul.ParseHealth([]byte(full), "web")
	if err != nil {
		t.Fatal(err)
	}
	for i := range rec.Instances {
		rec.Instances[i].Raw = registry.Span{}
	}
	want := []registry.Instance{
		{ID: "w@n1", Health: registry.HealthWarning, Weight: 200, Version: "1.2", Node: "n1", Region: "dc7", Zone: "z1",
			Tags: []string{"v1", "a"}, Metadata: registry.MetadataOf(map[string]string{"version": "1.2", "zone": "z1"}),
			Endpoints: []registry.Endpoint{{Address: "10.0.0.9", Port: 80}, {Name: "lan_ipv6", Address: "fd00::1", Port: 80}, {Name: "wan", Address: "1.2.3.4", Port: 8080}}},
		{ID: "w@n2", Health: registry.HealthMaintenance, Weight: 500, Node: "n2", Region: "dc7", Zone: "dc7-a",
			Endpoints: []registry.Endpoint{{Name: "http", Address: "host.example", Port: 8}, {Name: "admin", Address: "host.example", Port: 9}}},
		{ID: "sock", Health: registry.HealthPassing, Weight: 100, Node: "n3", Region: "eu", Zone: "eu-1",
			Endpoints: []registry.Endpoint{{Protocol: "unix", Address: "/run/web.sock"}}},
	}
	for i := range want {
		if !reflect.DeepEqual(rec.Instances[i], want[i]) {
			t.Errorf("instance %d:\n got %+v\nwant %+v", i, rec.Instances[i], want[i])
		}
	}
	if !reflect.DeepEqual(rec.Tags, []string{"a", "v1"}) || rec.Wishes != registry.NoWishes {
		t.Errorf("tags %q, wishes %+v", rec.Tags, rec.Wishes)
	}
}

func FuzzHealth(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte(`[]`))
	f.Add([]byte(`[{"Node":{},"Service":{}}]`))
	f.Add([]byte("<html>"))
	if real, err := os.ReadFile("testdata/consul-1.8.7.json"); err == nil {
		f.Add(real)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		rec, err := consul.ParseHealth(body, "web")
		if err != nil {
			if rec != nil {
				t.Fatal("half a record")
			}
			return
		}
		ids := map[string]bool{}
		for _, in := range rec.Instances {
			end := uint64(in.Raw.Off) + uint64(in.Raw.Len)
			if in.ID == "" || ids[in.ID] || len(in.Endpoints) == 0 || end > uint64(len(body)) || in.Raw.Len < 2 {
				t.Fatalf("instance %+v", in)
			}
			if body[in.Raw.Off] != '{' || body[end-1] != '}' {
				t.Fatalf("span %q", body[in.Raw.Off:end])
			}
			ids[in.ID] = true
		}
	})
}

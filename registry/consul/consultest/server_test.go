package consultest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/edgecache/edgecache/registry/consul/consultest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type client struct {
	t    *testing.T
	s    *consultest.Server
	http http.Client
}

func start(t *testing.T) *client {
	t.Helper()
	s := consultest.New("127.0.0.1:0")
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{}
	t.Cleanup(func() { tr.CloseIdleConnections(); s.Stop() })
	return &client{t: t, s: s, http: http.Client{Transport: tr, Timeout: 10 * time.Second}}
}

func (c *client) do(method, path, body string, into any) (status int, h http.Header, text string) {
	c.t.Helper()
	req, err := http.NewRequest(method, c.s.URL()+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(data, into); err != nil {
			c.t.Fatalf("%s: %q: %v", path, data, err)
		}
	}
	return res.StatusCode, res.Header, string(data)
}

type health []struct {
	Node    struct{ Node, Address string }
	Service struct {
		ID, Service, Address string
		Port                 int
		Tags                 []string
	}
	Checks []struct{ CheckID, Status, Output string }
}

func TestAgentsWritesShowInReads(t *testing.T) {
	c := start(t)
	status, _, text := c.do("PUT", "/v1/agent/service/register", `{"ID":"web-1","Name":"web","Tags":["v1"],"Port":80,"Check":{"CheckID":"c1","TTL":"10s"}}`, nil)
	if status != 200 {
		t.Fatal(text)
	}
	var h health
	_, head, _ := c.do("GET", "/v1/health/service/web", "", &h)
	if len(h) != 1 || h[0].Service.ID != "web-1" || h[0].Node.Node != consultest.LocalNode || len(h[0].Checks) != 2 || h[0].Checks[1].Status != "critical" {
		t.Errorf("health %+v", h)
	}
	for k, want := range map[string]string{"X-Consul-Index": fmt.Sprint(c.s.Index()), "X-Consul-KnownLeader": "true", "X-Consul-LastContact": "0",
		"X-Consul-Effective-Consistency": "leader", "Content-Type": "application/json"} {
		if head.Get(k) != want {
			t.Errorf("%s: %q, expected %q", k, head.Get(k), want)
		}
	}
	c.do("PUT", "/v1/agent/check/pass/c1?note=fine", "", nil)
	c.do("GET", "/v1/health/service/web?passing&tag=v1", "", &h)
	if len(h) != 1 || h[0].Checks[1].Output != "fine" {
		t.Errorf("health %+v", h)
	}
	c.do("PUT", "/v1/agent/check/update/c1", `{"Status":"warning","Output":"slow"}`, nil)
	var checks []struct{ CheckID, Status, ServiceID string }
	if c.do("GET", "/v1/health/state/warning", "", &checks); len(checks) != 1 || checks[0].ServiceID != "web-1" {
		t.Errorf("state %+v", checks)
	}
	var names map[string][]string
	if c.do("GET", "/v1/catalog/services", "", &names); len(names) != 1 || names["web"][0] != "v1" {
		t.Errorf("services %v", names)
	}
	c.do("PUT", "/v1/agent/service/deregister/web-1", "", nil)
	if _, _, text := c.do("GET", "/v1/health/service/web", "", nil); text != "[]" {
		t.Errorf("after deregistration: %s", text)
	}
	var self struct {
		Config struct{ Datacenter, NodeName string }
	}
	if c.do("GET", "/v1/agent/self", "", &self); self.Config.Datacenter != consultest.Datacenter {
		t.Errorf("self %+v", self)
	}
	if _, _, text := c.do("GET", "/v1/status/leader", "", nil); text != `"127.0.0.1:8300"` {
		t.Errorf("leader %s", text)
	}
}

func TestMistakesAreRefused(t *testing.T) {
	c := start(t)
	for _, m := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/v1/health/service/web?index=x", "", 400},
		{"GET", "/v1/health/service/web?wait=3", "", 400},
		{"GET", "/v1/health/service/web?stale&consistent", "", 400},
		{"GET", "/v1/health/service/web?dc=dc9", "", 500},
		{"PUT", "/v1/health/service/web", "", 405},
		{"PUT", "/v1/agent/service/register", `{"Name":1}`, 400},
		{"PUT", "/v1/agent/service/register", `{}`, 400},
		{"PUT", "/v1/agent/check/pass/none", "", 500},
		{"PUT", "/v1/agent/check/update/none", `{"Status":"fine"}`, 400},
		{"GET", "/v1/kv/a", "", 404},
	} {
		if status, _, text := c.do(m.method, m.path, m.body, nil); status != m.status {
			t.Errorf("%s %s: status %d, expected %d: %s", m.method, m.path, status, m.status, text)
		}
	}
}

func TestBlockingQueryReturnsAtChangeAndAtItsEnd(t *testing.T) {
	c := start(t)
	c.s.Put(consultest.Instance{Name: "web", Port: 80}, consultest.Instance{Name: "db"})
	path := fmt.Sprintf("/v1/health/service/web?index=%d&wait=", c.s.Index())
	changed := make(chan struct{})
	go func() {
		defer close(changed)
		for c.s.Waiting() == 0 {
			time.Sleep(time.Millisecond)
		}
		c.s.Put(consultest.Instance{Name: "db", Port: 1}) // of no interest
		c.s.Put(consultest.Instance{Name: "web", Port: 81})
	}()
	var h health
	if c.do("GET", path+"5m", "", &h); h[0].Service.Port != 81 {
		t.Errorf("port %d", h[0].Service.Port)
	}
	<-changed
	index := c.s.Index()
	_, head, _ := c.do("GET", fmt.Sprintf("/v1/health/service/web?index=%d&wait=10ms", index), "", &h)
	if head.Get("X-Consul-Index") != fmt.Sprint(index) {
		t.Errorf("index %s, expected %d", head.Get("X-Consul-Index"), index)
	}
}

func TestStoppedServerReturnsOnItsAddressWithItsCatalog(t *testing.T) {
	c := start(t)
	c.s.Put(consultest.Instance{Name: "web", Port: 80})
	url, failed := c.s.URL(), make(chan error, 1)
	go func() {
		res, err := c.http.Get(fmt.Sprintf("%s/v1/health/service/web?index=%d", url, c.s.Index()))
		if err == nil {
			res.Body.Close()
		}
		failed <- err
	}()
	for c.s.Waiting() == 0 {
		time.Sleep(time.Millisecond)
	}
	c.s.Stop()
	if err := <-failed; err == nil {
		t.Error("a blocking query survives the stop")
	}
	if err := c.s.Start(); err != nil || c.s.URL() != url {
		t.Fatalf("%v, %s", err, c.s.URL())
	}
	var h health
	if c.do("GET", "/v1/health/service/web", "", &h); len(h) != 1 {
		t.Errorf("health %+v", h)
	}
}

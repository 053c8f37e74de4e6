package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// consulBinary returns the path of a real Consul, or ends the test.
func consulBinary(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../.tools/consul/usr/bin/consul")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		return path
	}
	const why = "no Consul in .tools/consul: run scripts/install-consul"
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
	return ""
}

// A consul is a real Consul in development mode: its catalog lives in memory
// and ends with the process.
type consul struct {
	t     *testing.T
	path  string
	ports []string // http, server, serf lan, serf wan
	log   *logBuffer
	cmd   *exec.Cmd
}

func startConsul(t *testing.T) *consul {
	t.Helper()
	c := &consul{t: t, path: consulBinary(t), ports: freePorts(t, 4), log: &logBuffer{}}
	c.start()
	t.Cleanup(func() {
		c.kill()
		if t.Failed() {
			text := c.log.String()
			t.Logf("Consul's log ends with:\n%s", text[max(0, len(text)-1500):])
		}
	})
	return c
}

func (c *consul) url() string { return "http://127.0.0.1:" + c.ports[0] }

func (c *consul) start() {
	c.t.Helper()
	c.cmd = exec.Command(c.path, "agent", "-dev", "-node", "real", "-bind", "127.0.0.1", "-http-port", c.ports[0],
		"-server-port", c.ports[1], "-serf-lan-port", c.ports[2], "-serf-wan-port", c.ports[3], "-dns-port", "-1", "-grpc-port", "-1")
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	eventually(c.t, "Consul is up", func() error {
		a, err := try(http.MethodGet, c.url()+"/v1/catalog/service/consul", "")
		if err != nil {
			return err
		}
		if !bytes.Contains(a.body, []byte(`"real"`)) {
			return fmt.Errorf("it is not registered yet: %s", a.body)
		}
		return nil
	})
}

func (c *consul) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait() // reports the kill
}

type object = map[string]any

// put sends one write of its API; the catalog has it when put returns.
func (c *consul) put(path string, body object) {
	c.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	a, err := try(http.MethodPut, c.url()+path, string(data))
	if err != nil || a.status != http.StatusOK {
		c.t.Fatalf("PUT %s: %v, %v", path, a, err)
	}
}

// register makes id the instance of a service, on a node of its own.
func (c *consul) register(service, id string, port int) {
	c.t.Helper()
	c.put("/v1/catalog/register", object{"Node": "node-" + id, "Address": "10.9.9.9",
		"Service": object{"ID": id, "Service": service, "Address": "10.0.0.1", "Port": port}})
}

func (c *consul) deregister(id string) {
	c.t.Helper()
	c.put("/v1/catalog/deregister", object{"Node": "node-" + id})
}

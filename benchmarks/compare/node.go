package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

// A node is edgecache as a process.
type node struct {
	*process
	data, admin string // base URLs
}

// startNode runs `edgecache serve` with the given registries, in YAML, further
// sections, and defaults for everything else. Each label has its own data.
func (b *bench) startNode(ctx context.Context, label, registries string, sections ...string) (*node, error) {
	n, config, err := b.configureNode(label, registries, sections...)
	if err != nil {
		return nil, err
	}
	ready := func() error {
		_, _, err := get(n.data + "/readyz")
		return err
	}
	n.process, err = b.start(ctx, ready, b.program, "serve", "--config", config)
	return n, err
}

// configureNode writes the configuration of a node that does not run yet.
func (b *bench) configureNode(label, registries string, sections ...string) (n *node, config string, err error) {
	ports, err := registrytest.FreePorts(2)
	if err != nil {
		return nil, "", err
	}
	data, admin := "127.0.0.1:"+ports[0], "127.0.0.1:"+ports[1]
	config, err = b.write(label+".yaml", fmt.Sprintf("node: {name: %s, data_dir: %q}\nhttp: {listen: %q, drain: 0s}\nadmin: {listen: %q}\nlog: {level: warn}\n%s\nregistries:\n%s",
		label, filepath.Join(b.dir, label+"-data"), data, admin, strings.Join(sections, "\n"), registries))
	return &node{data: "http://" + data, admin: "http://" + admin}, config, err
}

// stored returns what the node says of its store.
func (n *node) stored() (registry.StoreStatus, error) {
	body, _, err := get(n.admin + "/v1/status")
	if err != nil {
		return registry.StoreStatus{}, err
	}
	var status registry.NodeStatus
	if err := json.Unmarshal(body, &status); err != nil {
		return registry.StoreStatus{}, err
	}
	if status.Store == nil {
		return registry.StoreStatus{}, errors.New("the node has no store")
	}
	return *status.Store, nil
}

// service returns the URL of a lookup.
func (n *node) service(name string) string { return n.data + "/v1/services/" + name }

// hits makes sure that a lookup is a hit and returns its body.
func (n *node) hits(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var body []byte
	err := poll(ctx, func() error {
		b, header, err := get(url)
		if err != nil {
			return err
		}
		body = b
		if s := header.Get("Cache-Status"); len(s) < 14 || s[:14] != "edgecache; hit" {
			return fmt.Errorf("%s: Cache-Status %q, a hit expected", url, s)
		}
		return nil
	})
	return body, err
}

// local is a client that keeps no connection between figures.
var local = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}

// get returns the body and the headers of a 200.
func get(url string) ([]byte, http.Header, error) {
	resp, err := local.Get(url)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d: %s", url, resp.StatusCode, body)
	}
	return body, resp.Header, err
}

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// A node is edgecache as a process.
type node struct {
	*process
	data, admin string // base URLs
}

// startNode runs `edgecache serve` with the given registries, in YAML, and
// defaults for everything else.
func (b *bench) startNode(ctx context.Context, label, registries string) (*node, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	data, admin := "127.0.0.1:"+ports[0], "127.0.0.1:"+ports[1]
	config, err := b.write(label+".yaml", fmt.Sprintf("node: {name: %s}\nhttp: {listen: %q, drain: 0s}\nadmin: {listen: %q}\nlog: {level: warn}\nregistries:\n%s",
		label, data, admin, registries))
	if err != nil {
		return nil, err
	}
	n := &node{data: "http://" + data, admin: "http://" + admin}
	ready := func() error {
		_, _, err := get(n.data + "/readyz")
		return err
	}
	n.process, err = b.start(ctx, ready, b.program, "serve", "--config", config)
	return n, err
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

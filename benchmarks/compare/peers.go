package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/edgecache/edgecache/registry/registrytest"
)

// nginxConfig follows nginx's guide to content caching: upstream connections
// kept, stale answers used, one fill at a time, files of the cache kept open,
// no log of requests.
const nginxConfig = `%[1]s
daemon off;
worker_processes 1;
pid %[2]s/nginx.pid;
error_log stderr crit;
events { worker_connections 4096; multi_accept on; }
http {
	access_log off;
	server_tokens off;
	sendfile on;
	tcp_nopush on;
	tcp_nodelay on;
	keepalive_timeout 75s;
	keepalive_requests 100000000;
	open_file_cache max=10000 inactive=1h;
	open_file_cache_valid 1m;
	open_file_cache_min_uses 1;
	client_body_temp_path %[2]s/body;
	proxy_temp_path %[2]s/temp;
	fastcgi_temp_path %[2]s/fastcgi;
	uwsgi_temp_path %[2]s/uwsgi;
	scgi_temp_path %[2]s/scgi;
	proxy_cache_path %[2]s/cache levels=1:2 keys_zone=edge:16m max_size=1g inactive=24h use_temp_path=off;
	upstream origin { server %[4]s; keepalive 16; }
	server {
		listen 127.0.0.1:%[3]s;
		location / {
			proxy_pass http://origin;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_cache edge;
			proxy_cache_valid 200 1h;
			proxy_cache_use_stale error timeout updating http_500 http_502 http_503 http_504;
			proxy_cache_background_update on;
			proxy_cache_revalidate on;
			proxy_cache_lock on;
		}
	}
}
`

// startNginx returns the URL of its copy of the document.
func (b *bench) startNginx(ctx context.Context, o *origin) (string, error) {
	if err := b.need("nginx", "nginx-light"); err != nil {
		return "", err
	}
	ports, err := registrytest.FreePorts(1)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(b.dir, "nginx")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // its files are in a directory of ours
	}
	config, err := b.write("nginx.conf", fmt.Sprintf(nginxConfig, user, dir, ports[0], o.address))
	if err != nil {
		return "", err
	}
	url := "http://127.0.0.1:" + ports[0] + originPath + name
	_, err = b.start(ctx, serves(url), "nginx", "-p", dir, "-c", config)
	return url, err
}

const varnishConfig = `vcl 4.1;
backend origin { .host = "%s"; .port = "%s"; }
sub vcl_backend_response { set beresp.ttl = 1h; set beresp.grace = 24h; }
`

// startVarnish returns the URL of its copy of the document.
func (b *bench) startVarnish(ctx context.Context, o *origin) (string, error) {
	if err := b.need("varnishd", "varnish"); err != nil {
		return "", err
	}
	ports, err := registrytest.FreePorts(1)
	if err != nil {
		return "", err
	}
	host, port, err := net.SplitHostPort(o.address)
	if err != nil {
		return "", err
	}
	config, err := b.write("varnish.vcl", fmt.Sprintf(varnishConfig, host, port))
	if err != nil {
		return "", err
	}
	url := "http://127.0.0.1:" + ports[0] + originPath + name
	_, err = b.start(ctx, serves(url), "varnishd", "-F", "-n", filepath.Join(b.dir, "varnish"), "-f", config,
		"-a", "127.0.0.1:"+ports[0], "-s", "malloc,256m")
	return url, err
}

// serves returns a check that a URL answers with the document.
func serves(url string) func() error {
	return func() error {
		body, _, err := get(url)
		if err == nil && string(body) != document {
			err = fmt.Errorf("%s: other bytes than the origin's: %q", url, body)
		}
		return err
	}
}

// startRedis returns the port of a server that has the document, without
// persistence.
func (b *bench) startRedis(ctx context.Context) (string, error) {
	if err := b.need("redis-server", "redis-server"); err != nil {
		return "", err
	}
	ports, err := registrytest.FreePorts(1)
	if err != nil {
		return "", err
	}
	holds := func() error {
		if _, err := redis(ports[0], "SET", name, document); err != nil {
			return err
		}
		value, err := redis(ports[0], "GET", name)
		if err == nil && value != document {
			err = fmt.Errorf("redis has other bytes than the origin: %q", value)
		}
		return err
	}
	_, err = b.start(ctx, holds, "redis-server", "--port", ports[0], "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", b.dir)
	return ports[0], err
}

// redis sends one command and returns its answer.
func redis(port string, words ...string) (string, error) {
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	var request strings.Builder
	fmt.Fprintf(&request, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&request, "$%d\r\n%s\r\n", len(w), w)
	}
	if _, err := io.WriteString(conn, request.String()); err != nil {
		return "", err
	}
	r := bufio.NewReader(conn)
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	size, bulk := strings.CutPrefix(line, "$")
	if !bulk {
		return line, nil
	}
	n, err := strconv.Atoi(size)
	if err != nil || n < 0 {
		return "", fmt.Errorf("redis answered %q", line)
	}
	value := make([]byte, n)
	_, err = io.ReadFull(r, value)
	return string(value), err
}

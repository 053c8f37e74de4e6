package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/edgecache/edgecache/http/apitest"
)

const contractConfig = twoPorts + `
registries:
  - {name: files, type: file, path: DIR/web.yaml}
  - {name: gone, type: httpjson, address: "http://127.0.0.1:1", path: "/services/{name}", timeout: 1s, retries: 0}
`

const contractServices = `services:
  - name: web
    metadata: {team: edge}
    tags: [edge]
    versions: [{version: "1.4.2", status: active, labels: [latest]}]
    instances:
      - {id: web-1, address: 10.0.0.1, port: 8080, zone: a, version: "1.4.2", tags: [v1], endpoints: [{name: http, port: 8080}, {name: grpc, port: 9090, tls: true}]}
      - {id: web-2, address: "2001:db8::1", port: 8080, health: critical, weight: 0.5, zone: b, node: host-7, region: eu, metadata: {canary: "true"}}
  - {name: team/api, instances: []}
`

// TestServedAnswersAreAsDescribed asks a whole node, with registries of which
// one is down, and holds each answer to docs/openapi.yaml.
func TestServedAnswersAreAsDescribed(t *testing.T) {
	spec, err := apitest.Load("../../docs/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := startServe(t, "--config", files(t, "edgecache.yaml", contractConfig, "web.yaml", contractServices))
	waitUntil(t, "ready", func() bool { status, _ := s.request("GET", s.data+"/readyz"); return status == 200 })
	index, etag := "", ""
	for _, c := range []struct {
		target string // on the admin port, which serves all
		body   string // "": GET
		status int
	}{
		{"/v1/registries/files/services/web", "", 200}, {"/v1/registries/files/services/team%2Fapi", "", 200},
		{"/v1/services/web?health=any&max_age=1h", "", 200}, {"/v1/services/web?port=grpc&zone=a&tag=v1&version=latest", "", 200},
		{"/v1/services/web?filter=metadata.canary+==+%22true%22&health=any", "", 200}, {"/v1/services/web?view=addresses", "", 200},
		{"/v1/services/web?index=1&wait=1s", "", 200}, {"/v1/services/web?index={index}&wait=10ms", "", 200}, {"/v1/services/web?kind=service", "", 200},
		{"/v1/services/web#{etag}", "", 304}, {"/v1/services/web?index={index}&wait=25h", "", 400}, {"/v1/services/web?x=1", "", 400},
		{"/v1/registries/files/services/nope", "", 404}, {"/v1/registries/nomad/services/web", "", 404}, {"/v1/services/web?view=document", "", 404},
		{"/v1/services/nope", "", 502}, {"/v1/registries/gone/services/web", "", 502}, {"/v1/registries/gone/services/web?max_age=0s", "", 502},
		{"/v1/services", "", 200}, {"/v1/services?prefix=team/&limit=1&kind=service", "", 200}, {"/v1/registries/files/services", "", 200},
		{"/v1/registries/nomad/services", "", 404}, {"/v1/services?cursor=x", "", 400},
		{"/v1/watch?service=web&service=nope", "", 200}, {"/v1/watch?prefix=&registry=files", "", 200}, {"/v1/watch", "", 400},
		{"/v1/lookup", `{"services":[{"name":"web"},{"name":"nope"},{"name":"nope","registry":"files"}],"health":"any"}`, 200},
		{"/healthz", "", 200}, {"/readyz", "", 200},
		{"/v1/refresh", `{"registry":"files"}`, 200}, {"/v1/refresh", `{"services":[{"name":"web"}],"timeout":"20s"}`, 200}, {"/v1/report", "", 200},
		{"/v1/invalidate", `{"services":[{"name":"web","registry":"files"}],"mode":"hard"}`, 200}, {"/v1/services/web", "", 200},
		{"/v1/invalidate", `{"tags":["edge"],"prefixes":["team/"],"registry":"files","mode":"soft","wait":"all","timeout":"1s"}`, 200},
		{"/v1/invalidate", `{"all":true,"wait":"quorum"}`, 200}, {"/v1/services/web", "", 200},
		{"/v1/invalidate", `{"registry":"nomad"}`, 400}, {"/v1/invalidations/0/0/0", "", 404},
		{"/v1/status", "", 200}, {"/v1/members", "", 200}, {"/v1/registries", "", 200}, {"/v1/plugins", "", 200},
		{"/v1/entries", "", 200}, {"/v1/entries?registry=files&state=negative&limit=1", "", 200}, {"/v1/entries?prefix=web&state=fresh", "", 200},
		{"/v1/config/reload", "{}", 200}, {"/metrics", "", 200}, {"/debug/pprof/", "", 200}, {"/debug/pprof/heap", "", 200},
	} {
		target, match, _ := strings.Cut(strings.NewReplacer("{index}", index, "{etag}", etag).Replace(c.target), "#")
		x := s.exchange(target, match, c.body)
		if x.Status != c.status {
			t.Errorf("%s: status %d, want %d: %.300s", target, x.Status, c.status, x.Body)
		}
		for _, err := range spec.Check(x) {
			t.Error(err)
		}
		if target == "/v1/registries/files/services/web" {
			index, etag = http.Header(x.Header).Get("Edgecache-Index"), http.Header(x.Header).Get("ETag")
		}
	}
}

// exchange asks the admin port; of a watch it reads until the list is complete.
func (s *served) exchange(target, match, body string) apitest.Exchange {
	s.t.Helper()
	method := "GET"
	if body != "" {
		method = "POST"
	}
	req, err := http.NewRequest(method, s.base+target, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if match != "" {
		req.Header.Set("If-None-Match", match)
	}
	res, err := s.http.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	var got []byte
	for buf := make([]byte, 64<<10); !bytes.Contains(got, []byte("event: synced")); {
		n, err := res.Body.Read(buf)
		got = append(got, buf[:n]...)
		if err == io.EOF {
			break
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	return apitest.Exchange{
		Method: method, Target: target, RequestHeader: req.Header, RequestBody: []byte(body),
		Status: res.StatusCode, Header: res.Header, Body: got,
	}
}

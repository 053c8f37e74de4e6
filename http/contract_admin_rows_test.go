package http_test

import (
	"slices"
	"strings"
)

const (
	invalidateURL = "/v1/invalidate"
	refreshURL    = "/v1/refresh"
)

var contractChanges = slices.Concat(selectorRows(invalidateURL), selectorRows(refreshURL), []contractRow{
	{at: "open/admin", target: invalidateURL, header: jsonType, status: 200, body: `{"services":[{"name":"web","registry":"consul"}],"tags":[],"prefixes":[],"registry":"","all":false,"mode":"verify","wait":"local","timeout":"2s"}`,
		want: "Cache-Control: no-cache", match: `{"id":"9f2c/14/88` + "\n" + `"members":2,"confirmed":["edge-1"],"fenced":[],"pending":[],"elapsed_ms":3.2}`},
	{at: "open/admin", target: invalidateURL, header: jsonType, status: 200, body: `{"all":true,"mode":"soft","wait":"quorum"}`},
	{at: "open/admin", target: invalidateURL, header: jsonType, status: 200, body: `{"all":true,"mode":"hard"}`},
	{at: "open/admin", target: invalidateURL, header: jsonType, status: 202, body: `{"all":true,"wait":"all","timeout":"10ms"}`,
		want: "Location: ~/v1/invalidations/9f2c/14/88", match: `"pending":["edge-2"]`},
	{at: "open/admin", target: invalidateURL, header: jsonType, status: 400, word: "bad-request", body: `{"all":true,"mode":"gentle"}`, match: `"parameter":"mode"`},
	{at: "open/admin", target: invalidateURL, header: jsonType, status: 400, word: "bad-request", body: `{"all":true,"wait":"most"}`, match: `"parameter":"wait"`},
	{at: "open/admin", target: invalidateURL, header: jsonType, status: 503, word: "not-durable", body: `{"services":[{"name":"disk"}]}`,
		want: "Location: ~/v1/invalidations/9f2c/14/88", match: `"detail":"invalidation 9f2c/14/88` + "\n: applied, but not on this disk: no space left; a restart may forget it"},
	{at: "open/admin", target: invalidateURL, header: jsonType, status: 503, word: "not-durable", body: `{"services":[{"name":"stalled"}],"timeout":"10ms"}`,
		match: "the disk did not confirm it within 10ms: applied, but not on this disk: fsync takes 12s"},
	{at: "open/admin", target: "/v1/invalidations/9f2c/14/8812", status: 200, match: `"pending":[]`},
	{at: "open/admin", target: "/v1/invalidations/9f2c%2F14%2F8812", status: 200, match: `"id":"9f2c/14/8812"`},
	{at: "open/admin", target: "/v1/invalidations/9f2c/14/8813", status: 202, match: `"pending":["edge-2"]`},
	{at: "open/admin", target: "/v1/invalidations/9f2c/14/1", status: 404, word: "not-found"},
	{at: "open/admin", target: "/v1/invalidations/9f2c/14/8812?x=1", status: 400, word: "bad-request"},
	{at: "tokens/admin", target: "/v1/invalidations/9f2c/14/8812", status: 401, word: "unauthenticated"},
	{at: "tokens/admin", target: "/v1/invalidations/9f2c/14/8812", header: bearer + "ci-secret", status: 200},
	{at: "tokens/admin", target: "/v1/invalidations/9f2c/14/8812", header: bearer + "read-secret", status: 200},
	{at: "tokens/admin", target: "/v1/invalidations/9f2c/14/8812", header: bearer + "metrics-secret", status: 403, word: "forbidden"},

	{at: "open/admin", target: refreshURL, header: jsonType, status: 200, body: `{"services":[{"name":"web"}],"timeout":"30s"}`,
		match: `{"id":"load-1","started":"2023-11-14T22:13:20Z","elapsed_ms":2.5,"running":false,"services":[{"name":"web","registry":"consul","result":"changed","elapsed_ms":1.5,"retries":0},`},
	{at: "open/admin", target: refreshURL, header: jsonType, status: 202, body: `{"services":[{"name":"slow"}],"timeout":"10ms"}`,
		want: "Location: /v1/report", match: `"running":true`},
	{at: "open/admin", target: refreshURL, header: jsonType, status: 400, word: "bad-request", body: `{"all":true,"mode":"soft"}`, match: `"parameter":"mode"`},
	{at: "open/admin", target: "/v1/report", status: 200, match: `"result":"failed","elapsed_ms":0,"retries":2,"error":"connection refused"`},
	{at: "cold/admin", target: "/v1/report", status: 404, word: "not-found"},
	{at: "open/admin", target: "/v1/report?x=1", status: 400, word: "bad-request"},
	{at: "tokens/admin", target: "/v1/report", status: 401, word: "unauthenticated"},
	{at: "tokens/admin", target: "/v1/report", header: bearer + "ci-secret", status: 200},
	{at: "tokens/admin", target: "/v1/report", header: bearer + "metrics-secret", status: 403, word: "forbidden"},

	{at: "open/admin", method: "POST", target: "/v1/config/reload", status: 200, match: `{"reloaded":true}`},
	{at: "open/admin", target: "/v1/config/reload", header: jsonType, body: "{}", status: 200},
	{at: "cold/admin", method: "POST", target: "/v1/config/reload", status: 422, word: "bad-config",
		match: `http.listen: cannot change while running\nregistries[0].type: \"consull\": did you mean`},
	{at: "open/admin", target: "/v1/config/reload", header: jsonType, body: `{"force":true}`, status: 400, word: "bad-request"},
	{at: "open/admin", target: "/v1/config/reload", header: "Content-Type: application/yaml", body: `a: b`, status: 415, word: "media-type"},
	{at: "open/admin", target: "/v1/config/reload", header: jsonType, body: strings.Repeat(" ", 65<<10), status: 413, word: "too-large"},
	{at: "open/admin", method: "POST", target: "/v1/members/edge-2/forget", status: 200, match: `{"forgotten":"edge-2"}`},
	{at: "open/admin", method: "POST", target: "/v1/members/edge-1/forget", status: 400, word: "bad-request", match: `edge-1 is alive`},
	{at: "open/admin", method: "POST", target: "/v1/members/edge-9/forget", status: 404, word: "not-found", match: `there is no member`},
	{at: "open/admin", target: "/v1/members/edge-1/forget", status: 405, word: "method", want: "Allow: POST"},
	{at: "open/admin", method: "POST", target: "/v1/members/edge-2/forget", header: jsonType, body: `{"x":1}`, status: 400, word: "bad-request"},
	{at: "open/admin", method: "POST", target: "/v1/members/edge-2/forget", header: "Content-Type: application/yaml", body: `a: b`, status: 415, word: "media-type"},
	{at: "open/admin", method: "POST", target: "/v1/members/edge-2/forget", header: jsonType, body: strings.Repeat(" ", 65<<10), status: 413, word: "too-large"},
	{at: "tokens/admin", method: "POST", target: "/v1/members/edge-2/forget", status: 401, word: "unauthenticated"},
	{at: "tokens/admin", method: "POST", target: "/v1/members/edge-2/forget", header: bearer + "ci-secret", status: 403, word: "forbidden"},
	{at: "open/admin", method: "POST", target: "/v1/plugins/zone/reload", status: 200, match: `{"reloaded":"zone"}`},
	{at: "open/admin", method: "POST", target: "/v1/plugins/none/reload", status: 404, word: "not-found", match: `there is no plugin`},
	{at: "open/admin", method: "POST", target: "/v1/plugins/broken/reload", status: 422, word: "bad-config", match: `nothing changed: export ec_filter`},
	{at: "open/admin", method: "POST", target: "/v1/plugins/zone/reload?x=1", status: 400, word: "bad-request"},
	{at: "open/admin", method: "POST", target: "/v1/plugins/zone/reload", header: jsonType, body: `{"x":1}`, status: 400, word: "bad-request"},
	{at: "open/admin", method: "POST", target: "/v1/plugins/zone/reload", header: "Content-Type: application/yaml", body: `a: b`, status: 415, word: "media-type"},
	{at: "open/admin", method: "POST", target: "/v1/plugins/zone/reload", header: jsonType, body: strings.Repeat(" ", 65<<10), status: 413, word: "too-large"},
	{at: "open/admin", target: "/v1/plugins/zone/reload", status: 405, word: "method", want: "Allow: POST"},
	{at: "tokens/admin", method: "POST", target: "/v1/plugins/zone/reload", status: 401, word: "unauthenticated"},
	{at: "tokens/admin", method: "POST", target: "/v1/plugins/zone/reload", header: bearer + "ci-secret", status: 403, word: "forbidden"},
	{at: "tokens/admin", method: "POST", target: "/v1/config/reload", status: 401, word: "unauthenticated"},
	{at: "tokens/admin", method: "POST", target: "/v1/config/reload", header: bearer + "ci-secret", status: 403, word: "forbidden"},
	{at: "tokens/admin", method: "POST", target: "/v1/config/reload", header: bearer + "root-secret", status: 200},
})

// selectorRows are what both routes with selectors take and refuse.
func selectorRows(target string) []contractRow {
	ok := func(body string) contractRow {
		return contractRow{at: "open/admin", target: target, header: jsonType, body: body, status: 200}
	}
	bad := func(body, parameter string) contractRow {
		row := contractRow{at: "open/admin", target: target, header: jsonType, body: body, status: 400, word: "bad-request"}
		if parameter != "" {
			row.match = `"parameter":"` + parameter + `"`
		}
		return row
	}
	as := func(token, body string, status int, word string) contractRow {
		return contractRow{at: "tokens/admin", target: target, header: jsonType + "\n" + bearer + token, body: body, status: status, word: word}
	}
	thousand := strings.Repeat(`"a",`, 999) + `"a"`
	return []contractRow{
		ok(`{"tags":["edge"]}`), ok(`{"prefixes":["team-a/"],"registry":"consul"}`), ok(`{"registry":"consul"}`), ok(`{"all":true,"timeout":"60s"}`),
		ok(`{"tags":[` + thousand + `]}`),
		bad(`{}`, ""), bad(`{"all":false}`, ""), bad(`{"tags":[`+thousand+`],"prefixes":["a"]}`, ""), bad(`{"tags":[`+thousand+`,"b"]}`, "tags"),
		bad(`{"registry":"nomad"}`, "registry"), bad(`{"services":[{"name":"a","registry":"nomad"}]}`, "services[0].registry"),
		bad(`{"services":[{"name":"a","registry":"file"}],"registry":"consul"}`, "services[0].registry"),
		bad(`{"services":[{"name":""}]}`, "services[0].name"), bad(`{"services":[{"name":"a//b"}]}`, "services[0].name"), bad(`{"services":[{}]}`, "services[0].name"),
		bad(`{"services":"web"}`, "services"), bad(`{"services":["web"]}`, "services[0]"), bad(`{"services":null}`, "services"),
		bad(`{"tags":[""]}`, "tags[0]"), bad(`{"tags":[1]}`, "tags[0]"), bad(`{"all":"yes"}`, "all"), bad(`{"prefixes":[""]}`, "prefixes[0]"),
		bad(`{"all":true,"timeout":"61s"}`, "timeout"), bad(`{"all":true,"timeout":2}`, "timeout"), bad(`{"all":true,"timeout":"0s"}`, "timeout"),
		bad(`{"servces":[]}`, "servces"), bad(`{"all":true,"all":false}`, "all"), bad(`{"All":true}`, "All"),
		bad(`{"all":true} {}`, ""), bad(`{"all":true`, ""), bad(`[]`, ""), bad(`nonsense`, ""),
		{at: "open/admin", target: target + "?x=1", header: jsonType, body: `{"all":true}`, status: 400, word: "bad-request"},
		{at: "open/admin", method: "POST", target: target, header: jsonType, status: 400, word: "bad-request"},
		{at: "open/admin", method: "POST", target: target, status: 415, word: "media-type"},
		{at: "open/admin", target: target, header: "Content-Type: application/x-www-form-urlencoded", body: `all=true`, status: 415, word: "media-type"},
		{at: "open/admin", target: target, header: jsonType, body: `{"all":true` + strings.Repeat(" ", 64<<10) + `}`, status: 413, word: "too-large"},

		{at: "tokens/admin", target: target, header: jsonType, body: `{"all":true}`, status: 401, word: "unauthenticated", want: "WWW-Authenticate: ~Bearer"},
		as("read-secret", `{"all":true}`, 403, "forbidden"), as("metrics-secret", `{"all":true}`, 403, "forbidden"),
		as("root-secret", `{"all":true}`, 200, ""), as("ci-secret", `{"registry":"consul"}`, 200, ""),
		as("ci-secret", `{"services":[{"name":"web","registry":"consul"}]}`, 200, ""),
		as("ci-secret", `{"all":true}`, 403, "forbidden"), as("ci-secret", `{"registry":"file"}`, 403, "forbidden"),
		as("ci-secret", `{"services":[{"name":"web"}]}`, 403, "forbidden"), as("ci-secret", `{"tags":["edge"]}`, 403, "forbidden"),
	}
}

var contractInspections = slices.Concat(
	inspectionRows("/v1/status", `"memory":{"entries":0,"bytes":0,"limit":0},"store":{"state":"full","bytes":1,"limit":4,"entries":2,"journal":3,"error":"2% of the file system is free"},"lookups":{"hits":0,"stale":0,"misses":0,"negative":0,"errors":0}`),
	inspectionRows("/v1/members", `{"members":[{"name":"edge-1","state":"alive"`),
	inspectionRows("/v1/registries", `{"registries":[{"name":"consul","type":"consul","kind":"service","state":"up","breaker":"closed","watch":{"live":0,"owner":""}`),
	inspectionRows("/v1/plugins", `{"plugins":[{"name":"zone","kind":"filter","plugin":"zone 1.0.0","sha256":"9f86d081"`),
	inspectionRows("/v1/entries", `{"entries":[{"name":"service-000","registry":"consul","state":"fresh","tier":"memory"`),
	[]contractRow{
		{at: "open/admin", target: "/v1/entries?limit=7&registry=consul&state=fresh", status: 200},
		{at: "open/admin", target: "/v1/entries?limit=7&cursor={cursor}", status: 200, match: `[{"name":"service-007"`},
		{at: "open/admin", target: "/v1/entries?prefix=service-29", status: 200, match: `[{"name":"service-290"`},
		{at: "open/admin", target: "/v1/entries?prefix=none", status: 200, match: `{"entries":[]}`},
		{at: "open/admin", target: "/v1/entries", header: "Accept-Encoding: gzip", status: 200, want: "Content-Encoding: gzip\nVary: ~Accept-Encoding"},
		{at: "open/admin", target: "/v1/entries?state=old", status: 400, word: "bad-request", match: `"parameter":"state"`},
		{at: "open/admin", target: "/v1/entries?registry=nomad", status: 400, word: "bad-request", match: `"parameter":"registry"`},
		{at: "open/admin", target: "/v1/entries?limit=0", status: 400, word: "bad-request", match: `"parameter":"limit"`},
		{at: "open/admin", target: "/v1/entries?cursor=x", status: 400, word: "bad-request", match: `"parameter":"cursor"`},

		{at: "open/admin", target: "/metrics", status: 200, want: "Content-Type: text/plain; version=0.0.4; charset=utf-8\nVary: ~Accept-Encoding\n!Content-Encoding", match: "edgecache_lookups_total 1"},
		{at: "open/admin", target: "/metrics", header: "Accept-Encoding: deflate, gzip;q=0.5", status: 200, want: "Content-Encoding: gzip\nVary: ~Accept-Encoding"},
		{at: "open/admin", target: "/metrics", header: "Accept-Encoding: gzip;q=0", status: 200, want: "!Content-Encoding"},
		{at: "open/admin", method: "HEAD", target: "/metrics", status: 200},
		{at: "open/admin", target: "/metrics?x=1", status: 400, word: "bad-request"},
		{at: "tokens/admin", target: "/metrics", status: 401, word: "unauthenticated"},
		{at: "tokens/admin", target: "/metrics", header: bearer + "metrics-secret", status: 200},
		{at: "tokens/admin", target: "/metrics", header: bearer + "read-secret", status: 403, word: "forbidden"},

		{at: "open/admin", target: "/debug/pprof/", status: 200, match: "/debug/pprof/heap"},
		{at: "open/admin", target: "/debug/pprof/?x=1", status: 400, word: "bad-request"},
		{at: "tokens/admin", target: "/debug/pprof/", status: 401, word: "unauthenticated"},
		{at: "tokens/admin", target: "/debug/pprof/", header: bearer + "read-secret", status: 403, word: "forbidden"},
		{at: "tokens/admin", target: "/debug/pprof/", header: bearer + "root-secret", status: 200},
		{at: "open/admin", target: "/debug/pprof/heap?gc=1", status: 200, want: "Content-Type: application/octet-stream", match: "\x1f\x8b"},
		{at: "open/admin", target: "/debug/pprof/goroutine?debug=2", status: 200, want: "Content-Type: ~text/plain", match: "goroutine "},
		{at: "open/admin", target: "/debug/pprof/profile?seconds=1", status: 200, match: "\x1f\x8b"},
		{at: "open/admin", target: "/debug/pprof/trace?seconds=1", status: 200, match: "go 1."},
		{at: "open/admin", target: "/debug/pprof/block?seconds=1&debug=1", status: 200, match: "--- contention"},
		{at: "open/admin", target: "/debug/pprof/mutex", status: 200, match: "\x1f\x8b"},
		{at: "open/admin", method: "HEAD", target: "/debug/pprof/profile", status: 200},
		{at: "open/admin", target: "/debug/pprof/cmdline", status: 404, word: "no-such-route"},
		{at: "open/admin", target: "/debug/pprof/heap?seconds=1", status: 400, word: "bad-request", match: `"parameter":"seconds"`},
		{at: "open/admin", target: "/debug/pprof/profile?seconds=121", status: 400, word: "bad-request", match: `"parameter":"seconds"`},
		{at: "open/admin", target: "/debug/pprof/profile?debug=1", status: 400, word: "bad-request", match: `"parameter":"debug"`},
		{at: "tokens/admin", target: "/debug/pprof/heap", status: 401, word: "unauthenticated"},
		{at: "tokens/admin", target: "/debug/pprof/heap", header: bearer + "metrics-secret", status: 403, word: "forbidden"},
		{at: "tight/admin", target: "/debug/pprof/heap", status: 429, word: "rate-limited"},
	})

// inspectionRows are what the routes without parameters of their own share.
func inspectionRows(target, match string) []contractRow {
	return []contractRow{
		{at: "open/admin", target: target, status: 200, want: "Content-Type: application/json\nCache-Control: no-cache", match: match},
		{at: "open/admin", method: "HEAD", target: target, status: 200},
		{at: "open/admin", target: target + "?x=1", status: 400, word: "bad-request", match: `"parameter":"x"`},
		{at: "open/data", target: target, status: 404, word: "no-such-route"},
		{at: "tokens/admin", target: target, status: 401, word: "unauthenticated"},
		{at: "tokens/admin", target: target, header: bearer + "read-secret", status: 200},
		{at: "tokens/admin", target: target, header: bearer + "ci-secret", status: 403, word: "forbidden"},
	}
}

package http_test

import (
	"slices"
	"strings"
)

const (
	fresh     = "Cache-Status: edgecache; hit; ttl=12\nAge: 0\nETag: ~W/\"\nEdgecache-Index: 890211220766725\nEdgecache-Registry: consul\nCache-Control: ~no-cache"
	indexNow  = "index=890211220766725"
	longName  = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	inConsul  = "/v1/registries/consul"
	bearer    = "Authorization: Bearer "
	lookupURL = "/v1/lookup"
)

var contractLookups = slices.Concat(lookupRows("/v1/services"), lookupRows(inConsul+"/services"), []contractRow{
	// Other answers than a fresh hit.
	{at: "open/data", target: "/v1/services/stale", status: 200, match: `"stale":true`,
		want: "Cache-Status: edgecache; hit; ttl=-40; detail=\"stale-if-error, partial\"\nAge: 70"},
	{at: "open/data", target: "/v1/services/restored", status: 200, match: `"stale":true`,
		want: "Cache-Status: edgecache; hit; ttl=-40; detail=disk\nAge: 70"},
	{at: "open/data", target: "/v1/services/restored-down", status: 200, want: "Cache-Status: edgecache; hit; ttl=-40; detail=\"stale-if-error, disk\""},
	{at: "open/data", target: "/v1/services/missed", status: 200,
		want: "Cache-Status: edgecache; fwd=miss; fwd-status=200; stored; collapsed"},
	{at: "open/data", target: "/v1/services/bare", status: 200, match: `"instances":[]`, want: "Edgecache-Registry: file"},
	{at: "open/data", target: "/v1/services/a%2Fb", status: 200},
	{at: "open/data", target: "/v1/services/a/b", status: 200},
	{at: "open/data", target: "/v1/services/a+b", status: 404, match: `\"a+b\"`},
	{at: "open/data", target: "/v1/services/a%252Fb", status: 404, match: `\"a%2Fb\"`},
	{at: "open/admin", target: lookupWeb, status: 200, want: fresh},
	{at: "open/admin", target: inConsul + "/services/web", status: 200, want: fresh},
	{at: "open/data", target: lookupWeb + "?view=document&version=1.4.3", status: 200, want: "ETag: ~\"", match: `{"v":"1.4.3"}`},
	{at: "cors/data", target: lookupWeb, status: 200, want: "Cache-Control: private, max-age=12"},
	{at: "cors/data", target: lookupWeb, header: "Origin: https://app.example.com", status: 200,
		want: "Access-Control-Allow-Origin: https://app.example.com\nVary: ~Origin"},
	{at: "cors/data", target: lookupWeb, header: "Origin: https://evil.example.com", status: 200, want: "!Access-Control-Allow-Origin"},
	{at: "open/data", target: lookupWeb, header: "Origin: https://app.example.com", status: 200, want: "!Access-Control-Allow-Origin"},

	// Batch.
	{at: "open/data", target: lookupURL, header: jsonType, status: 200, want: "Cache-Control: no-cache",
		body:  `{"services":[{"name":"web"},{"name":"none"},{"name":"web","registry":"consul"},{"name":"broken"}]}`,
		match: `{"results":[{"status":200,"service":{` + "\n" + `{"status":404,"problem":{` + "\n" + `{"status":502,"problem":{`},
	{at: "open/data", target: lookupURL, header: jsonType, status: 200, match: `"id":"web-2"`,
		body: `{"services":[{"name":"web"}],"health":"any","tag":["v1"],"version":"1.4.3","zone":"eu-1b","port":"grpc","filter":"node == \"host-7\"","kind":"service","max_age":"10s"}`},
	{at: "open/admin", target: lookupURL, header: jsonType + "\nEdgecache-Zone: eu-1a\nCache-Control: max-age=60", status: 200, body: `{"services":[{"name":"web"}]}`},
	{at: "cors/data", target: lookupURL, header: jsonType + "\nOrigin: https://app.example.com", status: 200, body: `{"services":[{"name":"web"}]}`,
		want: "Access-Control-Allow-Origin: https://app.example.com"},
	{at: "open/data", target: lookupURL, header: jsonType, status: 400, word: "bad-request", body: `{"services":[{"nam":"web"}]}`, match: `"parameter":"services[0].nam"`},
	{at: "open/data", target: lookupURL, header: jsonType, status: 400, word: "bad-request", body: `{"services":[],"view":"record"}`, match: `"parameter":"view"`},
	{at: "open/data", target: lookupURL, header: jsonType, status: 400, word: "bad-request", body: `{"services":[` + strings.Repeat(`{"name":"a"},`, 1000) + `{"name":"a"}]}`},
	{at: "open/data", target: lookupURL, header: "Content-Type: text/plain", status: 415, word: "media-type", body: `{"services":[]}`},
	{at: "open/data", target: lookupURL, header: jsonType, status: 413, word: "too-large", body: `{"services":[` + strings.Repeat(" ", 64<<10) + `]}`},
	{at: "tokens/data", target: lookupURL, header: jsonType, status: 401, word: "unauthenticated", body: `{"services":[]}`},
	{at: "tokens/data", target: lookupURL, header: jsonType + "\n" + bearer + "metrics-secret", status: 403, word: "forbidden", body: `{"services":[]}`},
})

// lookupRows are what a lookup takes and answers below either prefix.
func lookupRows(under string) []contractRow {
	web := under + "/web"
	ok := func(query, match string) contractRow {
		return contractRow{at: "open/data", target: web + "?" + query, status: 200, want: fresh, match: match}
	}
	bad := func(query, parameter string) contractRow {
		return contractRow{at: "open/data", target: web + "?" + query, status: 400, word: "bad-request", match: `"parameter":"` + parameter + `"`}
	}
	return []contractRow{
		{at: "open/data", target: web, status: 200, want: fresh + "\nEdgecache-Filter: deny=applied, closed=applied\nVary: X-Case\nCache-Control: ~private",
			match: `{"age_ms":412,"stale":false,"name":"web","registry":"consul","kind":"service","revision":"1532","index":890211220766725,"instances":[{"id":"web-1","address":"10.0.0.1","port":8080`},
		{at: "open/data", method: "HEAD", target: web, status: 200, want: fresh + "\nContent-Type: application/json"},
		ok("health=passing", `"id":"web-1"`), ok("health=warning", `"id":"web-2"`), ok("health=any", `"id":"web-3"`),
		ok("tag=v1&tag=v2&health=any", `"instances":[{"id":"web-2"`), ok("version=1.4.3&health=any", `"instances":[{"id":"web-2"`),
		ok("version=latest&health=any", `"instances":[{"id":"web-2"`),
		ok("zone=eu-1b&health=any", `"instances":[{"id":"web-2"`), ok("port=grpc", `"port":9090`), ok("zone=nowhere", `"instances":[]`),
		ok("filter=metadata.canary+==+%22false%22+and+zone+!=+%22eu-1b%22&health=any", `"instances":[{"id":"web-1"`),
		ok("view=record", `"instances"`), ok("kind=service", `"kind":"service"`), ok("max_age=10s", `"age_ms":412`),
		ok("index=1&wait=1s", `"index":890211220766725`), ok(indexNow+"&wait=10ms", `"index":890211220766725`),
		{at: "open/data", target: web + "?view=addresses&health=any", status: 200, want: "ETag: ~\"\nContent-Type: ~text/plain",
			match: "10.0.0.1:8080\n[2001:db8::1]:8080\nunix:/run/web.sock"},
		{at: "open/data", target: web + "?view=document", status: 200, want: "ETag: ~\"\nContent-Type: application/x-raw", match: "\x00raw\xff"},
		{at: "open/data", target: web, header: "If-None-Match: *", status: 304, want: fresh},
		{at: "cors/data", target: web, header: "If-None-Match: *\nOrigin: https://app.example.com", status: 304, want: "Access-Control-Allow-Origin"},
		{at: "open/data", target: web, header: "Edgecache-Zone: eu-1a", status: 200},
		{at: "open/data", target: web, header: "Cache-Control: max-age=60", status: 200},
		{at: "open/data", target: web, header: "Cache-Control: only-if-cached", status: 200},
		{at: "cors/data", target: web, header: "Origin: https://app.example.com", status: 200},

		bad("health=critical", "health"), bad("view=xml", "view"), bad("kind=pod", "kind"), bad("max_age=1", "max_age"),
		bad("wait=1s", "wait"), bad(indexNow+"&wait=24h", "wait"), bad("index=-1", "index"), bad("filter=a+%3C+b", "filter"),
		bad("filter="+strings.Repeat("a", 1025), "filter"), bad("zone=a&zone=b", "zone"), bad("healht=any", "healht"), bad("zone=%zz", "zone"),
		bad("view=document&health=any", "health"), bad("view=document&tag=v1", "tag"), bad("view=document&zone=a", "zone"),
		bad("view=document&port=grpc", "port"), bad("view=document&filter=zone+==+%22a%22", "filter"), bad("version=", "version"),
		{at: "open/data", method: "HEAD", target: web + "?index=1&wait=1s", status: 400},
		{at: "open/data", target: under + "/a%2F%2Fb", status: 400, word: "bad-request", match: `"parameter":"name"`},
		{at: "open/data", target: under + "/%2E%2E", status: 400, word: "bad-request", match: `"parameter":"name"`},
		{at: "open/data", target: under + "/" + strings.Repeat(longName, 6), status: 400, word: "bad-request", match: `"parameter":"name"`},
		{at: "open/data", target: under + "/" + strings.Repeat(longName, 30), status: 414, word: "too-large"},
		{at: "open/data", target: web, header: "X-Long: " + strings.Repeat(longName, 100), status: 431, word: "too-large"},

		{at: "tokens/data", target: web, status: 401, word: "unauthenticated", want: "WWW-Authenticate: ~Bearer"},
		{at: "tokens/data", target: web, header: bearer + "wrong", status: 401, word: "unauthenticated"},
		{at: "tokens/data", target: web, header: bearer + "read-secret", status: 200},
		{at: "tokens/data", target: web, header: bearer + "metrics-secret", status: 403, word: "forbidden"},
		{at: "open/data", target: web, header: "X-Case: denied", status: 403, word: "denied", match: "not for you"},
		{at: "open/data", target: under + "/none", status: 404, word: "not-found", match: `"name":"none"`,
			want: "Edgecache-Index: 890211220766725\nAge: 2\nCache-Status: ~detail=negative\nCache-Control: no-cache"},
		{at: "open/data", target: under + "/none?" + indexNow + "&wait=10ms", status: 404, word: "not-found"},
		{at: "open/data", target: under + "/bare?view=document", status: 404, word: "no-document"},
		{at: "open/data", target: "/v1/registries/nomad/services/web", status: 404, word: "no-such-registry"},
		{at: "tight/data", target: web, status: 429, word: "rate-limited", want: "Retry-After"},
		{at: "open/data", target: under + "/broken", status: 502, word: "registry-failed",
			want: "Retry-After: 3", match: `"registries":[{"registry":"consul","outcome":"down","error":"connection refused"},{"registry":"file","outcome":"absent"}]`},
		{at: "open/data", target: under + "/unsynced", status: 503, word: "unsynced"},
		{at: "open/data", target: web, header: "X-Case: closed", status: 503, word: "filter-failed"},
		{at: "open/data", target: under + "/slow", status: 504, word: "registry-timeout"},
		{at: "open/data", target: web + "?max_age=0s", status: 504, word: "too-old"},
		{at: "open/data", target: web, header: "Cache-Control: no-cache", status: 504, word: "too-old"},
		{at: "open/data", target: under + "/none", header: "Cache-Control: only-if-cached", status: 504, word: "too-old"},
	}
}

var contractLists = slices.Concat(listRows("/v1/services"), listRows(inConsul+"/services"), []contractRow{
	{at: "open/data", target: "/v1/registries/nomad/services", status: 404, word: "no-such-registry"},
	{at: "open/admin", target: "/v1/services", status: 200},

	// Watch.
	{at: "open/data", target: "/v1/watch?service=web&service=none&service=broken", status: 200, want: "Content-Type: text/event-stream",
		match: "event: reset\nevent: upsert\nevent: delete\nevent: unavailable\nevent: synced\nretry: 1000\n\"registry\":\"consul\"\nid: "},
	{at: "open/data", target: "/v1/watch?prefix=service-00&registry=consul&kind=service&health=any&tag=v1&version=1&zone=z&port=http&filter=zone+==+%22a%22&max_age=1m",
		header: "Last-Event-ID: 1\nEdgecache-Zone: a", status: 200, match: "event: reset"},
	{at: "open/admin", target: "/v1/watch?prefix=", status: 200},
	{at: "cors/data", target: "/v1/watch?service=web", header: "Origin: https://app.example.com", status: 200, want: "Access-Control-Allow-Origin\nVary: ~Origin"},
	{at: "open/data", target: "/v1/watch", status: 400, word: "bad-request"},
	{at: "open/data", method: "HEAD", target: "/v1/watch?service=web", status: 400},
	{at: "open/data", target: "/v1/watch?service=web&wait=1s", status: 400, word: "bad-request", match: `"parameter":"wait"`},
	{at: "open/data", target: "/v1/watch?service=a//b", status: 400, word: "bad-request", match: `"parameter":"service"`},
	{at: "open/data", target: "/v1/watch?" + strings.Repeat("service=a&", 1001), status: 431, word: "too-large"},
	{at: "open/data", target: "/v1/watch?registry=nomad&service=web", status: 404, word: "no-such-registry"},
	{at: "tokens/data", target: "/v1/watch?service=web", status: 401, word: "unauthenticated"},
	{at: "tokens/data", target: "/v1/watch?service=web", header: bearer + "ci-secret", status: 403, word: "forbidden"},
	{at: "tight/data", target: "/v1/watch?service=web", status: 429, word: "rate-limited"},
})

// listRows are what a list takes and answers below either path.
func listRows(path string) []contractRow {
	bad := func(query, parameter string) contractRow {
		return contractRow{at: "open/data", target: path + "?" + query, status: 400, word: "bad-request", match: `"parameter":"` + parameter + `"`}
	}
	return []contractRow{
		{at: "open/data", target: path, status: 200, match: `"age_ms":1000,"stale":false,"complete":true,"cursor":"` + "\n" + `{"name":"service-000","registry":"consul","kind":"service"}`,
			want: "Cache-Status: ~edgecache\nAge: 1\nETag: ~W/\"\nEdgecache-Index: 890211220766725\nCache-Control: no-cache\nVary: ~Accept-Encoding\n!Content-Encoding"},
		{at: "open/data", method: "HEAD", target: path, status: 200, want: "Content-Type: application/json"},
		{at: "open/data", target: path + "?prefix=service-29&kind=service&limit=10", status: 200, match: `[{"name":"service-290"` + "\n" + `"service-299"`},
		{at: "open/data", target: path + "?limit=7", status: 200, match: `[{"name":"service-000"`},
		{at: "open/data", target: path + "?limit=7&cursor={cursor}", status: 200, match: `[{"name":"service-007"`},
		{at: "open/data", target: path + "?index=1&wait=1s", status: 200},
		{at: "open/data", target: path + "?" + indexNow + "&wait=10ms", status: 200},
		{at: "open/data", target: path, header: "If-None-Match: *", status: 304, want: "ETag\nAge: 1"},
		{at: "open/data", target: path, header: "Accept-Encoding: gzip", status: 200, want: "Content-Encoding: gzip\nVary: ~Accept-Encoding"},
		{at: "open/data", target: path + "?limit=1", header: "Accept-Encoding: gzip", status: 200, want: "!Content-Encoding"},
		{at: "cors/data", target: path, header: "Origin: https://app.example.com", status: 200, want: "Access-Control-Allow-Origin\nVary: ~Origin"},
		{at: "cors/data", target: path, header: "Origin: https://app.example.com\nIf-None-Match: *", status: 304},
		bad("limit=0", "limit"), bad("limit=1001", "limit"), bad("kind=x", "kind"), bad("cursor=x", "cursor"), bad("health=any", "health"),
		bad("limit=1&limit=2", "limit"), bad("wait=1s", "wait"),
		{at: "tokens/data", target: path, status: 401, word: "unauthenticated"},
		{at: "tokens/data", target: path, header: bearer + "metrics-secret", status: 403, word: "forbidden"},
		{at: "tight/data", target: path, status: 429, word: "rate-limited"},
		{at: "cold/data", target: path, status: 503, word: "not-ready", want: "Retry-After"},
	}
}

var contractFaults = []contractRow{
	{at: "open/data", target: "/healthz", status: 200},
	{at: "open/admin", target: "/healthz", status: 200},
	{at: "tokens/admin", target: "/healthz", status: 200},
	{at: "tokens/data", target: "/healthz", status: 200},
	{at: "open/data", target: "/healthz?x=1", status: 400, word: "bad-request"},
	{at: "open/data", target: "/readyz", status: 200, match: `{"ready":true,"degraded":[]}`},
	{at: "tokens/admin", target: "/readyz", status: 200},
	{at: "cold/data", target: "/readyz", status: 503, match: `{"ready":false,"degraded":["loading"]}`},
	{at: "open/data", target: "/readyz?x=1", status: 400, word: "bad-request"},
	{at: "open/data", target: "/nothing", status: 404, word: "no-such-route"},
	{at: "open/admin", target: "/ui/", status: 404, word: "no-such-route"},
	{at: "open/data", method: "PUT", target: lookupWeb, status: 405, word: "method", want: "Allow: GET, HEAD"},
	{at: "open/data", method: "GET", target: lookupURL, status: 405, word: "method", want: "Allow: POST"},
}

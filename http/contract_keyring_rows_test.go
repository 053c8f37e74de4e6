package http_test

import (
	"slices"
	"strings"

	"github.com/edgecache/edgecache/registry"
)

// contractKeys are what the fake's members have.
var contractKeys = registry.KeyringReport{Done: true, Members: []registry.KeyringMember{{Name: "edge-1", Keys: []string{"9f86d081884c"}, Done: true}}}

var contractKeyring = slices.Concat([]contractRow{
	{at: "open/admin", target: "/v1/keyring", status: 200, match: `{"done":true,"members":[{"name":"edge-1","keys":["9f86d081884c"],"done":true}]}`},
	{at: "cold/admin", target: "/v1/keyring", status: 202, match: `{"done":false,"members":[]}`},
	{at: "open/admin", target: "/v1/keyring?x=1", status: 400, word: "bad-request"},
	{at: "tokens/admin", target: "/v1/keyring", status: 401, word: "unauthenticated"},
	{at: "tokens/admin", target: "/v1/keyring", header: bearer + "read-secret", status: 403, word: "forbidden"},
	{at: "tokens/admin", target: "/v1/keyring", header: bearer + "root-secret", status: 200},
}, keyringRows("install"), keyringRows("use"), keyringRows("remove"))

// keyringRows are what each step takes and refuses.
func keyringRows(step string) []contractRow {
	target := "/v1/keyring/" + step
	return []contractRow{
		{at: "open/admin", target: target, header: jsonType, body: `{"key":"a key of a cluster"}`, status: 200, match: `"done":true`},
		{at: "open/admin", target: target, header: jsonType, body: `{"key":"not for all members"}`, status: 202,
			match: `{"key":"9f86d081884c","done":false,"members":[{"name":"edge-2","keys":[],"done":false,"error":"no answer"}]}`},
		{at: "open/admin", target: target, header: jsonType, body: `{"key":"another"}`, status: 400, word: "bad-request", match: `is in use: use another first`},
		{at: "open/admin", target: target, header: jsonType, body: `{}`, status: 400, word: "bad-request", match: `"parameter":"key"`},
		{at: "open/admin", target: target, header: jsonType, body: `{"key":1}`, status: 400, word: "bad-request", match: `"parameter":"key"`},
		{at: "open/admin", target: target, header: jsonType, body: `{"kye":"a"}`, status: 400, word: "bad-request", match: `known are [key]`},
		{at: "open/admin", target: target + "?key=a", header: jsonType, body: `{"key":"a"}`, status: 400, word: "bad-request"},
		{at: "open/admin", target: target, header: "Content-Type: text/plain", body: `a key of a cluster`, status: 415, word: "media-type"},
		{at: "open/admin", target: target, header: jsonType, body: strings.Repeat(" ", 65<<10), status: 413, word: "too-large"},
		{at: "tokens/admin", target: target, header: jsonType, body: `{"key":"a key of a cluster"}`, status: 401, word: "unauthenticated"},
		{at: "tokens/admin", target: target, header: jsonType + "\n" + bearer + "ci-secret", body: `{"key":"a key of a cluster"}`, status: 403, word: "forbidden"},
		{at: "tokens/admin", target: target, header: jsonType + "\n" + bearer + "root-secret", body: `{"key":"a key of a cluster"}`, status: 200},
	}
}

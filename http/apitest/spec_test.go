package apitest_test

import (
	"errors"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/edgecache/edgecache/http/apitest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCheckFindsWhatIsNotDeclared(t *testing.T) {
	header := func(extra ...string) map[string][]string {
		h := map[string][]string{"Content-Type": {"application/json"}, "Cache-Control": {"no-cache"}}
		for i := 0; i < len(extra); i += 2 {
			h[extra[i]] = []string{extra[i+1]}
		}
		return h
	}
	const ready = `{"ready":true,"degraded":[]}`
	for name, c := range map[string]struct {
		x    apitest.Exchange
		want string // part of the error; "": none
	}{
		"what is declared":   {apitest.Exchange{Method: "GET", Target: "/readyz", Status: 200, Header: header(), Body: []byte(ready)}, ""},
		"a path":             {apitest.Exchange{Method: "GET", Target: "/v2", Status: 200, Header: header()}, "path /v2 is not declared"},
		"a method":           {apitest.Exchange{Method: "POST", Target: "/readyz", Status: 200, Header: header()}, "POST /readyz is not declared"},
		"a status":           {apitest.Exchange{Method: "GET", Target: "/readyz", Status: 201, Header: header()}, "status 201"},
		"a parameter":        {apitest.Exchange{Method: "GET", Target: "/readyz?x=1", Status: 200, Header: header(), Body: []byte(ready)}, "parameter x"},
		"a value":            {apitest.Exchange{Method: "GET", Target: "/v1/services/a?view=xml", Status: 304, Header: header()}, "view=xml"},
		"a header":           {apitest.Exchange{Method: "GET", Target: "/readyz", Status: 200, Header: header("X-New", "1"), Body: []byte(ready)}, "header X-New"},
		"a missing header":   {apitest.Exchange{Method: "GET", Target: "/v1/services/a", Status: 304, Header: header()}, "header Cache-Status is missing"},
		"a field":            {apitest.Exchange{Method: "GET", Target: "/readyz", Status: 200, Header: header(), Body: []byte(`{"ready":true,"degraded":[],"x":1}`)}, "field x"},
		"a missing field":    {apitest.Exchange{Method: "GET", Target: "/readyz", Status: 200, Header: header(), Body: []byte(`{"ready":true}`)}, "degraded is missing"},
		"null for a list":    {apitest.Exchange{Method: "GET", Target: "/readyz", Status: 200, Header: header(), Body: []byte(`{"ready":true,"degraded":null}`)}, "no array"},
		"another item":       {apitest.Exchange{Method: "GET", Target: "/readyz", Status: 200, Header: header(), Body: []byte(`{"ready":true,"degraded":[1]}`)}, "degraded[0]: 1 is no string"},
		"a media type":       {apitest.Exchange{Method: "GET", Target: "/readyz", Status: 200, Header: header("Content-Type", "text/html")}, "media type"},
		"what is no JSON":    {apitest.Exchange{Method: "GET", Target: "/readyz", Status: 200, Header: header(), Body: []byte(`{`)}, "no object"},
		"a field of a body":  {apitest.Exchange{Method: "POST", Target: "/v1/invalidate", Status: 200, Header: header(), RequestBody: []byte(`{"x":1}`)}, "field x"},
		"a body's own value": {apitest.Exchange{Method: "POST", Target: "/v1/invalidate", Status: 200, Header: header(), RequestBody: []byte(`{"mode":"x"}`)}, "x is none of"},
	} {
		s, err := apitest.Load("../../docs/openapi.yaml")
		if err != nil {
			t.Fatal(err)
		}
		got := errors.Join(s.Check(c.x)...)
		if c.want == "" && got != nil || c.want != "" && (got == nil || !strings.Contains(got.Error(), c.want)) {
			t.Errorf("%s: %v, want an error with %q", name, got, c.want)
		}
	}
}

func TestUnseenShrinksWithWhatIsSeen(t *testing.T) {
	s, err := apitest.Load("../../docs/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	before := len(s.Unseen())
	x := apitest.Exchange{
		Method: "GET", Target: "/v1/plugins", Status: 200, Body: []byte(`{"plugins":[]}`),
		Header: map[string][]string{"Content-Type": {"application/json"}, "Cache-Control": {"no-cache"}},
	}
	if err := errors.Join(s.Check(x)...); err != nil {
		t.Fatal(err)
	}
	// The operation, its status, that status's header and its media type.
	if after := len(s.Unseen()); before < 100 || after != before-4 {
		t.Errorf("%d unseen before and %d after, want 4 fewer", before, after)
	}
}

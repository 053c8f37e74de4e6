package http

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/edgecache/edgecache/registry"
)

// oneRecord answers every name with one record, like a hit.
type oneRecord struct {
	registry.Engine
	answer registry.Answer
}

func (e *oneRecord) Lookup(context.Context, *registry.Query) (registry.Answer, error) {
	return e.answer, nil
}

func testRecord(instances int) *registry.Record {
	rec := &registry.Record{Key: registry.Key{Registry: "consul", Name: "web"}, Kind: registry.KindService}
	for i := range instances {
		rec.Instances = append(rec.Instances, registry.Instance{
			ID: fmt.Sprintf("web-%d", i), Health: registry.HealthPassing, Weight: registry.DefaultWeight, Zone: "eu-1" + string(rune('a'+i%3)),
			Tags: []string{"v1"}, Metadata: registry.MetadataOf(map[string]string{"canary": "false"}),
			Endpoints: []registry.Endpoint{{Address: fmt.Sprintf("10.0.0.%d", i%250), Port: 8080}},
		})
	}
	rec.Seal(890211220766725)
	return rec
}

func hitPort(tb testing.TB, stale bool) *port {
	tb.Helper()
	a := registry.Answer{
		Record: testRecord(4), Kind: registry.KindService, Index: 890211220766725,
		Age: 412 * time.Millisecond, TTL: 12 * time.Second, Hit: true,
	}
	if stale {
		a.Stale, a.TTL, a.Details = true, -40*time.Second, registry.DetailSIE
	}
	s, err := New(Defaults(), AdminDefaults(), Deps{
		Answerer: &registry.Answerer{Engine: &oneRecord{answer: a}}, Control: noControl{},
		Ready: func() (bool, []string) { return true, nil },
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s.data
}

type noControl struct{ Control }

// request returns a context that holds a parsed request.
func request(tb testing.TB, lines ...string) *fasthttp.RequestCtx {
	tb.Helper()
	ctx := &fasthttp.RequestCtx{}
	raw := strings.Join(append(lines, "Host: edge", "User-Agent: test", "Accept: */*"), "\r\n") + "\r\n\r\n"
	if err := ctx.Request.Header.Read(bufio.NewReader(strings.NewReader(raw))); err != nil {
		tb.Fatal(err)
	}
	return ctx
}

func TestHitAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools drop what they hold")
	}
	etag := testRecord(4).Fragments().ETag()
	for name, c := range map[string]struct {
		stale  bool
		lines  []string
		status int
	}{
		"hit":           {false, []string{"GET /v1/services/web HTTP/1.1"}, 200},
		"one registry":  {false, []string{"GET /v1/registries/consul/services/web HTTP/1.1"}, 200},
		"encoded name":  {false, []string{"GET /v1/services/a%2Fb HTTP/1.1"}, 200},
		"stale hit":     {true, []string{"GET /v1/services/web HTTP/1.1"}, 200},
		"not modified":  {false, []string{"GET /v1/services/web HTTP/1.1", "If-None-Match: " + etag}, 304},
		"head":          {false, []string{"HEAD /v1/services/web HTTP/1.1"}, 200},
		"selected":      {false, []string{"GET /v1/services/web?zone=eu-1a&tag=v1 HTTP/1.1"}, 200},
		"filtered":      {false, []string{"GET /v1/services/web?filter=zone%20%3D%3D%20%22eu-1a%22 HTTP/1.1"}, 200},
		"cache control": {false, []string{"GET /v1/services/web HTTP/1.1", "Cache-Control: max-age=60"}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			p := hitPort(t, c.stale)
			ctx := request(t, c.lines...)
			serve := func() {
				ctx.Response.Reset()
				p.serve(ctx)
			}
			serve()
			if got := ctx.Response.StatusCode(); got != c.status {
				t.Fatalf("status %d, want %d: %s", got, c.status, ctx.Response.Body())
			}
			if n := testing.AllocsPerRun(1000, serve); n != 0 {
				t.Errorf("%v allocations, want 0", n)
			}
		})
	}
}

func BenchmarkHit(b *testing.B) {
	p := hitPort(b, false)
	for name, line := range map[string]string{
		"plain":    "GET /v1/services/web HTTP/1.1",
		"selected": "GET /v1/services/web?zone=eu-1a&tag=v1 HTTP/1.1",
		"filtered": "GET /v1/services/web?filter=zone%20%3D%3D%20%22eu-1a%22 HTTP/1.1",
	} {
		b.Run(name, func(b *testing.B) {
			ctx := request(b, line)
			b.ReportAllocs()
			for b.Loop() {
				ctx.Response.Reset()
				p.serve(ctx)
			}
		})
	}
	b.Run("bare", func(b *testing.B) {
		ctx := request(b, "GET /v1/services/web HTTP/1.1")
		p.serve(ctx)
		body := append([]byte(nil), ctx.Response.Body()...)
		type header struct{ key, value []byte }
		var headers []header
		for k, v := range ctx.Response.Header.All() {
			headers = append(headers, header{append([]byte(nil), k...), append([]byte(nil), v...)})
		}
		bare := func(ctx *fasthttp.RequestCtx) {
			for i := range headers {
				ctx.Response.Header.SetCanonical(headers[i].key, headers[i].value)
			}
			ctx.Response.SetBody(body)
		}
		b.ReportAllocs()
		for b.Loop() {
			ctx.Response.Reset()
			bare(ctx)
		}
	})
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// quickRegistry is a registry to fill from: asked as often as there are
// misses, and found again soon when it comes back.
const quickRegistry = `  - {name: origin, type: httpjson, address: "http://%s", path: "` + originPath + `{name}", ttl: 1h, rate: 0, retries: 0, recheck: {min: 250ms, max: 1s}}
`

// A quickOrigin says the same as an origin with less work, so that filling a
// node from it takes little of the load's core.
type quickOrigin struct {
	address string
	server  *fasthttp.Server
}

// newQuickOrigin returns one that is up until down or the bench is closed.
func (b *bench) newQuickOrigin() (*quickOrigin, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	before, after, _ := strings.Cut(document, `"web"`)
	o := &quickOrigin{address: listener.Addr().String(), server: &fasthttp.Server{
		NoDefaultServerHeader: true,
		Handler: func(ctx *fasthttp.RequestCtx) {
			asked, ok := strings.CutPrefix(string(ctx.Path()), originPath)
			if !ok {
				ctx.NotFound()
				return
			}
			ctx.SetContentType("application/json")
			body := append(ctx.Response.SwapBody(nil)[:0], before...)
			body = fmt.Appendf(body, "%q", asked)
			ctx.Response.SwapBody(append(body, after...))
		},
	}}
	go func() { _ = o.server.Serve(listener) }() // ends with down
	b.stops = append(b.stops, o.down)
	return o, nil
}

// down refuses connections and ends those that are open.
func (o *quickOrigin) down() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	if err := o.server.ShutdownWithContext(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// A crawl looks up the names from..to of a node, each once.
type crawl struct {
	url      string // of the node's data port
	name     func(i int) string
	from, to int
	rate     float64 // names a second; 0: as fast as it goes
	callers  int
}

// run returns how many names were answered before ctx ended, and the error of
// the first that was not answered well.
func (c crawl) run(ctx context.Context) (done int, err error) {
	client := &fasthttp.HostClient{Addr: strings.TrimPrefix(c.url, "http://"), MaxConns: c.callers, ReadTimeout: startLimit, NoDefaultUserAgentHeader: true}
	defer client.CloseIdleConnections()
	counts, errs := make([]int, c.callers), make([]error, c.callers)
	began := time.Now()
	var crawling sync.WaitGroup
	for w := range c.callers {
		crawling.Go(func() {
			req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			defer fasthttp.ReleaseRequest(req)
			defer fasthttp.ReleaseResponse(resp)
			for i := c.from + w; i < c.to && ctx.Err() == nil; i += c.callers {
				if c.rate > 0 {
					due := began.Add(time.Duration(float64(i-c.from) / c.rate * float64(time.Second)))
					if !pause(ctx, time.Until(due)) {
						return
					}
				}
				req.SetRequestURI(c.url + "/v1/services/" + c.name(i))
				if err := client.Do(req, resp); err != nil {
					errs[w] = err
					return
				}
				if resp.StatusCode() != fasthttp.StatusOK {
					errs[w] = fmt.Errorf("%s: status %d: %.200s", c.name(i), resp.StatusCode(), resp.Body())
					return
				}
				counts[w]++
			}
		})
	}
	crawling.Wait()
	for _, n := range counts {
		done += n
	}
	return done, errors.Join(errs...)
}

// pause waits; false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func crawlName(i int) string { return fmt.Sprintf("service-%07d", i) }

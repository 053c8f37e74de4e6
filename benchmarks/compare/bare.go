package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/edgecache/edgecache/registry/registrytest"
)

// A captured is an answer of a node, as the bare handler repeats it.
type captured struct {
	Address string      `json:"address"` // where to listen
	Headers [][2]string `json:"headers"`
	Body    []byte      `json:"body"`
}

// startBare runs a bare fasthttp server that repeats a node's answer to every
// request, and returns its URL.
func (b *bench) startBare(ctx context.Context, label, url string) (string, error) {
	body, header, err := get(url)
	if err != nil {
		return "", err
	}
	ports, err := registrytest.FreePorts(1)
	if err != nil {
		return "", err
	}
	c := captured{Address: "127.0.0.1:" + ports[0], Body: body}
	for key, values := range header {
		switch key {
		case "Date", "Content-Length", "Connection": // fasthttp's own, there and here
		default:
			for _, v := range values {
				c.Headers = append(c.Headers, [2]string{key, v})
			}
		}
	}
	text, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	path, err := b.write(label+".json", string(text))
	if err != nil {
		return "", err
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	bare := strings.Replace(url, url[:strings.Index(url, "/v1/")], "http://"+c.Address, 1)
	same := func() error {
		got, h, err := get(bare)
		switch {
		case err != nil:
			return err
		case string(got) != string(body):
			return fmt.Errorf("the bare handler's body differs: %q", got)
		case len(h) != len(header):
			return fmt.Errorf("the bare handler's headers differ: %v, the node's are %v", h, header)
		}
		return nil
	}
	_, err = b.start(ctx, same, self, "bare", path)
	return bare, err
}

// serveBare is the child: a fasthttp server with the options of a node's data
// port and a handler that only writes.
func serveBare(ctx context.Context, args []string) error {
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var c captured
	if err := json.Unmarshal(text, &c); err != nil {
		return err
	}
	type header struct{ key, value []byte }
	var headers []header
	var contentType []byte
	for _, h := range c.Headers {
		if h[0] == fasthttp.HeaderContentType {
			contentType = []byte(h[1])
			continue
		}
		headers = append(headers, header{[]byte(h[0]), []byte(h[1])})
	}
	server := &fasthttp.Server{
		Handler: func(ctx *fasthttp.RequestCtx) {
			h := &ctx.Response.Header
			for i := range headers {
				h.SetCanonical(headers[i].key, headers[i].value)
			}
			h.SetContentTypeBytes(contentType)
			ctx.Response.SetBodyRaw(c.Body)
		},
		Concurrency:                  1 << 30,
		ReadBufferSize:               8 << 10,
		WriteBufferSize:              4 << 10,
		ReadTimeout:                  5 * time.Second,
		IdleTimeout:                  75 * time.Second,
		MaxRequestBodySize:           1 << 20,
		DisablePreParseMultipartForm: true,
		SecureErrorLogMessage:        true,
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
	}
	go func() {
		<-ctx.Done()
		_ = server.Shutdown() // the process ends anyway
	}()
	return server.ListenAndServe(c.Address)
}

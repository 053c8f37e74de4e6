package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/edgecache/edgecache/plugins"
)

// What an adapter is asked in each round, and how many instances each answer has.
const (
	adapterCalls     = 3_000
	adapterInstances = 8
)

// adapterOver measures lookups through the adapter that `edgecache plugin new`
// makes in a language, which sends one request and reads an answer of JSON, less
// what that request takes by itself.
func adapterOver(language string) func(context.Context, *bench) (result, error) {
	return func(ctx context.Context, b *bench) (result, error) {
		module, err := b.newAdapter(ctx, language)
		if err != nil {
			return result{}, err
		}
		upstream, err := b.newInstanceServer()
		if err != nil {
			return result{}, err
		}
		h, err := plugins.NewHost(nil, plugins.HostOptions{})
		if err != nil {
			return result{}, err
		}
		defer h.Close()
		o := plugins.AdapterDefaults()
		o.Name, o.Plugin, o.Config, o.Allow = "figure", module, map[string]any{"url": upstream}, []string{upstream}
		a, err := h.OpenAdapter(o)
		if err != nil {
			return result{}, err
		}
		defer func() { _ = a.Close() }() // it waits for its calls
		through := func() error {
			rec, err := a.Lookup(ctx, name, nil)
			if err == nil && len(rec.Instances) != adapterInstances {
				err = fmt.Errorf("%d instances, want %d", len(rec.Instances), adapterInstances)
			}
			return err
		}
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		return b.over(ctx, through, func() error { return fetch(client, upstream+"/"+name) })
	}
}

// over measures what one call costs more than another, in microseconds, in turn.
func (b *bench) over(ctx context.Context, one, other func() error) (result, error) {
	var over, alone []float64
	for round := range b.rounds + 1 {
		with, err := perCall(ctx, one)
		if err != nil {
			return result{}, err
		}
		without, err := perCall(ctx, other)
		if err != nil {
			return result{}, err
		}
		if round == 0 { // connections, pools and caches fill
			continue
		}
		over, alone = append(over, with-without), append(alone, without)
		b.progress("  %d/%d %.1f us, %.1f without the guest", round, b.rounds, with, without)
	}
	r := result{note: fmt.Sprintf("the request alone takes %.1f µs", median(alone))}
	r.summarise(over)
	return r, nil
}

func perCall(ctx context.Context, call func() error) (float64, error) {
	began := time.Now()
	for range adapterCalls {
		if err := errors.Join(ctx.Err(), call()); err != nil {
			return 0, err
		}
	}
	return float64(time.Since(began).Microseconds()) / adapterCalls, nil
}

func fetch(client *http.Client, url string) error {
	res, err := client.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.ReadAll(res.Body)
	return err
}

// newAdapter makes an adapter as a newcomer does, and returns its module.
func (b *bench) newAdapter(ctx context.Context, language string) (string, error) {
	dir := filepath.Join(b.dir, "adapter-"+language)
	for _, args := range [][]string{{"new", "--kind", "adapter", "--lang", language, "--dir", dir, "mine"}, {"build", dir}} {
		c := exec.CommandContext(ctx, b.program, append([]string{"plugin"}, args...)...)
		c.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":"+filepath.Join(b.examples(), "node_modules", ".bin"))
		out, err := c.CombinedOutput()
		if strings.Contains(string(out), "is not installed here") {
			return "", missing("the toolchain", oneLine(errors.New(string(out))))
		}
		if err != nil {
			return "", fmt.Errorf("plugin %s: %w: %s", args[0], err, out)
		}
	}
	return filepath.Join(dir, "mine.wasm"), nil
}

// newInstanceServer returns the URL of a server that says the same of any name.
func (b *bench) newInstanceServer() (string, error) {
	var list strings.Builder
	for i := range adapterInstances {
		fmt.Fprintf(&list, `%c{"id":"web-%02d","host":"10.0.0.%d","port":8080,"zone":"eu-1%c"}`, "[,"[min(i, 1)], i, i, 'a'+i%3)
	}
	body := list.String() + "]"
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType("application/json")
		ctx.SetBodyString(body)
	}}
	go func() { _ = server.Serve(listener) }() // ends with Shutdown
	b.stops = append(b.stops, server.Shutdown)
	return "http://" + listener.Addr().String(), nil
}

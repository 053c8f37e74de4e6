package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const crowd = 10_000

// wakeHTTP measures, per round, the time from the moment when the registry
// begins to answer a fill to the moment when the last of all callers, each on a
// connection of its own, has read its answer.
func wakeHTTP(ctx context.Context, b *bench) (result, error) {
	h := newHold()
	o, err := b.newOrigin(h.wait)
	if err != nil {
		return result{}, err
	}
	n, err := b.startNode(ctx, "wake", fmt.Sprintf(slowRegistry, o.address))
	if err != nil {
		return result{}, err
	}
	r := result{note: fmt.Sprintf("%d connections to one node on one core; it includes writing and reading all answers", crowd)}
	var last []float64
	for round := range b.rounds {
		service := fmt.Sprintf("wake-%d", round)
		took, err := wakeOnce(ctx, n, h, service)
		if err != nil {
			return r, err
		}
		if calls := o.count(service); calls != 1 {
			return r, fmt.Errorf("%d calls of the registry for one fill", calls)
		}
		b.progress("  %d/%d last after %s", round+1, b.rounds, took.Round(10*time.Microsecond))
		last = append(last, float64(took)/float64(time.Millisecond))
	}
	r.summarise(last)
	return r, nil
}

// slowRegistry may take long to answer.
const slowRegistry = `  - {name: origin, type: httpjson, address: "http://%s", path: "` + originPath + `{name}", ttl: 1h, timeout: 20s}
`

// A hold keeps calls of an origin until release.
type hold struct {
	mu   sync.Mutex // protects the field below
	open chan struct{}
}

func newHold() *hold { return &hold{open: make(chan struct{})} }

func (h *hold) wait(ctx context.Context, _ string) {
	h.mu.Lock()
	open := h.open
	h.mu.Unlock()
	select {
	case <-open:
	case <-ctx.Done():
	}
}

// release lets calls through and holds the next ones. It returns when.
func (h *hold) release() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	began := time.Now()
	close(h.open)
	h.open = make(chan struct{})
	return began
}

// gathering is how long all requests may take to reach the node before the
// registry answers: less than the node's limit for one request.
const gathering = 2 * time.Second

func wakeOnce(ctx context.Context, n *node, h *hold, service string) (time.Duration, error) {
	address := strings.TrimPrefix(n.data, "http://")
	request := "GET /v1/services/" + service + " HTTP/1.1\r\nHost: " + address + "\r\n\r\n"
	conns, err := dialCrowd(ctx, address)
	if err != nil {
		return 0, err
	}
	defer closeAll(conns)
	began := time.Now()
	for _, c := range conns {
		if err := c.SetDeadline(began.Add(20 * time.Second)); err != nil {
			return 0, err
		}
		if _, err := io.WriteString(c, request); err != nil {
			return 0, err
		}
	}
	ends, errs := make([]time.Time, crowd), make([]error, crowd)
	var readers sync.WaitGroup
	for i, c := range conns {
		readers.Go(func() {
			buf := make([]byte, 4<<10)
			got, err := c.Read(buf)
			ends[i] = time.Now()
			if err == nil {
				err = checkAnswer(buf[:got], c)
			}
			errs[i] = err
		})
	}
	select {
	case <-time.After(time.Until(began.Add(gathering))):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	released := h.release()
	readers.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, firstOf(err)
	}
	var last time.Duration
	for _, end := range ends {
		if end.Before(released) {
			return 0, errors.New("a caller was answered before the registry was")
		}
		last = max(last, end.Sub(released))
	}
	return last, nil
}

// dialCrowd opens a connection for each caller.
func dialCrowd(ctx context.Context, address string) ([]net.Conn, error) {
	var dialer net.Dialer
	conns := make([]net.Conn, 0, crowd)
	for range crowd {
		c, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			closeAll(conns)
			return nil, fmt.Errorf("connection %d of %d: %w", len(conns)+1, crowd, err)
		}
		conns = append(conns, c)
	}
	return conns, nil
}

func closeAll(conns []net.Conn) {
	for _, c := range conns {
		_ = c.Close() // answered, or given up
	}
}

// checkAnswer reads the rest of an answer that begins with head.
func checkAnswer(head []byte, rest io.Reader) error {
	resp, err := http.ReadResponse(bufio.NewReader(io.MultiReader(strings.NewReader(string(head)), rest)), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// firstOf cuts ten thousand joined errors down to the first.
func firstOf(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all := joined.Unwrap()
		return fmt.Errorf("%d callers failed, the first: %w", len(all), all[0])
	}
	return err
}

// coalesce sends requests for one cold name to three nodes over fewer
// connections and counts what reaches the registry.
func coalesce(ctx context.Context, b *bench) (result, error) {
	const nodes, connections = 3, 150
	o, err := b.newOrigin(func(ctx context.Context, _ string) {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	})
	if err != nil {
		return result{}, err
	}
	all, err := b.startCluster(ctx, "coalesce", fmt.Sprintf(slowRegistry, o.address), nodes)
	if err != nil {
		return result{}, err
	}
	const each = connections / nodes // each node is a host of its own
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxConnsPerHost: each, MaxIdleConnsPerHost: each}}
	defer client.CloseIdleConnections()
	errs := make([]error, crowd)
	var callers sync.WaitGroup
	for i := range crowd {
		callers.Go(func() {
			resp, err := client.Get(all[i%nodes].service("cold"))
			if err != nil {
				errs[i] = err
				return
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				errs[i] = fmt.Errorf("status %d", resp.StatusCode)
			}
			_, _ = io.Copy(io.Discard, resp.Body) // so that the connection is used again
		})
	}
	callers.Wait()
	if err := errors.Join(errs...); err != nil {
		return result{}, firstOf(err)
	}
	r := result{note: "three processes, which share two cores with the callers"}
	r.summarise([]float64{float64(o.count("cold"))})
	return r, nil
}

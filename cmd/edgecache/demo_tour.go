package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/edgecache/edgecache/client"
	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/consul/consultest"
)

const (
	// Nothing but the tour changes these.
	tourService        = "checkout"
	tourPath           = "/v1/services/" + tourService
	invalidatedService = "refunds"
	invalidatedPath    = "/v1/services/" + invalidatedService

	burstSize = 1000
	stepLimit = 10 * time.Second // a step that does not show its point by then failed
)

// A tour shows what the nodes do. All it prints was answered over HTTP; each
// step checks that it shows what it claims.
type tour struct {
	g           *globals
	upstream    *consultest.Server
	fleet       *fleet
	nodes       []*node
	base, admin string // URLs of the first node's ports
	http        *http.Client
	bold        bool
}

func newTour(g *globals, nodes []*node, upstream *consultest.Server, fleet *fleet, bold bool) *tour {
	return &tour{
		g: g, upstream: upstream, fleet: fleet, nodes: nodes,
		base: "http://" + nodes[0].server.Addr(), admin: "http://" + nodes[0].server.AdminAddr(),
		http: &http.Client{Transport: &http.Transport{}, Timeout: stepLimit},
		bold: bold,
	}
}

func (t *tour) run(ctx context.Context) error {
	defer t.http.CloseIdleConnections()
	if err := t.gather(ctx); err != nil {
		return fmt.Errorf("the nodes do not find each other: %w", err)
	}
	fmt.Fprintln(t.g.stdout, "The tour. Every command can be copied; answers are real, headers and bodies cut short.")
	for i, step := range []struct {
		title string
		show  func(context.Context) error
	}{
		{"The first lookup is a miss: the registry is asked", t.miss},
		{"From then on it is answered from memory", t.hits},
		{"A change arrives by watch", t.change},
		{"An invalidation: the next lookup asks the registry again", t.invalidation},
		{"All three nodes have it before the answer is given", t.everywhere},
		{"A node is cut off: it says so, and is waited for no longer than it must", t.cut},
		{"The registry is killed, and lookups go on", t.outage},
		{"The registry returns, with a change made meanwhile", t.comeback},
	} {
		title := fmt.Sprintf("%d. %s", i+1, step.title)
		if t.bold {
			title = "\x1b[1m" + title + "\x1b[0m"
		}
		fmt.Fprintf(t.g.stdout, "\n\n%s\n", title)
		limited, cancel := context.WithTimeout(ctx, stepLimit)
		err := step.show(limited)
		cancel()
		if err != nil {
			return fmt.Errorf("tour, step %d: %w", i+1, err)
		}
	}
	return nil
}

func (t *tour) farewell() {
	fmt.Fprintf(t.g.stdout, `
Nodes and registry stay up, and the services go on changing, until Ctrl-C. Try:

  edgecache watch --prefix '' --address %[2]s
  edgecache top --address %[2]s
  edgecache list --prefix p --address %[2]s
  edgecache get %[3]s --filter 'metadata.canary == "true"' --address %[2]s
  curl -i '%[1]s/v1/services/payments?zone=eu-1a&view=addresses'
  curl -X POST -H 'Content-Type: application/json' -d '{"all":true,"mode":"soft"}' %[2]s/v1/invalidate
`, t.base, t.admin, tourService)
}

// say prints a remark of the tour itself.
func (t *tour) say(format string, args ...any) {
	fmt.Fprintf(t.g.stdout, "  # "+format+"\n", args...)
}

// expect returns an error unless ok.
func expect(ok bool, a reply, want string) error {
	if ok {
		return nil
	}
	return fmt.Errorf("%s expected, the answer was %d with Cache-Status %q", want, a.status, a.cacheStatus())
}

func (t *tour) miss(ctx context.Context) error {
	a, err := t.curl(ctx, tourPath)
	if err != nil {
		return err
	}
	return expect(a.status == 200 && a.has("fwd="), a, "a miss")
}

func (t *tour) hits(ctx context.Context) error {
	a, err := t.curl(ctx, tourPath)
	if err != nil {
		return err
	}
	if err := expect(a.status == 200 && a.has("hit"), a, "a hit"); err != nil {
		return err
	}
	if err := t.burst(ctx, "hit"); err != nil {
		return err
	}
	return t.edgecache(ctx, "get", tourService, "--zone", fleetZones[0])
}

func (t *tour) change(ctx context.Context) error {
	follow := t.follow(ctx, "watch", tourService)
	defer follow.stop()
	if err := follow.until(ctx, "synced"); err != nil {
		return err
	}
	began := time.Now()
	id := t.fleet.add(tourService)
	t.say("now %s is registered", id)
	if err := follow.until(ctx, "+"+id); err != nil {
		return err
	}
	t.say("seen %s after the registry was told; as events:", short(time.Since(began)))
	t.say("curl -N '%s/v1/watch?service=%s'", t.base, tourService)
	return nil
}

func (t *tour) invalidation(ctx context.Context) error {
	// Another service than the one watched in the step before: a watcher that
	// still hangs on would ask first.
	if _, err := t.get(ctx, invalidatedPath); err != nil {
		return err
	}
	// Its watch begins with a read of its own, which must not come after the
	// invalidation and serve as the question.
	err := t.poll(ctx, func() (bool, error) {
		live := 0
		for _, n := range t.nodes {
			for _, r := range n.cache.Registries() {
				live += r.Watch.Live
			}
		}
		return live >= 2, nil
	})
	if err != nil {
		return err
	}
	if err := t.edgecache(ctx, "invalidate", invalidatedService); err != nil {
		return err
	}
	a, err := t.curl(ctx, invalidatedPath)
	if err != nil {
		return err
	}
	return expect(a.status == 200 && !strings.Contains(a.body, `"stale":true`) && strings.Contains(a.cacheStatus(), "fwd="), a,
		"a fresh answer that the registry was asked for")
}

func (t *tour) outage(ctx context.Context) error {
	t.upstream.Stop()
	t.say("killed: %s refuses connections", t.upstream.URL())
	began, asked, stale := time.Now(), 0, 0
	err := t.poll(ctx, func() (bool, error) {
		asked++
		a, err := t.get(ctx, tourPath)
		if err != nil {
			return false, err
		}
		if err := expect(a.status == 200, a, "an answer from memory"); err != nil {
			return false, err
		}
		if stale++; !a.has("stale-if-error") {
			stale = 0
		}
		if stale < 3 { // what was on its way when the registry ended may still come
			return false, nil
		}
		return t.down(ctx)
	})
	if err != nil {
		return err
	}
	t.say("%s later: %d lookups so far, all answered. What cannot be confirmed any more says so:", short(time.Since(began)), asked)
	a, err := t.curl(ctx, tourPath)
	if err != nil {
		return err
	}
	if err := expect(a.status == 200 && a.has("stale-if-error"), a, "detail=stale-if-error"); err != nil {
		return err
	}
	if err := t.burst(ctx, "stale-if-error"); err != nil {
		return err
	}
	return t.edgecache(ctx, "status")
}

// down reports whether the node knows that its registry is down.
func (t *tour) down(ctx context.Context) (bool, error) {
	r, err := t.registry(ctx)
	return r.State == "down", err
}

// registry returns the node's view of its registry.
func (t *tour) registry(ctx context.Context) (registry.RegistryStatus, error) {
	var none registry.RegistryStatus
	c, err := client.New(client.Options{Address: t.admin})
	if err != nil {
		return none, err
	}
	defer c.Close()
	all, err := c.Registries(ctx)
	if err != nil || len(all) != 1 {
		return none, err
	}
	return all[0], nil
}

func (t *tour) comeback(ctx context.Context) error {
	id := t.fleet.add(tourService)
	if err := t.upstream.Start(); err != nil {
		return err
	}
	began := time.Now()
	t.say("it is back, and has learned of %s", id)
	err := t.poll(ctx, func() (bool, error) {
		a, err := t.get(ctx, tourPath)
		if err != nil {
			return false, err
		}
		fresh := strings.Contains(a.body, id) && strings.Contains(a.body, `"stale":false`)
		return fresh, expect(a.status == 200, a, "an answer")
	})
	if err != nil {
		return err
	}
	t.say("%s later the node knows, too:", short(time.Since(began)))
	a, err := t.curl(ctx, tourPath)
	if err != nil {
		return err
	}
	if err := expect(strings.Contains(a.body, id) && !a.has("stale-if-error"), a, "a fresh answer with "+id); err != nil {
		return err
	}
	return t.edgecache(ctx, "get", tourService)
}

// poll calls look until it is done or ctx ends.
func (t *tour) poll(ctx context.Context, look func() (done bool, err error)) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if done, err := look(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("did not happen in time: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// burst looks the service up many times over one connection and tells how
// long it took. Cache-Status must hold the word, but for a few: a machine that
// stands still for a moment outlasts the demo's short windows.
func (t *tour) burst(ctx context.Context, word string) error {
	took, others := make([]time.Duration, burstSize), 0
	for i := range took {
		began := time.Now()
		a, err := t.get(ctx, tourPath)
		if err != nil {
			return err
		}
		took[i] = time.Since(began)
		if !a.has(word) {
			others++
		}
		if err := expect(a.status == 200 && others <= burstSize/10, a, word); err != nil {
			return err
		}
	}
	slices.Sort(took)
	all := "all"
	if others > 0 {
		all = fmt.Sprintf("%d", burstSize-others)
	}
	t.say("%d lookups one after the other: %s %s, median %s, 99%% within %s", burstSize, all, word,
		short(took[burstSize/2]), short(took[burstSize*99/100]))
	return nil
}

// A reply is what the node answered.
type reply struct {
	status int
	header http.Header
	body   string
}

func (a reply) cacheStatus() string  { return a.header.Get("Cache-Status") }
func (a reply) has(word string) bool { return strings.Contains(a.cacheStatus(), word) }

func (t *tour) get(ctx context.Context, path string) (reply, error) {
	return t.getAt(ctx, t.base, path)
}

func (t *tour) getAt(ctx context.Context, base, path string) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
	if err != nil {
		return reply{}, err
	}
	resp, err := t.http.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(body)}, err
}

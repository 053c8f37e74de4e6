package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/edgecache/edgecache/client"
	"github.com/edgecache/edgecache/registry/registrytest"
)

// changes is how many samples a run takes; they go round the services, since a
// node asks for one service five times a second at most.
const (
	changes         = 300
	changedServices = 20
)

const consulRegistry = `  - {name: consul, type: consul, address: ["http://%s"]}
`

// consulChange writes to a real Consul and waits for the event on a watch of a
// node. The time is counted from before the write is sent.
func consulChange(ctx context.Context, b *bench) (result, error) {
	consul, err := b.startConsul(ctx)
	if err != nil {
		return result{}, err
	}
	var names []string
	for i := range changedServices {
		names = append(names, fmt.Sprintf("service-%d", i))
		if err := register(ctx, consul, names[i], "start"); err != nil {
			return result{}, err
		}
	}
	n, err := b.startNode(ctx, "consul", fmt.Sprintf(consulRegistry, consul))
	if err != nil {
		return result{}, err
	}
	for _, name := range names {
		if _, err := n.hits(ctx, n.service(name)); err != nil {
			return result{}, err
		}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	seen, err := follow(ctx, n, names)
	if err != nil {
		return result{}, err
	}
	var took []float64
	for i := range changes {
		mark := sighting{names[i%len(names)], fmt.Sprint(i)}
		began := time.Now()
		if err := register(ctx, consul, mark.name, mark.mark); err != nil {
			return result{}, err
		}
		if err := await(ctx, seen, mark); err != nil {
			return result{}, fmt.Errorf("change %d: %w", i, err)
		}
		took = append(took, float64(time.Since(began))/float64(time.Millisecond))
	}
	q := quantiles(took, 0.5, 0.99, 1)
	b.progress("  %d changes: median %.1f ms, 99%% %.1f ms, worst %.1f ms", changes, q[0], q[1], q[2])
	return result{value: q[1], quartile: [2]float64{q[1], q[1]},
		note: fmt.Sprintf("%d changes of %d services, median %.1f ms, worst %.1f ms; the write to Consul is part of it", changes, len(names), q[0], q[2])}, nil
}

// startConsul returns the address of a development agent, in memory only.
func (b *bench) startConsul(ctx context.Context) (string, error) {
	program, err := filepath.Abs("../.tools/consul/usr/bin/consul")
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(program); err != nil {
		return "", missing("Consul", "scripts/install-consul installs it")
	}
	ports, err := registrytest.FreePorts(4)
	if err != nil {
		return "", err
	}
	address := "127.0.0.1:" + ports[0]
	leads := func() error {
		body, _, err := get("http://" + address + "/v1/status/leader")
		if err == nil && len(body) < 5 {
			err = fmt.Errorf("consul has no leader: %s", body)
		}
		return err
	}
	_, err = b.start(ctx, leads, program, "agent", "-dev", "-bind", "127.0.0.1", "-log-level", "warn", "-http-port", ports[0],
		"-server-port", ports[1], "-serf-lan-port", ports[2], "-serf-wan-port", ports[3], "-dns-port", "-1", "-grpc-port", "-1")
	return address, err
}

// register puts a service into Consul, with a mark in its metadata.
func register(ctx context.Context, consul, name, mark string) error {
	body := fmt.Sprintf(`{"ID":"%[1]s-1","Name":%[1]q,"Address":"10.0.0.1","Port":8080,"Meta":{"mark":%[2]q}}`, name, mark)
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+consul+"/v1/agent/service/register", bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("consul: status %d: %s", resp.StatusCode, said)
	}
	return err
}

// A sighting is a mark that a watch saw.
type sighting struct{ name, mark string }

// follow watches services on a node and hands over the marks it sees. It
// returns once the watch has seen every service.
func follow(ctx context.Context, n *node, names []string) (<-chan sighting, error) {
	c, err := client.New(client.Options{Address: n.data})
	if err != nil {
		return nil, err
	}
	seen := make(chan sighting, 64)
	go func() {
		defer close(seen)
		defer c.Close()
		for e, err := range c.Watch(ctx, client.WatchQuery{Services: names}) {
			if err != nil {
				return // ctx ended, or the node did
			}
			if e.Kind != client.Upsert || len(e.Service.Instances) == 0 {
				continue
			}
			select {
			case seen <- sighting{e.Name, e.Service.Instances[0].Metadata["mark"]}:
			case <-ctx.Done():
				return
			}
		}
	}()
	for range names {
		if err := await(ctx, seen, sighting{mark: "start"}); err != nil {
			return nil, err
		}
	}
	return seen, nil
}

// await takes sightings until it gets the given one, of any service if that
// names none.
func await(ctx context.Context, seen <-chan sighting, want sighting) error {
	limit := time.After(10 * time.Second)
	for {
		select {
		case got, ok := <-seen:
			if !ok {
				return fmt.Errorf("the watch ended before it saw %v", want)
			}
			if got.mark == want.mark && (want.name == "" || got.name == want.name) {
				return nil
			}
		case <-limit:
			return fmt.Errorf("%v was not seen within 10 s", want)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

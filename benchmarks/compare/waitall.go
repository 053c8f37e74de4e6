package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/registrytest"
)

// How wait=all is asked for.
const (
	waitNodes   = 16
	waitCallers = 4
	waitCount   = 600
	waitWarm    = 40 // before; not counted
)

// startCluster runs `edgecache serve` so many times as one cluster, on both
// cores, with the same registries.
func (b *bench) startCluster(ctx context.Context, label, registries string, count int) ([]*node, error) {
	ports, err := registrytest.FreePorts(count)
	if err != nil {
		return nil, err
	}
	var all []*node
	for i, port := range ports {
		join := ""
		if i > 0 {
			join = fmt.Sprintf("%q", "127.0.0.1:"+ports[0])
		}
		section := fmt.Sprintf("gossip: {peer_listen: %q, join: [%s]}", "127.0.0.1:"+port, join)
		n, config, err := b.configureNode(fmt.Sprintf("%s-%d", label, i+1), registries, section)
		if err != nil {
			return nil, err
		}
		ready := func() error {
			_, _, err := get(n.data + "/readyz")
			return err
		}
		if n.process, err = b.startOn(ctx, b.cores.both(), ready, b.program, "serve", "--config", config); err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	seeing, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	err = poll(seeing, func() error {
		for _, n := range all {
			if err := n.sees(count); err != nil {
				return err
			}
		}
		return nil
	})
	pause(ctx, settling)
	return all, err
}

// settling is several times what nodes take to draw their conclusions from
// whom they see: who owns which key.
const settling = time.Second

// sees tells what is wrong with the members in the eyes of this node.
func (n *node) sees(count int) error {
	body, _, err := get(n.admin + "/v1/members")
	if err != nil {
		return err
	}
	var seen struct {
		Members []registry.MemberStatus `json:"members"`
	}
	if err := json.Unmarshal(body, &seen); err != nil {
		return err
	}
	if len(seen.Members) != count {
		return fmt.Errorf("%s: %d members, %d expected", n.admin, len(seen.Members), count)
	}
	for _, m := range seen.Members {
		if m.State != "alive" || !m.Synced {
			return fmt.Errorf("%s: %s is %s, synced %v", n.admin, m.Name, m.State, m.Synced)
		}
	}
	return nil
}

// waitAll measures invalidations over HTTP that all nodes have logged when they
// are answered.
func waitAll(ctx context.Context, b *bench) (result, error) {
	o, err := b.newOrigin(nil)
	if err != nil {
		return result{}, err
	}
	all, err := b.startCluster(ctx, "wait", fmt.Sprintf(slowRegistry, o.address), waitNodes)
	if err != nil {
		return result{}, err
	}
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: waitCallers}}
	defer client.CloseIdleConnections()
	took := make([][]float64, waitCallers)
	err = together(waitCallers, func(caller int) error {
		for i := caller; i < waitWarm+waitCount; i += waitCallers {
			began := time.Now()
			if err := invalidateOnAll(ctx, client, all[i%len(all)], crawlName(i), len(all)); err != nil {
				return err
			}
			if i >= waitWarm {
				took[caller] = append(took[caller], float64(time.Since(began))/float64(time.Millisecond))
			}
		}
		return nil
	})
	if err != nil {
		return result{}, firstOf(err)
	}
	var samples []float64
	for _, t := range took {
		samples = append(samples, t...)
	}
	q := quantiles(samples, 0.5, 0.99, 1)
	b.progress("  %d samples: median %.2f ms, 99%% %.2f ms, worst %.2f ms", len(samples), q[0], q[1], q[2])
	r := result{note: fmt.Sprintf("%d samples, median %.1f ms, worst %.1f ms; %d callers, each of one node after the other; %d processes share two cores with them", len(samples), q[0], q[2], waitCallers, waitNodes)}
	r.summarise([]float64{q[1]})
	return r, nil
}

// invalidateOnAll has a node invalidate a name on so many nodes.
func invalidateOnAll(ctx context.Context, client *http.Client, n *node, name string, nodes int) error {
	body := fmt.Sprintf(`{"services":[{"name":%q}],"wait":"all","timeout":"10s"}`, name)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.admin+"/v1/invalidate", bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	var c registry.Confirmation
	if err := json.Unmarshal(text, &c); err != nil || resp.StatusCode != http.StatusOK || len(c.Confirmed) != nodes {
		return errors.Join(fmt.Errorf("status %d, %d nodes expected: %s", resp.StatusCode, nodes, text), err)
	}
	return nil
}

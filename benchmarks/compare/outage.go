package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// frailRegistry is asked each second and probed often, so that rounds need not
// wait for it.
const frailRegistry = `  - {name: origin, type: httpjson, address: "http://%s", path: "` + originPath + `{name}", ttl: 1s, recheck: {min: 250ms, max: 1s}}
`

func outageHit(ctx context.Context, b *bench) (result, error) { return b.outage(ctx) }

// outageP99 is the other reading of the same rounds.
func outageP99(ctx context.Context, b *bench) (result, error) {
	r, err := b.outage(ctx)
	if err != nil {
		return r, err
	}
	r.overP99()
	return r, nil
}

func (b *bench) outage(ctx context.Context) (result, error) {
	return once(b, "outage", func() (result, error) {
		o, err := b.newOrigin(nil)
		if err != nil {
			return result{}, err
		}
		n, err := b.startNode(ctx, "frail", fmt.Sprintf(frailRegistry, o.address))
		if err != nil {
			return result{}, err
		}
		if _, err := n.hits(ctx, n.service(name)); err != nil {
			return result{}, err
		}
		load := b.wrk(n.service(name))
		down := func(ctx context.Context) (sample, error) {
			if err := o.down(); err != nil {
				return sample{}, err
			}
			if err := n.settles(ctx, "open", "detail=stale-if-error"); err != nil {
				return sample{}, err
			}
			return load(ctx)
		}
		up := func(ctx context.Context) (sample, error) {
			if err := o.up(); err != nil {
				return sample{}, err
			}
			if err := n.settles(ctx, "closed", "ttl="); err != nil {
				return sample{}, err
			}
			return load(ctx)
		}
		return b.versus(ctx, contender{"registry down", down}, contender{"registry up", up})
	})
}

// settles waits until the breaker is in a state and hits say what they should.
func (n *node) settles(ctx context.Context, breaker, status string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return poll(ctx, func() error {
		_, header, err := get(n.service(name))
		if err != nil {
			return err
		}
		said := header.Get("Cache-Status")
		if !strings.HasPrefix(said, "edgecache; hit") || !strings.Contains(said, status) ||
			breaker == "closed" && strings.Contains(said, "detail=") {
			return fmt.Errorf("Cache-Status %q, %s expected", said, status)
		}
		body, _, err := get(n.admin + "/v1/registries")
		if err != nil {
			return err
		}
		var list struct {
			Registries []struct{ Breaker string } `json:"registries"`
		}
		if err := json.Unmarshal(body, &list); err != nil {
			return err
		}
		if len(list.Registries) != 1 || list.Registries[0].Breaker != breaker {
			return fmt.Errorf("registries are %s, breaker %s expected", body, breaker)
		}
		return nil
	})
}

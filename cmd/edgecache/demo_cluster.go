package main

import (
	"context"
	"fmt"
	"strings"
)

// gather waits until the nodes are one cluster.
func (t *tour) gather(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	return t.poll(ctx, func() (bool, error) {
		for _, n := range t.nodes {
			if !n.synced() || len(n.members()) != len(t.nodes) {
				return false, nil
			}
		}
		return true, nil
	})
}

// everywhere shows an invalidation that is confirmed by all.
func (t *tour) everywhere(ctx context.Context) error {
	if err := t.edgecache(ctx, "members"); err != nil {
		return err
	}
	return t.edgecache(ctx, "invalidate", invalidatedService, "--wait", "all")
}

// cut shows a node that is cut off from the others, and back.
func (t *tour) cut(ctx context.Context) error {
	last := t.nodes[len(t.nodes)-1]
	base := "http://" + last.server.Addr()
	last.gossip.Isolate(true)
	defer last.gossip.Isolate(false)
	t.say("%s hears nobody any more", last.options.Name)
	err := t.poll(ctx, func() (bool, error) { return !last.synced(), nil })
	if err != nil {
		return err
	}
	a, err := t.curlAt(ctx, base, tourPath)
	if err != nil {
		return err
	}
	if err := expect(a.status == 200 && a.has("unsynced") && strings.Contains(a.body, `"stale":true`), a, "a stale answer that says unsynced"); err != nil {
		return err
	}
	t.say("an invalidation meanwhile: a majority has it at once; after four seconds %s cannot be synced without it", last.options.Name)
	if err := t.edgecache(ctx, "invalidate", tourService, "--wait", "all", "--timeout", "8s"); err != nil {
		return err
	}
	last.gossip.Isolate(false)
	err = t.poll(ctx, func() (bool, error) { return last.synced(), nil })
	if err != nil {
		return err
	}
	t.say("back, and with all it missed:")
	a, err = t.curlAt(ctx, base, tourPath)
	if err != nil {
		return err
	}
	if a.has("unsynced") {
		return fmt.Errorf("an answer without unsynced expected, it was %q", a.cacheStatus())
	}
	return nil
}

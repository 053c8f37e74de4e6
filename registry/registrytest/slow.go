package registrytest

import (
	"context"
	"errors"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// endsWithContext checks that the call fails soon after its context ended.
func (c *checker) endsWithContext(what string, call func(context.Context) error) {
	c.Helper()
	for name, end := range map[string]func() (context.Context, context.CancelFunc){
		"deadline": func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 30*time.Millisecond)
		},
		"cancellation": func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(context.Background())
			timer := time.AfterFunc(30*time.Millisecond, cancel)
			return ctx, func() { timer.Stop(); cancel() }
		},
	} {
		ctx, cancel := end()
		done := make(chan error, 1)
		go func() { done <- call(ctx) }()
		select {
		case err := <-done:
			var upstream *registry.UpstreamError
			switch {
			case err == nil:
				c.Errorf("%s: an answer after %s", what, name)
			case errors.Is(err, registry.ErrNotFound) || errors.Is(err, registry.ErrNotModified):
				c.Errorf("%s: %s is reported as %v", what, name, err)
			case !errors.As(err, &upstream) && !errors.Is(err, ctx.Err()):
				c.Errorf("%s: after %s an *UpstreamError or the context's error expected, found %v", what, name, err)
			}
		case <-time.After(c.deadline):
			c.u.Repair() // else Close could wait for ever
			c.Fatalf("%s does not end with its context (%s)", what, name)
		}
		cancel()
	}
}

func checkSlow(c *checker) {
	have := c.put("web", instance(1, 8001))
	c.u.Hang()
	c.endsWithContext("lookup", func(ctx context.Context) error {
		_, err := c.u.Source.Lookup(ctx, "web", nil)
		return err
	})
	c.endsWithContext("conditional lookup", func(ctx context.Context) error {
		_, err := c.u.Source.Lookup(ctx, "web", have)
		return err
	})
	c.u.Repair()
	c.found("web", nil, instance(1, 8001))
}

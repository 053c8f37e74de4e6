package client

import (
	"context"
	"net/http"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// rotateWait is how long a node waits for the others.
const rotateWait = 10 * time.Second

// Keyring tells the keys of all members by their fingerprints. Needs the admin
// port.
func (c *Client) Keyring(ctx context.Context) (registry.KeyringReport, error) {
	var out registry.KeyringReport
	_, err := c.call(ctx, call{path: "/v1/keyring", wait: rotateWait}, &out)
	return out, err
}

// Rotate does a step of a key's rotation on all members. The report is not
// Done if a member did not do it in time: the step may be repeated. A *Problem
// of kind "bad-request" says why nothing was done. Needs the admin port.
func (c *Client) Rotate(ctx context.Context, step registry.KeyringStep, key string) (registry.KeyringReport, error) {
	body := struct {
		Key string `json:"key"`
	}{key}
	var out registry.KeyringReport
	_, err := c.call(ctx, call{method: http.MethodPost, path: "/v1/keyring/" + string(step), body: body, wait: rotateWait}, &out)
	return out, err
}

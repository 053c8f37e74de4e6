package client

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// Selectors say what an invalidation or refresh covers: the union of Services,
// Tags, Prefixes and All, each narrowed to Registry if that is set. Registry
// alone is that whole registry.
type Selectors struct {
	Services []Key    `json:"services,omitempty"`
	Tags     []string `json:"tags,omitempty"`
	Prefixes []string `json:"prefixes,omitempty"`
	Registry string   `json:"registry,omitempty"`
	All      bool     `json:"all,omitempty"`
}

// Names returns the services of these names in any registry.
func Names(names ...string) []Key {
	keys := make([]Key, len(names))
	for i, name := range names {
		keys[i].Name = name
	}
	return keys
}

// InvalidateOptions say how hard an invalidation is and who must have it.
type InvalidateOptions struct {
	Mode    string         // soft, verify (default) or hard
	Wait    registry.Level // "": local
	Timeout time.Duration  // of the wait, at most 60 s; 0: the node's default
}

// A Confirmation says who has an invalidation. Done is false if the level
// asked for was not reached in time: it goes on, and [Client.Invalidation]
// tells how far it got.
type Confirmation struct {
	registry.Confirmation
	Done bool `json:"done"`
}

// Invalidate makes the node forget what sel covers. A *Problem of kind
// "not-durable" says that it did, but that its disk does not know: a restart
// may undo it. Needs the admin port.
func (c *Client) Invalidate(ctx context.Context, sel Selectors, o InvalidateOptions) (Confirmation, error) {
	body := struct {
		Selectors
		Mode    string         `json:"mode,omitempty"`
		Wait    registry.Level `json:"wait,omitempty"`
		Timeout string         `json:"timeout,omitempty"`
	}{sel, o.Mode, o.Wait, timeoutText(o.Timeout)}
	return c.confirmation(ctx, call{method: http.MethodPost, path: "/v1/invalidate", body: body, wait: o.Timeout})
}

// Invalidation tells how far the invalidation of that id got. A node knows it
// for an hour.
func (c *Client) Invalidation(ctx context.Context, id string) (Confirmation, error) {
	return c.confirmation(ctx, call{path: "/v1/invalidations/" + escape(id)})
}

func (c *Client) confirmation(ctx context.Context, k call) (Confirmation, error) {
	var out Confirmation
	a, err := c.call(ctx, k, &out.Confirmation)
	out.Done = a.status == http.StatusOK
	return out, err
}

// refreshWait is how long a node lets a refresh run by default before it
// answers 202.
const refreshWait = 30 * time.Second

// Refresh makes the node fetch what sel covers anew and returns the report.
// If that takes longer than timeout (0: 30 s) the report is still Running, and
// [Client.Report] has the rest. Needs the admin port.
func (c *Client) Refresh(ctx context.Context, sel Selectors, timeout time.Duration) (registry.Report, error) {
	body := struct {
		Selectors
		Timeout string `json:"timeout,omitempty"`
	}{sel, timeoutText(timeout)}
	if timeout == 0 {
		timeout = refreshWait
	}
	a, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/refresh", body: body, wait: timeout})
	if err != nil {
		return registry.Report{}, err
	}
	if a.status == http.StatusAccepted && len(bytes.TrimSpace(a.body)) == 0 {
		return registry.Report{Running: true}, nil
	}
	var report registry.Report
	err = json.Unmarshal(a.body, &report)
	report.Running = report.Running || a.status == http.StatusAccepted
	return report, err
}

// Report returns the report of the node's last load or refresh.
func (c *Client) Report(ctx context.Context) (registry.Report, error) {
	return get[registry.Report](ctx, c, "/v1/report")
}

// Status returns the node's state.
func (c *Client) Status(ctx context.Context) (registry.NodeStatus, error) {
	return get[registry.NodeStatus](ctx, c, "/v1/status")
}

// Members returns the nodes of the cluster.
func (c *Client) Members(ctx context.Context) ([]registry.MemberStatus, error) {
	out, err := get[struct {
		Members []registry.MemberStatus `json:"members"`
	}](ctx, c, "/v1/members")
	return out.Members, err
}

// Forget removes a dead member from the cluster: the caller's word that it is
// gone for good. A *Problem of kind "not-found" says that there is none of that
// name, one of kind "bad-request" that it is alive.
func (c *Client) Forget(ctx context.Context, member string) error {
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/members/" + url.PathEscape(member) + "/forget", body: struct{}{}})
	return err
}

// Registries returns the registries as the node sees them.
func (c *Client) Registries(ctx context.Context) ([]registry.RegistryStatus, error) {
	out, err := get[struct {
		Registries []registry.RegistryStatus `json:"registries"`
	}](ctx, c, "/v1/registries")
	return out.Registries, err
}

// Plugins returns what is known of each plugin, in config order.
func (c *Client) Plugins(ctx context.Context) ([]registry.PluginStatus, error) {
	out, err := get[struct {
		Plugins []registry.PluginStatus `json:"plugins"`
	}](ctx, c, "/v1/plugins")
	return out.Plugins, err
}

// ReloadPlugin makes the node run what is now at a plugin's path. A *Problem of
// kind "not-found" says that there is no filter of that name, one of kind
// "bad-config" why nothing changed.
func (c *Client) ReloadPlugin(ctx context.Context, name string) error {
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/plugins/" + url.PathEscape(name) + "/reload", body: struct{}{}})
	return err
}

// ReloadConfig makes the node read its configuration again. A *Problem of
// kind "bad-config" lists what is wrong with it; then nothing changed.
func (c *Client) ReloadConfig(ctx context.Context) error {
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/v1/config/reload", body: struct{}{}})
	return err
}

// A Readiness says whether a node wants traffic, and what is wrong with it
// all the same.
type Readiness struct {
	Ready    bool     `json:"ready"`
	Degraded []string `json:"degraded"`
}

// Ready asks whether the node wants traffic. That it does not is no error.
func (c *Client) Ready(ctx context.Context) (Readiness, error) {
	var r Readiness
	_, err := c.call(ctx, call{path: "/readyz"}, &r, http.StatusServiceUnavailable)
	return r, err
}

func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	var out T
	_, err := c.call(ctx, call{path: path}, &out)
	return out, err
}

func timeoutText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

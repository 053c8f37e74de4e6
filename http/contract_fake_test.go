package http_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/edgecache/edgecache/http"
	"github.com/edgecache/edgecache/registry"
)

// contractIndex is the index of everything that contractEngine knows.
const contractIndex = 890211220766725

// A contractEngine answers by name: each name stands for one outcome.
type contractEngine struct {
	record   *registry.Record // of "web"
	bare     *registry.Record // of "bare": no instances, no document
	notReady atomic.Bool
}

func newContractEngine() *contractEngine {
	instance := func(id, address, zone, version string, h registry.Health, tags ...string) registry.Instance {
		return registry.Instance{
			ID: id, Health: h, Weight: 50, Priority: 1, Version: version, Node: "host-7", Region: "eu", Zone: zone,
			Tags: tags, Metadata: registry.MetadataOf(map[string]string{"canary": "false"}), Registered: 1_700_000_000_000,
			Endpoints: []registry.Endpoint{
				{Name: "http", Protocol: "http", Address: address, Port: 8080},
				{Name: "grpc", Protocol: "grpc", Address: address, Port: 9090, TLS: true, URL: "https://web.example.com"},
			},
		}
	}
	e := &contractEngine{
		record: &registry.Record{
			Key: registry.Key{Registry: "consul", Name: "web"}, Kind: registry.KindService,
			Revision: registry.Revision{Order: 1532},
			Instances: []registry.Instance{
				instance("web-1", "10.0.0.1", "eu-1a", "1.4.2", registry.HealthPassing, "v1"),
				instance("web-2", "2001:db8::1", "eu-1b", "1.4.3", registry.HealthWarning, "v1", "v2"),
				instance("web-3", "/run/web.sock", "eu-1a", "1.4.2", registry.HealthCritical),
			},
			Versions: []registry.Version{{
				Version: "1.4.3", Status: "active", Labels: []string{"latest"}, Metadata: registry.MetadataOf(map[string]string{"a": "b"}),
				Document: []byte(`{"v":"1.4.3"}`), MediaType: "application/json", Updated: 1_700_000_000_000,
			}},
			Metadata: registry.MetadataOf(map[string]string{"team": "edge"}), Tags: []string{"edge"},
			Document: []byte("\x00raw\xff"), MediaType: "application/x-raw",
		},
		bare: &registry.Record{Key: registry.Key{Registry: "file", Name: "bare"}, Kind: registry.KindService},
	}
	e.record.Seal(contractIndex)
	e.bare.Seal(contractIndex)
	return e
}

func (e *contractEngine) Lookup(_ context.Context, q *registry.Query) (registry.Answer, error) {
	if q.Registry != "" && q.Registry != "consul" && q.Registry != "file" {
		return registry.Answer{}, &registry.LookupError{Name: strings.Clone(q.Name), Err: registry.ErrNoRegistry}
	}
	a := registry.Answer{
		Record: e.record, Kind: registry.KindService, Index: contractIndex,
		Age: 412 * time.Millisecond, TTL: 12 * time.Second, Hit: true,
	}
	switch {
	case q.OnlyCached && q.Name != "web":
		return failed(a, q, registry.ErrNotCached)
	case q.MaxAge == 0:
		return failed(a, q, registry.ErrTooOld)
	}
	switch q.Name {
	case "web", "a/b":
	case "bare":
		a.Record = e.bare
	case "stale":
		a.Age, a.TTL, a.Stale = 70*time.Second, -40*time.Second, true
		a.Details = registry.DetailSIE | registry.DetailPartial
	case "restored":
		a.Age, a.TTL, a.Stale, a.Details = 70*time.Second, -40*time.Second, true, registry.DetailDisk
	case "restored-down":
		a.Age, a.TTL, a.Stale, a.Details = 70*time.Second, -40*time.Second, true, registry.DetailSIE|registry.DetailDisk
	case "missed":
		a.Hit, a.FwdStatus, a.Stored, a.Collapsed = false, 200, true, true
	case "broken":
		return failed(a, q, registry.ErrRegistryFailed)
	case "slow":
		return failed(a, q, registry.ErrRegistryTimeout)
	case "unsynced":
		return failed(a, q, registry.ErrUnsynced)
	default:
		a.Details = registry.DetailNegative
		return failed(a, q, registry.ErrNotFound)
	}
	return a, nil
}

func failed(a registry.Answer, q *registry.Query, err error) (registry.Answer, error) {
	a.Record, a.Age = nil, 2*time.Second
	retry := time.Duration(0)
	if errors.Is(err, registry.ErrRegistryFailed) || errors.Is(err, registry.ErrRegistryTimeout) {
		retry = 3 * time.Second
	}
	return a, &registry.LookupError{Name: strings.Clone(q.Name), Err: err, RetryAfter: retry, Registries: []registry.Outcome{
		{Registry: "consul", Outcome: "down", Err: errors.New("connection refused")}, {Registry: "file", Outcome: "absent"},
	}}
}

// Names lists enough names for a compressed page.
func (e *contractEngine) Names(_ context.Context, q *registry.NamesQuery) (registry.NamesPage, error) {
	if e.notReady.Load() {
		return registry.NamesPage{}, registry.ErrNotReady
	}
	if q.Registry != "" && q.Registry != "consul" && q.Registry != "file" {
		return registry.NamesPage{}, registry.ErrNoRegistry
	}
	page := registry.NamesPage{Index: contractIndex, Age: time.Second, Complete: true}
	for i := range 300 {
		name := fmt.Sprintf("service-%03d", i)
		if !strings.HasPrefix(name, q.Prefix) || name <= q.After {
			continue
		}
		if page.More = len(page.Rows) == q.Limit; page.More {
			break
		}
		page.Rows = append(page.Rows, registry.NameRow{Name: name, Registry: "consul", Kind: registry.KindService})
	}
	return page, nil
}

func (e *contractEngine) Subscribe(registry.Subscribe) registry.Subscription {
	return contractSilence{}
}

// contractSilence is a subscription to what never changes.
type contractSilence struct{}

func (contractSilence) Resumed() bool         { return false }
func (contractSilence) Wake() <-chan struct{} { return nil }
func (contractSilence) Close()                {}
func (contractSilence) Take(buf []string) ([]string, string, bool) {
	return buf, "t1", false
}

// contractFilters act by the header X-Case.
func contractFilters() []registry.NamedFilter {
	byCase := func(name string, f registry.FilterFunc) registry.FilterFunc {
		return func(attrs registry.Attrs, rec *registry.Record, sel *registry.Selection) error {
			if v, _ := attrs.Header("X-Case"); v != name {
				return nil
			}
			return f(attrs, rec, sel)
		}
	}
	return []registry.NamedFilter{
		{Name: "deny", Filter: byCase("denied", func(registry.Attrs, *registry.Record, *registry.Selection) error {
			return &registry.Deny{Filter: "deny", Reason: "not for you"}
		}), Varies: "X-Case", Private: true},
		{Name: "closed", FailClosed: true, Filter: byCase("closed", func(registry.Attrs, *registry.Record, *registry.Selection) error {
			return errors.New("out of fuel")
		})},
	}
}

// A contractControl answers by name as contractEngine does, and remembers what
// it was told.
type contractControl struct {
	mu   sync.Mutex // protects the fields below
	invs []*registry.Invalidation
	refs [][]registry.Selector
	none bool // no report yet
}

func (f *contractControl) Invalidate(ctx context.Context, inv *registry.Invalidation) error {
	f.mu.Lock()
	inv.Origin, inv.Epoch, inv.Seq = 0x9f2c, 0x14, 8812+uint64(len(f.invs))
	f.invs = append(f.invs, inv)
	f.mu.Unlock()
	switch {
	case selects(inv.Selectors, "disk"):
		return fmt.Errorf("%w: no space left", registry.ErrNotDurable)
	case selects(inv.Selectors, "stalled"):
		<-ctx.Done()
		return fmt.Errorf("%w: fsync takes 12s", registry.ErrNotDurable)
	}
	return nil
}

func (f *contractControl) last() *registry.Invalidation {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.invs) == 0 {
		return nil
	}
	return f.invs[len(f.invs)-1]
}

func (f *contractControl) Upsert(context.Context, *registry.Record) error { return nil }

func (f *contractControl) Await(ctx context.Context, id string, level registry.Level) (registry.Confirmation, error) {
	c := registry.Confirmation{ID: id, Members: 2, Confirmed: []string{"edge-1"}, ElapsedMS: 3.2}
	if level != registry.LevelAll {
		return c, nil
	}
	c.Pending = []string{"edge-2"}
	<-ctx.Done()
	return c, ctx.Err()
}

func (f *contractControl) Confirmation(id string) (registry.Confirmation, bool) {
	c := registry.Confirmation{ID: id, Members: 2, Confirmed: []string{"edge-1"}, ElapsedMS: 3.2}
	switch id {
	case "9f2c/14/8812":
		return c, true
	case "9f2c/14/8813":
		c.Pending = []string{"edge-2"}
		return c, true
	}
	return registry.Confirmation{}, false
}

func (f *contractControl) Refresh(ctx context.Context, selectors []registry.Selector) (registry.Report, error) {
	f.mu.Lock()
	f.refs = append(f.refs, selectors)
	f.mu.Unlock()
	r := contractReport()
	if selects(selectors, "slow") {
		r.Running = true
		<-ctx.Done()
	}
	return r, ctx.Err()
}

func (f *contractControl) Report() (registry.Report, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return contractReport(), !f.none
}

func (f *contractControl) Entries(q registry.EntriesQuery) (rows []registry.EntryRow, more bool) {
	for i := range 300 {
		name := fmt.Sprintf("service-%03d", i)
		if !strings.HasPrefix(name, q.Prefix) || name <= q.After.Name {
			continue
		}
		if len(rows) == q.Limit {
			return rows, true
		}
		rows = append(rows, registry.EntryRow{Name: name, Registry: "consul", State: "fresh", Tier: "memory", TTLMS: -1, Index: contractIndex})
	}
	return rows, false
}

func contractReport() registry.Report {
	return registry.Report{ID: "load-1", Started: time.Unix(1_700_000_000, 0).UTC(), ElapsedMS: 2.5, Services: []registry.ReportItem{
		{Name: "web", Registry: "consul", Result: "changed", ElapsedMS: 1.5},
		{Name: "db", Registry: "consul", Result: "failed", Retries: 2, Error: "connection refused"},
	}}
}

func selects(selectors []registry.Selector, name string) bool {
	return slices.ContainsFunc(selectors, func(s registry.Selector) bool { return s.Key.Name == name })
}

// A contractNode is a server over the fakes.
type contractNode struct {
	engine  *contractEngine
	control *contractControl
	ready   atomic.Bool
	reload  atomic.Pointer[error]
	metrics atomic.Int64 // bytes of the metrics' text
	log     syncBuffer

	diskless bool
}

// A syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu  sync.Mutex // protects buf
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func newContractNode() *contractNode {
	n := &contractNode{engine: newContractEngine(), control: &contractControl{}}
	n.ready.Store(true)
	n.metrics.Store(8 << 10)
	return n
}

func (n *contractNode) deps() http.Deps {
	now := time.Unix(1_700_000_000, 0).UTC()
	return http.Deps{
		Answerer:      &registry.Answerer{Engine: n.engine, Filters: contractFilters},
		Control:       n.control,
		Node:          "edge-1",
		Durable:       !n.diskless,
		RegistryNames: func() []string { return []string{"consul", "file"} },
		Status: func() registry.NodeStatus {
			return registry.NodeStatus{Node: "edge-1", Version: "1.0.0", UptimeMS: 5, Ready: true, Synced: true,
				Store: &registry.StoreStatus{State: "full", Bytes: 1, Limit: 4, Entries: 2, Journal: 3, Error: "2% of the file system is free"}}
		},
		Members: func() []registry.MemberStatus {
			return []registry.MemberStatus{{Name: "edge-1", State: "alive", Address: "127.0.0.1:7402", Synced: true}}
		},
		Forget: n.forget,
		Plugins: func() []registry.PluginStatus {
			return []registry.PluginStatus{{Name: "zone", Kind: "filter", Plugin: "zone 1.0.0", SHA256: "9f86d081", ABI: "1.0", Generation: 2,
				State: "failed", Error: "export ec_filter is missing", Breaker: "closed", Calls: 7, Failures: map[string]uint64{"fuel": 1}}}
		},
		ReloadPlugin: func(name string) error {
			return map[string]error{"zone": nil, "broken": errors.New("export ec_filter (i32) -> (i64) is missing"), "none": registry.ErrNotFound}[name]
		},
		Keyring: func(context.Context) (registry.KeyringReport, error) {
			if n.engine.notReady.Load() {
				return registry.KeyringReport{}, nil
			}
			return contractKeys, nil
		},
		Rotate: func(_ context.Context, _ registry.KeyringStep, key string) (registry.KeyringReport, error) {
			switch key {
			case "a key of a cluster":
				return contractKeys, nil
			case "not for all members":
				return registry.KeyringReport{Key: "9f86d081884c", Members: []registry.KeyringMember{{Name: "edge-2", Keys: []string{}, Error: "no answer"}}}, nil
			}
			return registry.KeyringReport{}, errors.New("key 9f86d081884c is in use: use another first")
		},
		Registries: func() []registry.RegistryStatus {
			return []registry.RegistryStatus{
				{Name: "consul", Type: "consul", Kind: registry.KindService, State: "up", Breaker: "closed", LastOK: &now},
				{Name: "file", Type: "file", Kind: registry.KindService, State: "down", Breaker: "open", LastError: "gone", NextTry: &now},
			}
		},
		Ready: func() (bool, []string) {
			if n.ready.Load() {
				return true, nil
			}
			return false, []string{"loading"}
		},
		Reload: func(context.Context) error {
			if err := n.reload.Load(); err != nil {
				return *err
			}
			return nil
		},
		Metrics: func(w io.Writer) error {
			_, err := io.WriteString(w, strings.Repeat("edgecache_lookups_total 1\n", int(n.metrics.Load())/26+1))
			return err
		},
	}
}

func (n *contractNode) forget(_ context.Context, name string) error {
	switch name {
	case "edge-1":
		return errors.New("edge-1 is alive: stop it first")
	case "edge-2":
		return nil
	}
	return fmt.Errorf("member %q: %w", name, registry.ErrNotFound)
}

package plugins_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/edgecache/edgecache/cache"
	"github.com/edgecache/edgecache/plugins"
	"github.com/edgecache/edgecache/registry"
)

// openCache opens a cache over registries of adapters, which it owns.
func openCache(t testing.TB, list ...cache.Registry) *cache.Cache {
	t.Helper()
	o := cache.Defaults()
	o.TTL, o.Registries = time.Hour, list
	c, err := cache.New(o)
	if err == nil {
		err = c.Open()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// How long it takes to refresh a thousand services through one adapter, of which
// the registry's rate holds none back.
func BenchmarkRefreshOfAThousandServices(b *testing.B) {
	const thousand = 1000
	names := make([]string, thousand)
	for i := range names {
		names[i] = fmt.Sprintf("service-%03d", i)
	}
	url := serve(b, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/names" {
			fmt.Fprint(w, strings.Join(names, "\n"))
			return
		}
		fmt.Fprint(w, `{"instances":[{"id":"a","address":"10.0.0.1","port":80},{"id":"b","address":"10.0.0.2","port":80}]}`)
	})
	h := adapterHost(b, plugins.HostOptions{})
	b.Cleanup(h.Close)
	a, err := h.OpenAdapter(echoOptions(url))
	if err != nil {
		b.Fatal(err)
	}
	c := openCache(b, cache.Registry{Name: "echo", Type: "wasm", Kind: registry.KindService, Source: a, Identity: a.Identity()})
	for b.Loop() {
		report, err := c.Refresh(b.Context(), []registry.Selector{{All: true}})
		if err != nil || len(report.Services) != thousand {
			b.Fatalf("%d services, %v", len(report.Services), err)
		}
		for _, r := range report.Services {
			if r.Result == "failed" {
				b.Fatalf("%+v", r)
			}
		}
	}
	b.ReportMetric(float64(thousand*b.N)/b.Elapsed().Seconds(), "services/s")
}

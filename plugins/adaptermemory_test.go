package plugins_test

import (
	"flag"
	"io"
	"net/http"
	"runtime"
	"testing"

	"github.com/edgecache/edgecache/plugins"
)

var adapterCalls = flag.Int("adapter_calls", 2000, "how often an adapter is called that leaks")

// A guest that leaks a page per call is begun anew before it is out of memory,
// and neither its memory nor the host's grows with the calls.
func TestTheMemoryOfAnAdapterThatLeaks(t *testing.T) {
	const pages = 64
	o := echoOptions(serve(t, empty))
	o.Pool = 2
	o.Manifest = manifest(t, "http: [\"*\"]\nlimits: {memory_pages: 64}\n")
	a := openEcho(t, o, plugins.HostOptions{})
	most, least := 0, pages
	for n := range *adapterCalls {
		rec, err := a.Lookup(t.Context(), "x-grow", nil)
		if err != nil {
			t.Fatalf("call %d: %v", n, err)
		}
		text, _ := rec.Metadata.Get("pages")
		now := 0
		for _, c := range text {
			now = 10*now + int(c-'0')
		}
		most, least = max(most, now), min(least, now)
		if n == *adapterCalls/10 || n == *adapterCalls-1 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			t.Logf("after %d calls: %d to %d pages of %d, %d instances begun anew; heap %d KiB, from the system %d KiB, %d goroutines",
				n+1, least, most, pages, a.Status().Recycled, m.HeapAlloc>>10, m.Sys>>10, runtime.NumGoroutine())
		}
	}
	if s := a.Status(); most > pages*3/4 || s.Recycled < uint64(*adapterCalls/pages) || s.Instances > 2 {
		t.Errorf("%d pages, status %+v", most, s)
	}
}

// BenchmarkAdapterLookup compares a lookup through a guest with the request that
// it makes, made by the host.
func BenchmarkAdapterLookup(b *testing.B) {
	const text = `{"name":"web","instances":[{"id":"a","address":"10.0.0.1","port":80},{"id":"b","address":"10.0.0.2","port":80}]}`
	url := serve(b, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
	b.Run("guest", func(b *testing.B) {
		a := openEcho(b, echoOptions(url), plugins.HostOptions{})
		b.ReportAllocs()
		for b.Loop() {
			if _, err := a.Lookup(b.Context(), "web", nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("request", func(b *testing.B) {
		transport := &http.Transport{MaxIdleConnsPerHost: 16}
		defer transport.CloseIdleConnections()
		b.ReportAllocs()
		for b.Loop() {
			r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url+"/s/web", nil)
			if err != nil {
				b.Fatal(err)
			}
			answer, err := transport.RoundTrip(r)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadAll(answer.Body); err != nil {
				b.Fatal(err)
			}
			_ = answer.Body.Close()
		}
	})
	b.Run("call", func(b *testing.B) { // without a request
		a := openEcho(b, echoOptions(url), plugins.HostOptions{})
		b.ReportAllocs()
		for b.Loop() {
			if _, err := a.Lookup(b.Context(), "x-held", nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

package httpjson_test

import (
	"testing"
	"time"

	"github.com/edgecache/edgecache/registry"
	"github.com/edgecache/edgecache/registry/httpjson"
	"github.com/edgecache/edgecache/registry/registrytest"
)

const testPoll = 10 * time.Millisecond

func TestConformance(t *testing.T) {
	for _, row := range []struct {
		name   string
		ownIDs bool
		alive  time.Duration
		server func(*server)
		o      httpjson.Options
	}{
		{"native documents", false, 0,
			func(s *server) { s.one = nativeOne },
			httpjson.Options{Path: "/one/{name}"}},
		{"native documents with ETag and list", false, 0,
			func(s *server) { s.one, s.list, s.etag = nativeOne, nativeList, true },
			httpjson.Options{Path: "/one/{name}", List: "/list", Documents: true}},
		{"mapped documents", false, 0,
			func(s *server) { s.one = foreignOne },
			foreign(httpjson.Options{Path: "/one/{name}"})},
		{"native list with ETag, watched", false, 4 * testPoll,
			func(s *server) { s.list, s.etag = nativeList, true },
			httpjson.Options{List: "/list", Poll: testPoll}},
		{"mapped list, watched", false, 4 * testPoll,
			func(s *server) { s.list = foreignList },
			foreign(httpjson.Options{List: "/list", Poll: testPoll, Documents: true})},
		{"target groups", true, 0,
			func(s *server) { s.list = targetGroups },
			httpjson.Options{List: "/list", Format: "prometheus", ItemName: "/labels/job"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			registrytest.Run(t, registrytest.Harness{
				OwnIDs: row.ownIDs, Alive: row.alive,
				Open: func(t testing.TB) registrytest.Upstream {
					s := newServer(t)
					row.server(s)
					return upstreamOf(t, s, row.o)
				},
			})
		})
	}
}

// upstreamOf lets the suite drive the server.
func upstreamOf(t testing.TB, s *server, o httpjson.Options) registrytest.Upstream {
	t.Helper()
	o.Name, o.Address, o.Timeout = "reg", registry.Strings{s.url()}, 5*time.Second
	source, err := httpjson.New(o)
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop := func() {
		if !stopped {
			stopped = true
			s.stop()
		}
	}
	return registrytest.Upstream{
		Source: source,
		Put:    s.put, PutEmpty: func(name string) { s.put(name) }, Remove: s.remove,
		Break: stop, Garble: func() { s.set("garble") }, Truncate: func() { s.set("truncate") }, Hang: func() { s.set("hang") },
		Repair: func() {
			s.set("")
			if stopped {
				stopped = false
				s.restart()
			}
		},
		Rewind: s.rewind,
		Close: func() {
			if err := source.Close(); err != nil {
				t.Error(err)
			}
			stop()
		},
	}
}

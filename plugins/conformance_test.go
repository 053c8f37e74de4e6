package plugins_test

import (
	"testing"
	"time"

	"github.com/edgecache/edgecache/plugins"
	"github.com/edgecache/edgecache/registry/registrytest"
)

// An adapter is a registry: the suite of all of them goes over a guest.
func TestAdapterConforms(t *testing.T) {
	const poll = 100 * time.Millisecond
	registrytest.Run(t, registrytest.Harness{
		Alive: 2 * poll,
		Open: func(t testing.TB) registrytest.Upstream {
			s := newEchoServer(t)
			h := adapterHost(t, plugins.HostOptions{})
			a, err := h.OpenAdapter(echoOptions(s.url()))
			if err != nil {
				t.Fatal(err)
			}
			return registrytest.Upstream{
				Source: a,
				Put:    s.put, PutEmpty: func(name string) { s.put(name) }, Remove: func(name string) { s.remove(name) },
				Break: s.stop, Garble: func() { s.set("garble") }, Truncate: func() { s.set("truncate") }, Hang: func() { s.set("hang") },
				Repair: func() {
					if s.set(""); s.server == nil {
						s.start()
					}
				},
				Reset: s.reset,
				Close: func() {
					if err := a.Close(); err != nil {
						t.Error(err)
					}
					h.Close()
					s.stop()
				},
			}
		},
	})
}

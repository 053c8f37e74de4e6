package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/edgecache/edgecache/registry/registrytest"
)

// The name that loads ask for, and the path under which the origin has it.
const (
	name       = "web"
	originPath = "/services/"
)

// document is what the origin says of web: about 1 KB. Five of the six
// instances have the tag v1.
var document = func() string {
	var instances []string
	for i := range 6 {
		tag := "v1"
		if i == 5 {
			tag = "v2"
		}
		instances = append(instances, fmt.Sprintf(`{"id":"web-%d","address":"10.0.%d.%d","port":8080,"health":"passing",`+
			`"node":"host-%d","zone":"eu-1%c","version":"1.4.2","tags":[%q],"metadata":{"canary":"false"}}`, i, i, i+10, i, 'a'+i%3, tag))
	}
	return `{"name":"web","instances":[` + strings.Join(instances, ",") + `]}`
}()

// An origin is a registry over HTTP that answers every name with document. It
// can be switched off and on again, counts its calls, and holds calls for
// names that slow says.
type origin struct {
	address string
	slow    func(ctx context.Context, name string) // before it answers; nil: never

	mu     sync.Mutex // protects the fields below
	server *http.Server
	calls  map[string]int
}

// newOrigin returns an origin that is up until the bench is closed.
func (b *bench) newOrigin(slow func(context.Context, string)) (*origin, error) {
	ports, err := registrytest.FreePorts(1)
	if err != nil {
		return nil, err
	}
	o := &origin{address: "127.0.0.1:" + ports[0], slow: slow, calls: map[string]int{}}
	b.stops = append(b.stops, o.down)
	return o, o.up()
}

// up accepts connections again, if it was down.
func (o *origin) up() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.server != nil {
		return nil
	}
	listener, err := net.Listen("tcp", o.address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: o, ReadHeaderTimeout: 5 * time.Second}
	o.server = server
	go func() { _ = server.Serve(listener) }() // ends with down
	return nil
}

// down refuses connections and cuts those that are open.
func (o *origin) down() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.server == nil {
		return nil
	}
	err := o.server.Close()
	o.server = nil
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// count returns how often a name was asked for.
func (o *origin) count(name string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.calls[name]
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	asked, ok := strings.CutPrefix(r.URL.Path, originPath)
	if !ok {
		http.NotFound(w, r)
		return
	}
	o.mu.Lock()
	o.calls[asked]++
	o.mu.Unlock()
	if o.slow != nil {
		o.slow(r.Context(), asked)
	}
	const tag = `"1"`
	w.Header().Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(strings.Replace(document, `"web"`, `"`+asked+`"`, 1))) // the caller may have gone
}

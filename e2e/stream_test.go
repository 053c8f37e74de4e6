package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A sse is a reader of a node's events.
type sse struct {
	t      *testing.T
	res    *http.Response
	lines  *bufio.Reader
	cancel context.CancelFunc
	err    error
}

type sseEvent struct {
	kind, id, data string
	name           string // in data
	index          uint64 // in data
}

// follow opens a watch; last is the Last-Event-ID. It ends with the test.
func follow(t *testing.T, url, last string) *sse {
	t.Helper()
	return followBy(t, http.DefaultTransport.(*http.Transport).Clone(), url, last)
}

func followBy(t *testing.T, transport *http.Transport, url, last string) *sse {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*deadline)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := transport.RoundTrip(req)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("watch: %v, %v", res, err)
	}
	s := &sse{t: t, res: res, lines: bufio.NewReader(res.Body), cancel: cancel}
	t.Cleanup(func() {
		s.close()
		transport.CloseIdleConnections()
	})
	return s
}

// close cuts the connection.
func (s *sse) close() {
	s.cancel()
	_ = s.res.Body.Close()
}

// next returns the next event, ok false at the end of the stream.
func (s *sse) next() (e sseEvent, ok bool) {
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			s.err = err
			return e, false
		}
		line = strings.TrimSuffix(line, "\n")
		key, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "" && e.kind != "":
			var data struct {
				Name  string
				Index uint64
			}
			if err := json.Unmarshal([]byte(e.data), &data); err != nil {
				s.t.Errorf("event %s: %v: %s", e.kind, err, e.data)
			}
			e.name, e.index = data.Name, data.Index
			return e, true
		case key == "event":
			e.kind = value
		case key == "id":
			e.id = value
		case key == "data":
			e.data = value
		}
	}
}

// until reads on to the first event of that kind and name, "" for any.
func (s *sse) until(kind, name string) sseEvent {
	s.t.Helper()
	for {
		e, ok := s.next()
		if !ok {
			s.t.Fatalf("the stream ended before %s %s: %v", kind, name, s.err)
		}
		if e.kind == kind && (name == "" || e.name == name) {
			return e
		}
	}
}

// A view is what a reader knows.
type view struct {
	services map[string]string // data of the last upsert
	last     string            // id to resume with
	resets   int
	synced   bool
}

func (v *view) apply(e sseEvent) {
	switch e.kind {
	case "reset":
		v.services, v.synced = map[string]string{}, false
		v.resets++
	case "upsert":
		v.services[e.name] = e.data
	case "delete":
		delete(v.services, e.name)
	case "synced":
		v.synced = true
	}
	if e.id != "" {
		v.last = e.id
	}
}

const polled = `cache: {empty: {confirm: 2, grace: 200ms}}
registries: [{name: catalog, type: httpjson, address: "%s", list: /all, poll: 100ms, warm: all, rate: 0}]
`

func TestAReaderCutInsideItsFirstListLosesNothing(t *testing.T) {
	t.Parallel()
	const names = 400
	services := map[string][]string{}
	for i := range names {
		services[fmt.Sprintf("s-%03d", i)] = []string{"one"}
	}
	path := filepath.Join(t.TempDir(), "services.json")
	writeServices(t, path, services)
	n := start(t, loopback+"registries: [{name: files, type: file, path: "+path+"}]\n")
	n.awaits("all names are listed", "/v1/services?limit=1000", func(a *answer) bool { return a.Complete && len(a.Services) == names })
	v := view{services: map[string]string{}}
	for cut := 1; ; cut++ {
		s := follow(t, n.data+"/v1/watch?prefix=", v.last)
		for read := 0; ; read++ {
			if cut <= 3 && read == 40*cut { // inside the list
				if v.last != "" {
					t.Fatalf("an id inside the first list: %q", v.last)
				}
				services[fmt.Sprintf("s-%03d", cut)] = []string{"one", "two"} // told before the cut
				delete(services, fmt.Sprintf("s-%03d", cut+10))
				services[fmt.Sprintf("t-%03d", cut)] = []string{"one"}
				writeServices(t, path, services)
				break
			}
			e, ok := s.next()
			if !ok {
				t.Fatalf("connection %d: %d services after %d events, synced %v: %v", cut, len(v.services), read, v.synced, s.err)
			}
			v.apply(e)
			if v.synced && complete(v, names) {
				if v.resets != 4 {
					t.Errorf("%d resets, want one for each of 4 connections", v.resets)
				}
				return
			}
		}
		s.close()
	}
}

// complete reports whether a reader knows what changed at each of three cuts.
func complete(v view, names int) bool {
	ok := len(v.services) == names
	for cut := 1; cut <= 3; cut++ {
		ok = ok && strings.Contains(v.services[fmt.Sprintf("s-%03d", cut)], `"two"`) &&
			v.services[fmt.Sprintf("s-%03d", cut+10)] == "" && v.services[fmt.Sprintf("t-%03d", cut)] != ""
	}
	return ok
}

// writeServices writes a file of services with these instances.
func writeServices(t *testing.T, path string, services map[string][]string) {
	t.Helper()
	u := upstream{services: services}
	var records []object
	for name := range services {
		records = append(records, u.recordLocked(name))
	}
	text, err := json.Marshal(object{"services": records})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, string(text))
}

func TestAReaderResumesOnItsNodeAndStartsAnewOnAnother(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	for i := range 20 {
		u.set(fmt.Sprintf("s-%02d", i), "one")
	}
	config := loopback + fmt.Sprintf(polled, u.URL)
	n := start(t, config)
	n.awaits("all names are listed", "/v1/services", func(a *answer) bool { return len(a.Services) == 20 })
	s := follow(t, n.data+"/v1/watch?prefix=s-", "")
	last := s.until("synced", "").id
	u.set("s-05", "one", "two")
	if e := s.until("upsert", "s-05"); e.id == "" {
		t.Error("a change without an id")
	} else {
		last = e.id
	}
	s.close()
	u.set("s-06", "one", "two")
	u.remove("s-07")
	u.set("s-20", "one")
	n.awaits("the node has seen it", "/v1/services/s-20", func(a *answer) bool { return a.status == 200 })

	s = follow(t, n.data+"/v1/watch?prefix=s-", last)
	missing := map[string]string{"s-06": "upsert", "s-07": "delete", "s-20": "upsert"}
	for len(missing) > 0 {
		e, ok := s.next()
		if !ok {
			t.Fatal(s.err)
		}
		if e.kind == "reset" || e.kind == "synced" {
			t.Fatalf("resumed with %s", e.kind)
		}
		if missing[e.name] != e.kind {
			t.Errorf("told %s %s again", e.kind, e.name)
		}
		delete(missing, e.name)
		last = e.id
	}

	n.stop()
	if e, ok := s.next(); ok {
		t.Errorf("the node went, and the stream goes on with %v", e)
	}
	n = start(t, config)
	n.awaits("all names are listed", "/v1/services", func(a *answer) bool { return len(a.Services) == 20 })
	s = follow(t, n.data+"/v1/watch?prefix=s-", last)
	if e, ok := s.next(); !ok || e.kind != "reset" {
		t.Fatalf("a restarted node began with %v, want a reset", e)
	}
	v := view{services: map[string]string{}}
	for !v.synced {
		e, ok := s.next()
		if !ok {
			t.Fatal(s.err)
		}
		v.apply(e)
	}
	if len(v.services) != 20 || v.services["s-07"] != "" {
		t.Errorf("the list has %d services: %v", len(v.services), v.services["s-07"])
	}
}

func TestASlowReaderEndsWithTheNewestOfEachName(t *testing.T) {
	t.Parallel()
	const names, versions = 200, 20
	u := newUpstream(t)
	for i := range names {
		u.set(fmt.Sprintf("s-%03d", i), "one")
	}
	u.setVersion(1)
	n := start(t, loopback+fmt.Sprintf(polled, u.URL))
	n.awaits("all names are listed", "/v1/services?limit=1000", func(a *answer) bool { return a.Complete && len(a.Services) == names })
	small := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if tcp, ok := conn.(*net.TCPConn); ok {
			err = tcp.SetReadBuffer(32 << 10) // the node soon has to wait
		}
		return conn, err
	}}
	s := followBy(t, small, n.data+"/v1/watch?prefix=", "")
	s.until("reset", "") // and then it does not read
	for version := 2; version <= versions; version++ {
		u.setVersion(version)
		want := fmt.Sprint(version)
		for _, name := range []string{"s-000", "s-199"} {
			n.awaits("the change is there", "/v1/services/"+name, func(a *answer) bool {
				return len(a.Instances) == 1 && a.Instances[0].Metadata["version"] == want
			})
		}
	}
	v := view{services: map[string]string{}}
	newest, events := map[string]bool{}, 0
	marker := fmt.Sprintf(`"version":"%d"`, versions)
	for start := time.Now(); len(newest) < names; events++ {
		e, ok := s.next()
		if !ok || time.Since(start) > deadline {
			t.Fatalf("%d of %d services in their newest state after %d events: %v", len(newest), names, events, s.err)
		}
		v.apply(e)
		if delete(newest, e.name); strings.Contains(v.services[e.name], marker) {
			newest[e.name] = true
		}
	}
	if all := names * versions; events >= all {
		t.Errorf("the reader was told all %d events", events)
	}
	t.Logf("%d changes told as %d events", names*versions, events)
}

func TestAReaderLearnsOfANameThatCameBeforeIt(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.set("old", "one")
	n := start(t, loopback+fmt.Sprintf(polled, u.URL))
	n.awaits("the list", "/v1/services", func(a *answer) bool { return a.Complete && rows(a) == "old/catalog" })
	u.set("new", "one") // while nobody follows
	n.awaits("it is listed", "/v1/services", func(a *answer) bool { return rows(a) == "new/catalog old/catalog" })
	s := follow(t, n.data+"/v1/watch?prefix=", "")
	s.until("upsert", "new")
	s.until("synced", "")
	s.close()
	u.set("newer", "one")
	polls := u.count("/all")
	eventually(t, "the registry was polled", func() error {
		if u.count("/all") < polls+4 {
			return fmt.Errorf("%d times", u.count("/all"))
		}
		return nil
	})
	s = follow(t, n.data+"/v1/watch?prefix=", "")
	s.until("upsert", "newer")
}

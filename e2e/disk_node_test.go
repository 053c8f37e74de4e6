package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// kill ends the node as a crash does.
func (n *node) kill() {
	n.t.Helper()
	_ = n.cmd.Process.Kill() // it may have ended
	<-n.exited
}

// again runs the node anew on what it left on disk.
func (n *node) again() *node {
	n.t.Helper()
	return startAt(n.t, n.binary, n.config, n.args...)
}

// dataDir is where the node keeps what it knows.
func (n *node) dataDir() string { return filepath.Join(filepath.Dir(n.config), "data") }

// stored returns what the node says of its store.
func (n *node) stored() *diskState {
	n.t.Helper()
	a := n.ask(http.MethodGet, "/v1/status", "")
	if a.Store == nil {
		n.t.Fatalf("no store in the node's status: %v", a)
	}
	return a.Store
}

// awaitStored waits until the node's store is as wanted.
func (n *node) awaitStored(what string, ok func(*diskState) bool) {
	n.t.Helper()
	eventually(n.t, what, func() error {
		if d := n.stored(); !ok(d) {
			return fmt.Errorf("the store is %+v", *d)
		}
		return nil
	})
}

// invalidates sends an invalidation and expects it to be acknowledged.
func (n *node) invalidates(body object) {
	n.t.Helper()
	if a := n.ask(http.MethodPost, "/v1/invalidate", text(body)); a.status != http.StatusOK {
		n.t.Fatalf("invalidate %v: %v", body, a)
	}
}

// invalidatesAtLast repeats an invalidation until it is acknowledged, as the answer
// to one that a slow disk did not confirm says.
func (n *node) invalidatesAtLast(body object) {
	n.t.Helper()
	eventually(n.t, "invalidate "+text(body), func() error {
		switch a := n.ask(http.MethodPost, "/v1/invalidate", text(body)); a.status {
		case http.StatusOK:
			return nil
		case http.StatusServiceUnavailable:
			return fmt.Errorf("%v", a)
		default:
			n.t.Fatalf("%v", a)
			return nil
		}
	})
}

// text returns a JSON object as text.
func text(o object) string {
	b, err := json.Marshal(o)
	if err != nil {
		panic(err) // of a test's own literal
	}
	return string(b)
}

// A ledger is a registry that numbers its answers, so that what a node serves
// tells when it was fetched. It has every name it is asked for.
type ledger struct {
	t       *testing.T
	address string
	padding int // bytes in each record that no compression takes away

	mu     sync.Mutex // protects the fields below
	server *http.Server
	asked  []time.Time // when each answer was given, by its number
}

func newLedger(t *testing.T) *ledger {
	t.Helper()
	l := &ledger{t: t, address: "127.0.0.1:0"}
	l.up()
	t.Cleanup(l.down)
	return l
}

// up accepts connections, on the same address each time.
func (l *ledger) up() {
	l.t.Helper()
	var listener net.Listener
	eventually(l.t, "the registry listens", func() (err error) {
		listener, err = net.Listen("tcp", l.address)
		return err
	})
	server := &http.Server{Handler: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.address, l.server = listener.Addr().String(), server
	go func() { _ = server.Serve(listener) }() // ends with down
}

// down refuses connections and cuts those that are open.
func (l *ledger) down() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.server != nil {
		_ = l.server.Close() // nobody needs what it still had to say
	}
	l.server = nil
}

// last returns the newest number given.
func (l *ledger) last() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.asked) - 1
}

// at returns when a number was given.
func (l *ledger) at(number int) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked[number]
}

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	l.mu.Lock()
	number := len(l.asked)
	l.asked = append(l.asked, time.Now())
	l.mu.Unlock()
	padding := ""
	if l.padding > 0 {
		padding = noise(l.padding)
	}
	w.Header().Set("Content-Type", "application/json")
	// By hand: an encoder looks at each byte, which the race detector makes slow.
	fmt.Fprintf(w, `{"name": %q, "tags": [%q], "instances": [{"id": "one", "address": "10.2.0.1", "port": 80, "metadata": {"number": "%d", "padding": "`,
		name, tagOf(name), number)
	io.WriteString(w, padding)
	io.WriteString(w, `"}}]}`)
}

// tagOf is the surrogate key of a name: by its last digit.
func tagOf(name string) string {
	if (name[len(name)-1]-'0')%2 == 0 {
		return "even"
	}
	return "odd"
}

// noise returns so many letters and digits at random.
func noise(n int) string {
	at := rand.N(len(static()) - n)
	return static()[at : at+n]
}

// static is what noise is a part of.
var static = sync.OnceValue(func() string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	b := make([]byte, 4<<20)
	for i := range b {
		b[i] = letters[rand.N(len(letters))]
	}
	return string(b)
})

// number returns which of a ledger's answers this one is made of.
func (a *answer) number() (int, error) {
	if a.status != http.StatusOK || len(a.Instances) != 1 {
		return 0, errors.New(a.String())
	}
	return strconv.Atoi(a.Instances[0].Metadata["number"])
}

// ledgers configures two registries over one ledger: left has the names that
// begin with l, right those with r. Answers live long and are not refreshed
// ahead, so that only invalidations make the node ask.
func (l *ledger) ledgers() string {
	const one = `
  - {name: %[1]s, type: httpjson, address: "http://%[2]s", path: "/%[1]s/{name}", services: ["%[3]s*"], rate: 0, retries: 0, timeout: 2s}`
	return loopback + "cache: {ttl: 10m, refresh_ahead: 0%, recheck: {min: 100ms, max: 500ms}}\nregistries:" +
		fmt.Sprintf(one, "left", l.address, "l") + fmt.Sprintf(one, "right", l.address, "r") + "\n"
}

// names returns left and right names in two prefix groups of so many each:
// l0-0, l0-1 …, l1-0 …, r0-0 …, r1-0 …
func names(each int) []string {
	var list []string
	for _, group := range []string{"l0", "l1", "r0", "r1"} {
		for i := range each {
			list = append(list, fmt.Sprintf("%s-%d", group, i))
		}
	}
	return list
}

// writing is how long an entry may take until it outlives the process.
const writing = time.Second

// fills looks every name up once, and waits until all are on disk.
func (n *node) fills(names []string) {
	n.t.Helper()
	for _, name := range names {
		if a := n.get("/v1/services/" + name); a.status != http.StatusOK || a.Stale {
			n.t.Fatalf("fill of %s: %v", name, a)
		}
	}
	n.awaitWritten(len(names))
}

// awaitWritten waits until what was looked up is on disk, at least so many
// entries.
func (n *node) awaitWritten(entries int) {
	n.t.Helper()
	eventually(n.t, "all are on disk", func() error {
		if wait, d := n.metric("edgecache_cache_disk_pending"), n.stored(); wait > 0 || d.Entries < entries {
			return fmt.Errorf("%v wait, and the store is %+v", wait, *d)
		}
		return nil
	})
	<-time.After(writing)
}

// A question is a lookup by the rules of what was served when.
type question struct {
	l     *ledger
	name  string
	floor int // what was fetched up to this number may not be fresh
	gone  int // and up to this one may not be served
}

// put asks, and checks that the answer keeps to the rules: its age is not below
// the truth, and it is neither too old to be fresh nor to be served.
func (q question) put(n *node) (a *answer, number int, err error) {
	sent := time.Now()
	a, err = try(http.MethodGet, n.data+"/v1/services/"+q.name, "")
	if err != nil || a.status != http.StatusOK {
		return a, -1, err
	}
	if number, err = a.number(); err != nil {
		return a, -1, err
	}
	truth := sent.Sub(q.l.at(number)).Milliseconds()
	switch {
	case !a.Stale && number <= q.floor:
		n.t.Errorf("%s: answer %d is served as fresh, an invalidation was acknowledged at %d: %.150s", q.name, number, q.floor, a)
	case number <= q.gone:
		n.t.Errorf("%s: answer %d is served, a hard invalidation was acknowledged at %d: %.150s", q.name, number, q.gone, a)
	case a.AgeMS < truth-agePrecision:
		n.t.Errorf("%s: age %d ms, and answer %d was fetched %d ms ago: %.150s", q.name, a.AgeMS, number, truth, a)
	}
	return a, number, nil
}

// agePrecision is what ages in whole milliseconds may fall short by, in ms.
const agePrecision = 2

// dirs returns the numbered directories of a data directory, oldest first.
func dirs(t *testing.T, dataDir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dataDir, "store-??????"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

// usage returns the bytes of all files below a directory; files that go
// meanwhile count nothing.
func usage(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreGone(err)
		}
		info, err := d.Info()
		if err != nil {
			return ignoreGone(err)
		}
		bytes += info.Sys().(*syscall.Stat_t).Blocks * 512
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

func ignoreGone(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

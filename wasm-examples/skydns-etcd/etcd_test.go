// Package skydns_test runs the adapter against a real etcd.
package skydns_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgecache/edgecache/registry/registrytest"
)

// etcdBinary returns the path of a real etcd, or ends the test.
func etcdBinary(t testing.TB) string {
	t.Helper()
	path, err := filepath.Abs("../../.tools/etcd/usr/bin/etcd")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		return path
	}
	t.Skip("no etcd in .tools/etcd: run scripts/install-etcd")
	return ""
}

// An etcd is a real one, of one member.
type etcd struct {
	t      testing.TB
	url    string
	dir    string // for whatever a test keeps
	client http.Client
	cmd    *exec.Cmd
	log    bytes.Buffer
}

func startEtcd(t testing.TB) *etcd {
	t.Helper()
	path, dir, ports := etcdBinary(t), t.TempDir(), freePorts(t, 2)
	client, peer := "http://127.0.0.1:"+ports[0], "http://127.0.0.1:"+ports[1]
	e := &etcd{t: t, url: client, dir: t.TempDir(), client: http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}}
	e.cmd = exec.Command(path, "--data-dir", dir, "--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer)
	e.cmd.Stdout, e.cmd.Stderr = &e.log, &e.log
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = e.cmd.Process.Kill()
		_ = e.cmd.Wait() // reports the kill
		if t.Failed() {
			text := e.log.String()
			t.Logf("etcd's log ends with:\n%s", text[max(0, len(text)-1500):])
		}
	})
	eventually(t, "etcd is up", func() error {
		_, err := e.try("kv/range", object{"key": "AA=="})
		return err
	})
	return e
}

func eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not within a minute: %v", what, err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func freePorts(t testing.TB, n int) []string {
	t.Helper()
	ports, err := registrytest.FreePorts(n)
	if err != nil {
		t.Fatal(err)
	}
	return ports
}

type object = map[string]any

// try does one call of the gateway.
func (e *etcd) try(path string, body object) (answer struct {
	Header struct{ Revision string }
	Token  string
}, err error) {
	text, err := json.Marshal(body)
	if err != nil {
		return answer, err
	}
	resp, err := e.client.Post(e.url+"/v3/"+path, "application/json", bytes.NewReader(text))
	if err != nil {
		return answer, err
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, read)
	}
	if err == nil {
		err = json.Unmarshal(read, &answer)
	}
	return answer, err
}

// txn does all that is given, at one revision, and returns it.
func (e *etcd) txn(ops ...object) string {
	e.t.Helper()
	answer, err := e.try("kv/txn", object{"success": ops})
	if err != nil {
		e.t.Fatal(err)
	}
	return answer.Header.Revision
}

// put and remove are what a txn does; values are strings or made JSON of.
func put(key string, value any) object {
	text, ok := value.(string)
	if !ok {
		made, _ := json.Marshal(value) // of maps of strings and numbers
		text = string(made)
	}
	return object{"requestPut": object{"key": []byte(key), "value": []byte(text)}}
}

func remove(key string) object {
	return object{"requestDeleteRange": object{"key": []byte(key)}}
}

// compact forgets all that was before now.
func (e *etcd) compact() {
	e.t.Helper()
	revision := e.txn(put("/other", "x"))
	if _, err := e.try("kv/compaction", object{"revision": revision, "physical": true}); err != nil {
		e.t.Fatal(err)
	}
}

// A proxy stands before an etcd, and breaks in the ways that networks do.
type proxy struct {
	server *httptest.Server
	mode   atomic.Value // "", break, garble, truncate, hang
	asked  atomic.Int64
	ended  chan struct{}
}

func newProxy(e *etcd) *proxy {
	target, _ := url.Parse(e.url) // it is ours
	through := httputil.NewSingleHostReverseProxy(target)
	through.Transport = e.client.Transport
	p := &proxy{ended: make(chan struct{})}
	p.mode.Store("")
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		switch p.mode.Load() {
		case "break":
			panic(http.ErrAbortHandler)
		case "garble":
			_, _ = io.WriteString(w, "<html>a proxy's page</html>")
		case "truncate":
			rec := httptest.NewRecorder()
			through.ServeHTTP(rec, r)
			_, _ = w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
		case "hang":
			_, _ = io.Copy(io.Discard, r.Body)
			select {
			case <-r.Context().Done():
			case <-p.ended:
			}
		default:
			through.ServeHTTP(w, r)
		}
	}))
	return p
}

func (p *proxy) close() {
	close(p.ended)
	p.server.CloseClientConnections()
	p.server.Close()
}

package fetch_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/edgecache/edgecache/registry/fetch"
)

func gzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestGzipIsDecompressed(t *testing.T) {
	want := []byte(strings.Repeat("web ", 1000))
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			t.Errorf("got Accept-Encoding %q", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(gzipped(t, want))
	})
	resp, err := get(t, client(t, fetch.Options{Address: []string{s.URL}}), fetch.Request{Path: "/"})
	if err != nil || !bytes.Equal(resp.Body, want) {
		t.Fatalf("got %d bytes, %v; want %d", len(resp.Body), err, len(want))
	}
}

func TestHTMLWithStatus200IsTheCallersToJudge(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<!doctype html><html>")) })
	resp, err := get(t, client(t, fetch.Options{Address: []string{s.URL}}), fetch.Request{Path: "/"})
	if err != nil || resp.MediaType != "text/html" {
		t.Fatalf("got %+v, %v", resp, err)
	}
}

func TestBadBodiesAreErrors(t *testing.T) {
	const limit = 1 << 20
	bomb := gzipped(t, make([]byte, 50<<20))
	endless := func(w io.Writer) {
		chunk := make([]byte, 64<<10)
		for {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	for _, row := range []struct {
		name, want string
		answer     http.HandlerFunc
	}{
		{"200 MB announced", "cap of 1MiB", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "200000000")
			endless(w)
		}},
		{"endless", "cap of 1MiB", func(w http.ResponseWriter, _ *http.Request) { endless(w) }},
		{"one byte too many", "cap of 1MiB", func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			_, _ = w.Write(make([]byte, limit+1))
		}},
		{"gzip bomb", "cap of 1MiB", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb)
		}},
		{"not gzip", "gzip: invalid header", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write([]byte("this is not compressed"))
		}},
		{"half a gzip stream", "unexpected EOF", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(gzipped(t, []byte(strings.Repeat("web ", 1000)))[:20])
		}},
		{"unasked encoding", `content encoding "br"`, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			_, _ = w.Write([]byte("x"))
		}},
		{"shorter than announced", "unexpected EOF", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("short"))
		}},
		{"chunked and cut", "unexpected EOF", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("[{"))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := serve(t, row.answer)
			second := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("moved on") })
			c := client(t, fetch.Options{Address: []string{s.URL, second.URL}, MaxBytes: limit})
			resp, err := get(t, c, fetch.Request{Path: "/"})
			up := upstream(t, resp, err)
			if !strings.Contains(err.Error(), row.want) || up.Timeout || up.Harmless {
				t.Errorf("got %v, want %q in it", err, row.want)
			}
		})
	}
}

func TestABodyOfExactlyTheCapIsTaken(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 4096)) })
	resp, err := get(t, client(t, fetch.Options{Address: []string{s.URL}, MaxBytes: 4096}), fetch.Request{Path: "/"})
	if err != nil || len(resp.Body) != 4096 {
		t.Fatalf("got %v", err)
	}
}

func TestASlowDripEndsAtTheTimeout(t *testing.T) {
	for _, status := range []int{200, 404, 503} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			for {
				_, _ = w.Write([]byte("x"))
				w.(http.Flusher).Flush()
				select {
				case <-r.Context().Done():
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
		})
		resp, err := get(t, client(t, fetch.Options{Address: []string{s.URL}}), fetch.Request{Path: "/", Timeout: 100 * time.Millisecond})
		switch status {
		case 200:
			if up := upstream(t, resp, err); !up.Timeout {
				t.Errorf("status %d: got %+v, want a timeout", status, up)
			}
		case 404:
			if resp == nil || err == nil {
				t.Errorf("status %d: got %v, %v", status, resp, err)
			}
		case 503:
			if up := upstream(t, resp, err); up.Status != 503 {
				t.Errorf("got %+v", up)
			}
		}
	}
}

// raw answers each connection with bytes of its own.
func raw(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			answer(conn)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return "http://" + l.Addr().String()
}

func TestBrokenConnectionsMoveOn(t *testing.T) {
	for _, row := range []struct {
		name   string
		answer func(net.Conn)
	}{
		{"reset", func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1))
			_ = c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}},
		{"closed without an answer", func(c net.Conn) { c.Close() }},
		{"not HTTP", func(c net.Conn) {
			_, _ = fmt.Fprint(c, "SSH-2.0-OpenSSH\r\n")
			c.Close()
		}},
		{"endless header", func(c net.Conn) {
			_, _ = fmt.Fprint(c, "HTTP/1.1 200 OK\r\n")
			for {
				if _, err := fmt.Fprintf(c, "X-A: %s\r\n", strings.Repeat("x", 1000)); err != nil {
					break
				}
			}
			c.Close()
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			broken := raw(t, row.answer)
			resp, err := get(t, client(t, fetch.Options{Address: []string{broken}}), fetch.Request{Path: "/", Timeout: 5 * time.Second})
			if up := upstream(t, resp, err); up.Timeout || up.Status != 0 {
				t.Errorf("got %+v", up)
			}
			ok := serve(t, func(http.ResponseWriter, *http.Request) {})
			c := client(t, fetch.Options{Address: []string{broken, ok.URL}})
			if _, err := get(t, c, fetch.Request{Path: "/"}); err != nil {
				t.Errorf("with a second address: %v", err)
			}
		})
	}
}

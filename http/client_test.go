package http_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A reply is an HTTP response as it was on the wire, read without a library
// that would mend it.
type reply struct {
	status int
	header map[string]string // lower-case names; doubled ones joined by ", "
	body   string
}

func (r reply) json(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(r.body), &m); err != nil {
		t.Fatalf("body %q: %v", r.body, err)
	}
	return m
}

// A wire is one raw connection.
type wire struct {
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, addr string) *wire {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return &wire{c, bufio.NewReader(c)}
}

// send writes bytes as they are.
func (w *wire) send(t *testing.T, raw string) {
	t.Helper()
	if _, err := w.Write([]byte(raw)); err != nil {
		t.Logf("send: %v", err) // the server may have refused and closed already
	}
}

// head reads the status line and the headers of a response.
func (w *wire) head() (reply, error) {
	r := reply{header: map[string]string{}}
	line, err := w.r.ReadString('\n')
	if err != nil {
		return r, err
	}
	if fields := strings.Fields(line); len(fields) > 1 {
		r.status, _ = strconv.Atoi(fields[1])
	}
	for {
		line, err := w.r.ReadString('\n')
		if err != nil {
			return r, err
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			return r, nil
		}
		key, value, _ := strings.Cut(line, ": ")
		key = strings.ToLower(key)
		if old, ok := r.header[key]; ok {
			value = old + ", " + value
		}
		r.header[key] = value
	}
}

// read reads one whole response to a request that is not HEAD.
func (w *wire) read() (reply, error) {
	r, err := w.head()
	if err != nil || r.status == 304 || r.status == 204 {
		return r, err
	}
	n, _ := strconv.Atoi(r.header["content-length"])
	body := make([]byte, n)
	_, err = io.ReadFull(w.r, body)
	r.body = string(body)
	return r, err
}

// closed reports whether the server has ended the connection.
func (w *wire) closed() bool {
	_, err := w.r.ReadByte()
	return err != nil && !isTimeout(err)
}

func isTimeout(err error) bool {
	t, ok := err.(net.Error)
	return ok && t.Timeout()
}

// get asks for a target with further header lines on a connection of its own.
func get(t *testing.T, addr, target string, lines ...string) reply {
	t.Helper()
	return ask(t, addr, "GET", target, "", lines...)
}

func ask(t *testing.T, addr, method, target, body string, lines ...string) reply {
	t.Helper()
	w := dial(t, addr)
	defer w.Close()
	if body != "" {
		lines = append(lines, "Content-Length: "+strconv.Itoa(len(body)))
	}
	raw := method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n"
	for _, l := range lines {
		raw += l + "\r\n"
	}
	w.send(t, raw+"\r\n"+body)
	read := w.read
	if method == "HEAD" {
		read = w.head
	}
	r, err := read()
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return r
}

//go:build !wasip1

package edgecache

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	openAnswers  = 4
	callDeadline = 10 * time.Second
)

// An answer to a request that is open.
type answer struct {
	status  int
	headers map[string]string // by their names in lower case
	body    io.Reader
	broken  Code
	close   func()
}

// Live sends requests to registries that are there, from now on.
func Live(client *http.Client) {
	here := *client
	here.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	native.live = func(head string, body []byte, timeout time.Duration) (*answer, Code) {
		if timeout == 0 {
			timeout = callDeadline
		}
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		line, headers, _ := split(head)
		method, url, _ := strings.Cut(line, " ")
		request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
		if err != nil {
			cancel()
			return nil, ErrInvalid
		}
		for name, value := range headers {
			request.Header.Set(name, value)
		}
		response, err := here.Do(request)
		switch {
		case err != nil && ctx.Err() != nil:
			cancel()
			return nil, ErrTimeout
		case err != nil:
			cancel()
			return nil, ErrUnavailable
		}
		a := &answer{status: response.StatusCode, headers: map[string]string{}, body: response.Body}
		for name, values := range response.Header {
			a.headers[strings.ToLower(name)] = strings.Join(values, "\n")
		}
		a.close = func() { response.Body.Close(); cancel() }
		return a, 0
	}
}

// split reads a request's head. Not ok is: a header that is the host's.
func split(head string) (line string, headers map[string]string, ok bool) {
	line, rest, _ := strings.Cut(head, "\n")
	headers = map[string]string{}
	for field := range strings.Lines(rest) {
		name, value, _ := strings.Cut(strings.TrimSuffix(field, "\n"), ":")
		name = strings.ToLower(name)
		if hosts(name) {
			return line, nil, false
		}
		headers[name] = strings.TrimSpace(value)
	}
	return line, headers, true
}

func hostSend(head string, body []byte, timeout int32) int64 {
	line, headers, ok := split(head)
	native.requested = append(native.requested, line)
	switch {
	case !ok:
		return int64(ErrInvalid)
	case len(native.open) >= openAnswers:
		return int64(ErrTooLarge)
	}
	a, code := &answer{}, Code(0)
	if native.live != nil {
		a, code = native.live(head, body, time.Duration(timeout)*time.Millisecond)
	} else {
		x, there := scripted(line, headers, body)
		if !there {
			panic(fmt.Sprintf("edgecache: the test has no exchange for %q with the headers %v and the body %q", line, headers, body))
		}
		code = x.Error
		a = x.answer()
	}
	if code != 0 {
		return int64(code)
	}
	native.handles++
	native.open[native.handles] = a
	return native.handles
}

func (x *Exchange) answer() *answer {
	a := &answer{status: max(x.Status, 0), headers: map[string]string{}, body: strings.NewReader(x.Answer), broken: x.Broken, close: func() {}}
	if a.status == 0 {
		a.status = 200
	}
	for name, value := range x.AnswerHeaders {
		a.headers[strings.ToLower(name)] = value
	}
	return a
}

func hostStatus(handle int64) int32 {
	if a := native.open[handle]; a != nil {
		return int32(a.status)
	}
	return int32(ErrClosed)
}

func hostHeader(handle int64, name string, buffer []byte) int {
	a := native.open[handle]
	if a == nil {
		return int(ErrClosed)
	}
	value, ok := a.headers[strings.ToLower(name)]
	return copied(value, ok, buffer)
}

func hostRead(handle int64, buffer []byte) int32 {
	a := native.open[handle]
	if a == nil {
		return int32(ErrClosed)
	}
	n, err := io.ReadFull(a.body, buffer)
	if n > 0 {
		return int32(n)
	}
	if errors.Is(err, io.EOF) {
		return int32(a.broken)
	}
	return int32(ErrUnavailable)
}

func hostClose(handle int64) {
	if a := native.open[handle]; a != nil {
		a.close()
		delete(native.open, handle)
	}
}

// find is what the host's config_get does: a JSON pointer.
func find(value any, pointer string) (string, bool) {
	if pointer != "" && pointer[0] != '/' {
		return "", false
	}
	for more := pointer != ""; more; {
		var key string
		pointer = pointer[1:]
		key, _, more = strings.Cut(pointer, "/")
		pointer = pointer[len(key):]
		key = strings.NewReplacer("~1", "/", "~0", "~").Replace(key)
		switch v := value.(type) {
		case map[string]any:
			member, ok := v[key]
			if !ok {
				return "", false
			}
			value = member
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(v) {
				return "", false
			}
			value = v[i]
		default:
			return "", false
		}
	}
	if text, ok := value.(string); ok {
		return text, true
	}
	text, err := json.Marshal(value)
	return string(text), err == nil
}

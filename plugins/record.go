package plugins

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"unicode/utf8"

	"github.com/goccy/go-yaml"

	"github.com/edgecache/edgecache/registry"
)

// Record has an adapter do some calls against its real registry, and returns a
// fixture of what went over the wire and of what came of it. Of the cases only
// what is asked is looked at. Secrets are in no fixture: headers of requests are
// not recorded.
func Record(ctx context.Context, m *Module, o AdapterOptions, cases []AdapterCase, logger *slog.Logger) (*AdapterFixture, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.Name, o.Pool = m.Manifest.Name, 1
	counts := &stats{}
	out, err := newOutbound(&m.Manifest, &o, counts)
	if err != nil {
		return nil, err
	}
	r := &recorder{inner: out.transport}
	out.transport = r
	g, err := newAdapterGeneration(&o, m, out, openKeep("", "", logger), logger, counts)
	if err != nil {
		return nil, err
	}
	t := &AdapterTrial{gen: g}
	defer t.Close()
	f := &AdapterFixture{Config: o.Config}
	for _, c := range cases {
		out, err := t.call(ctx, &c)
		if err := errors.Join(r.failed(), c.expect(out, err)); err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		f.Cases = append(f.Cases, c)
	}
	f.Exchanges = r.exchanges
	return f, nil
}

// Write writes the fixture to a file.
func (f *AdapterFixture) Write(path string) error {
	text, err := yaml.Marshal(f)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

// expect has a case expect what came of it.
func (c *AdapterCase) expect(out AdapterOutcome, err error) error {
	switch {
	case errors.Is(err, registry.ErrNotFound):
		c.NotFound = true
	case errors.Is(err, registry.ErrNotModified):
		c.NotModified = true
	case err != nil:
		c.Error = err.Error()
	case c.Lookup != "":
		c.Version = out.Record.Revision.Token
		c.Record, err = formOf(out.answer, c.Lookup)
		return err
	case c.List != nil:
		c.List = &out.Names
	default:
		return c.expectPoll(out.polled)
	}
	return nil
}

func (c *AdapterCase) expectPoll(p polled) error {
	wait := p.wait.Milliseconds()
	c.Cursor, c.WaitMS = &p.cursor, &wait
	for _, e := range p.emits {
		var said Emit
		switch e.op {
		case emitAnew:
			said.Again = true
		case emitDelete:
			said.Delete = e.name
		case emitInvalidate:
			said.Invalidate = e.name
		default:
			var err error
			if said.Upsert, err = formOf(e.text, e.name); err != nil {
				return err
			}
		}
		c.Emits = append(c.Emits, said)
	}
	return nil
}

// formOf reads a record's JSON form as it is written in a fixture: with its name,
// which the answer may leave out.
func formOf(text []byte, name string) (form map[string]any, err error) {
	if err := json.Unmarshal(text, &form); err != nil {
		return nil, err
	}
	form["name"] = name
	return whole(form).(map[string]any), nil
}

// whole makes numbers without a fraction integers, which YAML writes without one.
func whole(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key := range v {
			v[key] = whole(v[key])
		}
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
	case float64:
		if n := int64(v); float64(n) == v {
			return n
		}
	}
	return value
}

// A recorder passes requests on and keeps what is answered.
type recorder struct {
	inner http.RoundTripper

	mu        sync.Mutex // protects the fields below
	exchanges []Exchange
	err       error // what cannot be in a fixture
}

// recordedHeaders are those of answers that adapters go by.
var recordedHeaders = []string{"Cache-Control", "Content-Type", "ETag", "Last-Modified", "Link", "Location", "Retry-After"}

func (r *recorder) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// RoundTrip implements [http.RoundTripper].
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	e := Exchange{Request: req.Method + " " + req.URL.String()}
	if req.Body != nil {
		body, _ := io.ReadAll(req.Body) // of bytes
		text := string(body)
		e.Body, req.Body = &text, io.NopCloser(bytes.NewReader(body))
	}
	res, err := r.inner.RoundTrip(req)
	if err == nil {
		err = e.take(res)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch _, denied := errors.AsType[*denial](err); {
	case denied:
		e.Error = "denied"
	case req.Context().Err() != nil:
		e.Error = "timeout"
	case err != nil:
		e.Error = "unavailable"
	case !utf8.ValidString(e.Answer):
		r.err = fmt.Errorf("%s: the answer is not UTF-8, which a fixture cannot have", e.Request)
	}
	r.exchanges = append(r.exchanges, e)
	return res, err
}

// take reads an answer, and has it read again.
func (e *Exchange) take(res *http.Response) error {
	body, broke := io.ReadAll(io.LimitReader(res.Body, maxReceived+1))
	_ = res.Body.Close()
	if broke != nil {
		if res.Request != nil && res.Request.Context().Err() != nil {
			return broke
		}
		n := len(body)
		e.Cut = &n
	}
	e.Status, e.Answer, e.AnswerHeaders = res.StatusCode, string(body), map[string]string{}
	for _, name := range recordedHeaders {
		if value := res.Header.Get(name); value != "" {
			e.AnswerHeaders[name] = value
		}
	}
	res.Body = io.NopCloser(e.answer())
	return nil
}

package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/edgecache/edgecache/registry"
)

// A problem is the answer to a request that failed, in the form of RFC 9457.
// It is an error, so that handlers return it.
type problem struct {
	Type       string    `json:"type"` // urn:edgecache: and the word
	Title      string    `json:"title"`
	Status     int       `json:"status"`
	Detail     string    `json:"detail,omitempty"`    // what was wrong, and what would be right
	Parameter  string    `json:"parameter,omitempty"` // the parameter or body field that was wrong
	Name       string    `json:"name,omitempty"`
	Registry   string    `json:"registry,omitempty"`
	Registries []outcome `json:"registries,omitempty"`

	retryAfter time.Duration
	allow      string // of status 405
	close      bool   // the connection cannot go on
}

// An outcome is what one registry contributed to a lookup that failed.
type outcome struct {
	Registry string `json:"registry"`
	Outcome  string `json:"outcome"`
	Error    string `json:"error,omitempty"`
}

func (p *problem) Error() string { return p.Title + ": " + p.Detail }

// A failure is one row of the table of problems.
type failure struct {
	err    error // what it is known by; nil: made in this package
	status int
	word   string
	title  string
}

var (
	badRequestFailure   = failure{nil, fasthttp.StatusBadRequest, "bad-request", "Bad request"}
	unauthenticated     = failure{nil, fasthttp.StatusUnauthorized, "unauthenticated", "Token missing or wrong"}
	forbidden           = failure{nil, fasthttp.StatusForbidden, "forbidden", "Not allowed"}
	denied              = failure{registry.ErrDenied, fasthttp.StatusForbidden, "denied", "Denied by a filter"}
	noSuchRoute         = failure{nil, fasthttp.StatusNotFound, "no-such-route", "No such route"}
	methodFailure       = failure{nil, fasthttp.StatusMethodNotAllowed, "method", "Method not allowed"}
	tooLarge            = failure{nil, fasthttp.StatusRequestEntityTooLarge, "too-large", "Body too large"}
	pathTooLong         = failure{nil, fasthttp.StatusRequestURITooLong, "too-large", "Path too long"}
	headersTooLarge     = failure{nil, fasthttp.StatusRequestHeaderFieldsTooLarge, "too-large", "Headers too large"}
	mediaTypeFailure    = failure{nil, fasthttp.StatusUnsupportedMediaType, "media-type", "Body is not JSON"}
	badConfig           = failure{nil, fasthttp.StatusUnprocessableEntity, "bad-config", "Configuration refused"}
	rateLimited         = failure{nil, fasthttp.StatusTooManyRequests, "rate-limited", "Too many requests"}
	slowClient          = failure{nil, fasthttp.StatusRequestTimeout, "bad-request", "Request took too long"}
	internalFailure     = failure{nil, fasthttp.StatusInternalServerError, "internal", "Internal error"}
	registryTimeout     = failure{registry.ErrRegistryTimeout, fasthttp.StatusGatewayTimeout, "registry-timeout", "Registry timed out"}
	notReadyFailure     = failure{registry.ErrNotReady, fasthttp.StatusServiceUnavailable, "not-ready", "Nothing loaded yet"}
	notFoundFailure     = failure{registry.ErrNotFound, fasthttp.StatusNotFound, "not-found", "No such service"}
	noDocumentFailure   = failure{registry.ErrNoDocument, fasthttp.StatusNotFound, "no-document", "No document"}
	noSuchMember        = failure{nil, fasthttp.StatusNotFound, "not-found", "No such member"}
	noSuchPlugin        = failure{nil, fasthttp.StatusNotFound, "not-found", "No such plugin"}
	noSuchRegistryFault = failure{registry.ErrNoRegistry, fasthttp.StatusNotFound, "no-such-registry", "No such registry"}
)

// failures is the one table from the errors of the rest of the program to
// statuses. The first row that matches counts.
var failures = []failure{
	denied,
	{registry.ErrFilterFailed, fasthttp.StatusServiceUnavailable, "filter-failed", "Filter failed"},
	{registry.ErrUnsynced, fasthttp.StatusServiceUnavailable, "unsynced", "Node is not synced"},
	{registry.ErrNotDurable, fasthttp.StatusServiceUnavailable, "not-durable", "Applied, but not on this disk"},
	noSuchRegistryFault,
	noDocumentFailure,
	{registry.ErrTooOld, fasthttp.StatusGatewayTimeout, "too-old", "Answer too old"},
	{registry.ErrNotCached, fasthttp.StatusGatewayTimeout, "too-old", "Not cached"},
	registryTimeout,
	{registry.ErrRegistryFailed, fasthttp.StatusBadGateway, "registry-failed", "Registry failed"},
	notReadyFailure,
	notFoundFailure,
	{context.DeadlineExceeded, fasthttp.StatusGatewayTimeout, "registry-timeout", "Registry timed out"},
}

// because returns the failure as a problem with the detail.
func (f failure) because(format string, args ...any) *problem {
	return &problem{
		Type: "urn:edgecache:" + f.word, Title: f.title, Status: f.status,
		Detail: fmt.Sprintf(format, args...),
	}
}

// badRequest is the problem of a parameter or body field ("": the request).
func badRequest(parameter, format string, args ...any) *problem {
	p := badRequestFailure.because(format, args...)
	p.Parameter = parameter
	return p
}

// closing makes the problem end the connection.
func (p *problem) closing() *problem {
	p.close = true
	return p
}

// problemOf returns any error as a problem. Errors that the table does not
// know are internal: their text is not for clients.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if b, ok := errors.AsType[*bodyError](err); ok {
		return badRequest(b.field, "%s", b.Error())
	}
	p := internalFailure.because("the error is in the log")
	for i := range failures {
		if errors.Is(err, failures[i].err) {
			p = failures[i].because("%s", detailOf(err))
			break
		}
	}
	if deny, ok := errors.AsType[*registry.Deny](err); ok && deny.Status >= 400 && deny.Status < 600 {
		p.Status = deny.Status
	}
	if l, ok := errors.AsType[*registry.LookupError](err); ok {
		p.Name, p.retryAfter = l.Name, l.RetryAfter
		for _, o := range l.Registries {
			row := outcome{Registry: o.Registry, Outcome: o.Outcome}
			if o.Err != nil {
				row.Error = o.Err.Error()
			}
			p.Registries = append(p.Registries, row)
		}
	}
	return p
}

func detailOf(err error) string {
	if deny, ok := errors.AsType[*registry.Deny](err); ok {
		return deny.Reason
	}
	if errors.Is(err, registry.ErrNotFound) {
		if l, ok := errors.AsType[*registry.LookupError](err); ok {
			return fmt.Sprintf("no registry has a service named %q", l.Name)
		}
	}
	return err.Error()
}

// append appends the problem's JSON.
func (p *problem) append(dst []byte) []byte {
	b, err := json.Marshal(p)
	if err != nil { // cannot happen: all fields are strings and numbers
		return append(dst, `{"type":"urn:edgecache:internal","title":"Internal error","status":500}`...)
	}
	return append(dst, b...)
}

// fail writes the problem as the whole answer, but keeps headers that were set.
func (c *call) fail(p *problem) {
	r := &c.ctx.Response
	r.ResetBody()
	r.SetStatusCode(p.Status)
	r.Header.SetContentType("application/problem+json")
	if p.allow != "" {
		r.Header.Set(fasthttp.HeaderAllow, p.allow)
	}
	if p.retryAfter > 0 {
		r.Header.Set(fasthttp.HeaderRetryAfter, seconds(p.retryAfter))
	} else if p.Status == fasthttp.StatusTooManyRequests {
		r.Header.Set(fasthttp.HeaderRetryAfter, "1")
	}
	if p.Status == fasthttp.StatusUnauthorized {
		r.Header.Set(fasthttp.HeaderWWWAuthenticate, `Bearer realm="edgecache"`)
	}
	if p.close {
		r.SetConnectionClose()
	}
	r.SetBodyRaw(p.append(nil))
}

// seconds is d in whole seconds, at least 1, as Retry-After has it.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64(max(1, math.Ceil(d.Seconds()))), 10)
}

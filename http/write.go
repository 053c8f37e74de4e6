package http

import (
	"encoding/json"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/edgecache/edgecache/registry"
)

// Names and values of headers as fasthttp takes them without work.
var (
	headerAge           = []byte(fasthttp.HeaderAge)
	headerAuthorization = []byte(fasthttp.HeaderAuthorization)
	headerCacheControl  = []byte(fasthttp.HeaderCacheControl)
	headerCacheStatus   = []byte("Cache-Status")
	headerETag          = []byte("ETag")
	headerFilter        = []byte("Edgecache-Filter")
	headerIfNoneMatch   = []byte(fasthttp.HeaderIfNoneMatch)
	headerIndex         = []byte("Edgecache-Index")
	headerRegistry      = []byte("Edgecache-Registry")

	typeJSON    = []byte("application/json")
	typeText    = []byte("text/plain; charset=utf-8")
	valNoCache  = []byte("no-cache")
	valPrivate  = []byte("private, no-cache")
	notModified = fasthttp.StatusNotModified
)

// answer writes what the Answerer said: the headers that tell how good the
// answer is in any case, then the view or 304.
func (c *call) answer(err error) error {
	out := &c.result
	c.freshness(&out.Answer)
	if err != nil {
		c.ctx.Response.Header.SetCanonical(headerCacheControl, valNoCache)
		return err
	}
	rec := out.Record
	h := &c.ctx.Response.Header
	h.SetCanonical(headerRegistry, asBytes(rec.Key.Registry))
	c.cacheability(out)
	if len(out.Filters) > 0 {
		h.SetCanonical(headerFilter, c.filters(out.Filters))
	}
	switch c.view {
	case viewDocument:
		return c.document(rec)
	case viewAddresses:
		if !c.matched(c.tag(`"a`, out.Selection.Tag(rec))) {
			c.body(typeText, appendAddresses(c.buffer(), rec, &out.Selection))
		}
		return nil
	}
	etag := asBytes(rec.Fragments().ETag())
	if !out.Selection.All || out.Selection.Port != "" {
		etag = c.tag(`W/"s`, out.Selection.Tag(rec))
	}
	if !c.matched(etag) {
		c.body(typeJSON, registry.AppendAnswer(c.buffer(), rec, &out.Selection, out.Age, out.Stale))
	}
	return nil
}

// freshness writes Cache-Status, Age and Edgecache-Index.
func (c *call) freshness(a *registry.Answer) {
	h := &c.ctx.Response.Header
	c.text = appendCacheStatus(c.text[:0], a)
	h.SetCanonical(headerCacheStatus, c.text)
	if a.Record != nil || a.Age > 0 {
		c.text = strconv.AppendInt(c.text[:0], int64(max(a.Age, 0)/time.Second), 10)
		h.SetCanonical(headerAge, c.text)
	}
	switch {
	case a.Record != nil && a.Record.Index == a.Index:
		h.SetCanonical(headerIndex, asBytes(a.Record.Fragments().IndexText()))
	case a.Index != 0:
		c.text = strconv.AppendUint(c.text[:0], a.Index, 10)
		h.SetCanonical(headerIndex, c.text)
	}
}

// appendCacheStatus appends the value of Cache-Status, RFC 9211.
func appendCacheStatus(dst []byte, a *registry.Answer) []byte {
	if a.Hit {
		dst = append(dst, "edgecache; hit; ttl="...)
		dst = strconv.AppendInt(dst, floorSeconds(a.TTL), 10)
	} else {
		dst = append(dst, "edgecache; fwd="...)
		dst = append(dst, a.Fwd.String()...)
		if a.FwdStatus != 0 {
			dst = append(dst, "; fwd-status="...)
			dst = strconv.AppendInt(dst, int64(a.FwdStatus), 10)
		}
		if a.Stored {
			dst = append(dst, "; stored"...)
		}
		if a.Collapsed {
			dst = append(dst, "; collapsed"...)
		}
	}
	if a.Details == 0 {
		return dst
	}
	list := a.Details&(a.Details-1) != 0
	dst = append(dst, "; detail="...)
	if list {
		dst = append(dst, '"')
	}
	first := true
	for bit, name := range registry.DetailNames {
		if a.Details&(1<<bit) == 0 {
			continue
		}
		if !first {
			dst = append(dst, ", "...)
		}
		first = false
		dst = append(dst, name...)
	}
	if list {
		dst = append(dst, '"')
	}
	return dst
}

// floorSeconds rounds down, also below zero: what has ended is never 0 left.
func floorSeconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d < 0 && d%time.Second != 0 {
		s--
	}
	return s
}

// cacheability writes Cache-Control and Vary.
func (c *call) cacheability(out *registry.Result) {
	h := &c.ctx.Response.Header
	if out.Vary != "" {
		h.Add(fasthttp.HeaderVary, out.Vary)
	}
	age := min(c.live.maxAge, out.TTL) / time.Second
	switch {
	case age <= 0 && !out.Private:
		h.SetCanonical(headerCacheControl, valNoCache)
	case age <= 0:
		h.SetCanonical(headerCacheControl, valPrivate)
	default:
		c.text = c.text[:0]
		if out.Private {
			c.text = append(c.text, "private, "...)
		}
		c.text = strconv.AppendInt(append(c.text, "max-age="...), int64(age), 10)
		h.SetCanonical(headerCacheControl, c.text)
	}
}

func (c *call) filters(outcomes []registry.FilterOutcome) []byte {
	c.text = c.text[:0]
	for i := range outcomes {
		if i > 0 {
			c.text = append(c.text, ", "...)
		}
		c.text = append(append(append(c.text, outcomes[i].Filter...), '='), outcomes[i].Outcome...)
	}
	return c.text
}

// tag makes an ETag of an opening, W/"s for instance, and a hash.
func (c *call) tag(opening string, hash uint64) []byte {
	c.text = append(c.text[:0], opening...)
	c.text = strconv.AppendUint(c.text, hash, 16)
	c.text = append(c.text, '"')
	return c.text
}

// matched writes the ETag. It reports whether the client has that content
// already, and then the answer is 304.
func (c *call) matched(etag []byte) bool {
	c.ctx.Response.Header.SetCanonical(headerETag, etag)
	if c.seen&seenIfNoneMatch == 0 {
		return false
	}
	have := c.ctx.Request.Header.PeekBytes(headerIfNoneMatch)
	if len(have) == 0 || !matchTag(asString(have), strings.TrimPrefix(asString(etag), "W/")) {
		return false
	}
	c.ctx.Response.SetStatusCode(notModified)
	return true
}

// matchTag compares weakly: whether the list of tags holds the opaque tag.
func matchTag(list, opaque string) bool {
	for list != "" {
		list = strings.TrimLeft(list, " \t,")
		if strings.HasPrefix(list, "*") {
			return true
		}
		list = strings.TrimPrefix(list, "W/")
		if len(list) < 2 || list[0] != '"' {
			return false // not a tag: nothing after it can be told apart
		}
		end := strings.IndexByte(list[1:], '"')
		if end < 0 {
			return false
		}
		if list[:end+2] == opaque {
			return true
		}
		list = list[end+2:]
	}
	return false
}

// buffer takes the response's own body buffer, empty; body gives it back.
func (c *call) buffer() []byte { return c.ctx.Response.SwapBody(nil)[:0] }

// body makes what was appended to buffer the response's body.
func (c *call) body(mediaType, b []byte) {
	c.ctx.Response.Header.SetContentTypeBytes(mediaType)
	c.ctx.Response.SwapBody(b)
}

// writeJSON answers with v.
func writeJSON(c *call, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.ctx.Response.SetStatusCode(status)
	c.ctx.Response.Header.SetContentTypeBytes(typeJSON)
	c.ctx.Response.Header.SetCanonical(headerCacheControl, valNoCache)
	c.ctx.Response.SetBodyRaw(b)
	return nil
}

// document answers with the registry's own bytes: of the version asked for, or
// of the record.
func (c *call) document(rec *registry.Record) error {
	doc, media, opening := rec.Document, rec.MediaType, `"d`
	if want := c.query.Select.Version; want != "" && (want != registry.LabelLatest || len(rec.Versions) > 0) {
		if want == registry.LabelLatest {
			want = rec.Latest()
		}
		doc, opening = nil, `"d`+url.QueryEscape(want)+"-"
		for i := range rec.Versions {
			if v := &rec.Versions[i]; v.Version == want {
				doc, media = v.Document, v.MediaType
			}
		}
	}
	if doc == nil {
		return &registry.LookupError{Name: strings.Clone(rec.Key.Name), Err: registry.ErrNoDocument}
	}
	if media == "" {
		media = "application/octet-stream"
	}
	if !c.matched(c.tag(opening, rec.Hash())) {
		c.ctx.Response.Header.SetContentType(media)
		c.ctx.Response.SetBodyRaw(doc) // sealed: it stays as it is
	}
	return nil
}

// appendAddresses appends a line host:port, [v6]:port or unix:/path for each
// instance that has an address.
func appendAddresses(dst []byte, rec *registry.Record, sel *registry.Selection) []byte {
	for i := range sel.Len(rec) {
		at := i
		if !sel.All {
			at = int(sel.Picks[i])
		}
		in := &rec.Instances[at]
		e := in.Main()
		if sel.Port != "" {
			if j := in.Endpoint(sel.Port); j >= 0 {
				e = in.Endpoints[j]
			}
		}
		dst = appendAddress(dst, e)
	}
	return dst
}

func appendAddress(dst []byte, e registry.Endpoint) []byte {
	host, port := e.Address, strconv.Itoa(int(e.Port))
	if host == "" && e.URL != "" {
		u, err := url.Parse(e.URL)
		if err != nil {
			return dst
		}
		host, port = u.Hostname(), u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
	}
	switch {
	case host == "":
		return dst
	case e.Protocol == "unix" || strings.HasPrefix(host, "/"):
		dst = append(append(dst, "unix:"...), host...)
	default:
		dst = append(dst, net.JoinHostPort(host, port)...)
	}
	return append(dst, '\n')
}

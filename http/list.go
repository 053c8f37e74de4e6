package http

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/edgecache/edgecache/registry"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
	gzipFrom     = 4 << 10 // bytes of a body that is worth compressing
)

// list answers GET /v1/services and the same within a registry.
func (s *Server) list(c *call) error {
	q, err := c.namesQuery()
	if err != nil {
		return err
	}
	page, err := s.deps.Answerer.Engine.Names(s.base, &q)
	if err == nil && c.hasIndex && page.Index == c.index {
		prefix := q.Prefix
		to := registry.Subscribe{Registry: q.Registry, Prefix: &prefix, Kind: q.Kind, Lists: true}
		err = s.await(c, to, func() (bool, error) {
			page, err = s.deps.Answerer.Engine.Names(s.base, &q)
			return err == nil && page.Index == c.index, err
		})
	}
	if err != nil {
		if errors.Is(err, registry.ErrNotReady) {
			p := problemOf(err)
			p.retryAfter = time.Second
			return p
		}
		return err
	}
	c.listHeaders(&page)
	if c.matched(c.tag(`W/"l`, pageHash(&page))) {
		return nil
	}
	c.compressible(appendPage(c.buffer(), &q, &page))
	return nil
}

// namesQuery makes the query of a list. Its strings outlive the call.
func (c *call) namesQuery() (registry.NamesQuery, error) {
	q := registry.NamesQuery{Registry: strings.Clone(c.registry), Limit: defaultLimit}
	c.wait, c.index, c.hasIndex = -1, 0, false
	if err := c.parse(&listParameters); err != nil {
		return q, err
	}
	cursor := ""
	for _, p := range c.params {
		var err error
		switch p.key {
		case "prefix":
			q.Prefix = strings.Clone(p.value)
		case "kind":
			q.Kind, err = registry.ParseKind(strings.Clone(p.value))
		case "limit":
			q.Limit, err = parseLimit(p.value)
		case "cursor":
			cursor = p.value
		default:
			if err := c.set(p.key, p.value); err != nil {
				return q, err
			}
		}
		if err != nil {
			return q, badRequest(p.key, "%s: %v", p.key, err)
		}
	}
	if cursor != "" || c.has("cursor") {
		after, err := parseCursor(cursor, &q)
		if err != nil {
			return q, badRequest("cursor", "cursor: %v", err)
		}
		q.After = after
	}
	return q, c.combine()
}

func parseLimit(value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > maxLimit {
		return 0, fmt.Errorf("%q: a number from 1 to %d expected", value, maxLimit)
	}
	return n, nil
}

// A cursor is the last name of a page behind a hash that binds it to the list
// it is of, so that one of another list is seen.
func appendCursor(dst []byte, q *registry.NamesQuery, last string) []byte {
	raw := binary.BigEndian.AppendUint32(nil, cursorHash(q, last))
	return base64.RawURLEncoding.AppendEncode(dst, append(raw, last...))
}

func parseCursor(cursor string, q *registry.NamesQuery) (after string, err error) {
	raw, err := decodeCursor(cursor)
	if err != nil || len(raw) < 5 || binary.BigEndian.Uint32(raw) != cursorHash(q, string(raw[4:])) {
		return "", fmt.Errorf("%q is not of this list; give the cursor of the page before, with the same prefix, kind and registry", cursor)
	}
	return string(raw[4:]), nil
}

var errLineBreak = errors.New("line break")

// decodeCursor takes what encoding gives, and nothing else: the decoder would pass
// over line breaks.
func decodeCursor(cursor string) ([]byte, error) {
	if strings.ContainsAny(cursor, "\r\n") {
		return nil, errLineBreak
	}
	return base64.RawURLEncoding.Strict().DecodeString(cursor)
}

func cursorHash(q *registry.NamesQuery, last string) uint32 {
	h := fnv.New32a()
	for _, part := range []string{"edgecache", q.Registry, q.Prefix, string(q.Kind), last} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return h.Sum32()
}

// pageHash names the content of a page: equal on all nodes.
func pageHash(page *registry.NamesPage) uint64 {
	h := fnv.New64a()
	for i := range page.Rows {
		r := &page.Rows[i]
		for _, part := range []string{r.Name, r.Registry, string(r.Kind)} {
			h.Write(asBytes(part))
			h.Write([]byte{0})
		}
	}
	h.Write(fmt.Appendf(nil, "%t %t", page.Complete, page.More))
	return h.Sum64()
}

func (c *call) listHeaders(page *registry.NamesPage) {
	h := &c.ctx.Response.Header
	c.text = strconv.AppendInt(c.text[:0], int64(max(page.Age, 0)/time.Second), 10)
	h.SetCanonical(headerAge, c.text)
	c.text = strconv.AppendUint(c.text[:0], page.Index, 10)
	h.SetCanonical(headerIndex, c.text)
	h.SetCanonical(headerCacheStatus, asBytes("edgecache; hit"))
	h.SetCanonical(headerCacheControl, valNoCache)
	h.Add(fasthttp.HeaderVary, fasthttp.HeaderAcceptEncoding)
}

func appendPage(dst []byte, q *registry.NamesQuery, page *registry.NamesPage) []byte {
	dst = append(dst, `{"services":[`...)
	for i := range page.Rows {
		if i > 0 {
			dst = append(dst, ',')
		}
		r := &page.Rows[i]
		dst = registry.AppendString(append(dst, `{"name":`...), r.Name)
		dst = registry.AppendString(append(dst, `,"registry":`...), r.Registry)
		dst = append(registry.AppendString(append(dst, `,"kind":`...), string(r.Kind)), '}')
	}
	dst = strconv.AppendUint(append(dst, `],"index":`...), page.Index, 10)
	dst = strconv.AppendInt(append(dst, `,"age_ms":`...), max(page.Age.Milliseconds(), 0), 10)
	dst = strconv.AppendBool(append(dst, `,"stale":`...), page.Stale)
	dst = strconv.AppendBool(append(dst, `,"complete":`...), page.Complete)
	if page.More && len(page.Rows) > 0 {
		dst = append(dst, `,"cursor":"`...)
		dst = append(appendCursor(dst, q, page.Rows[len(page.Rows)-1].Name), '"')
	}
	return append(dst, '}')
}

// compressible writes a JSON body, with gzip if it is long and the client
// takes that.
func (c *call) compressible(b []byte) {
	c.body(typeJSON, b)
	if len(b) < gzipFrom || !acceptsGzip(c.ctx.Request.Header.Peek(fasthttp.HeaderAcceptEncoding)) {
		return
	}
	packed := fasthttp.AppendGzipBytesLevel(nil, b, fasthttp.CompressDefaultCompression)
	c.ctx.Response.SetBodyRaw(packed)
	c.ctx.Response.Header.SetContentEncoding("gzip")
}

// acceptsGzip reports whether an Accept-Encoding allows gzip by name.
func acceptsGzip(accept []byte) bool {
	for coding := range bytes.SplitSeq(accept, []byte(",")) {
		name, weight, _ := bytes.Cut(coding, []byte(";"))
		if !bytes.EqualFold(bytes.TrimSpace(name), []byte("gzip")) {
			continue
		}
		_, value, weighted := bytes.Cut(weight, []byte("q="))
		q, err := strconv.ParseFloat(string(bytes.TrimSpace(value)), 64)
		return !weighted || err == nil && q > 0
	}
	return false
}

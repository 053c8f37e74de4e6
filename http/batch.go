package http

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"github.com/edgecache/edgecache/registry"
)

// maxBatch is how many services one POST /v1/lookup may ask for.
const maxBatch = 1000

// batchWorkers is how many of them are looked up at a time.
const batchWorkers = 32

// A batchBody is the body of POST /v1/lookup: keys, and a query that holds for
// all of them.
type batchBody struct {
	keys  []registry.Key
	query registry.Query
}

// batch answers POST /v1/lookup: 200 with a status for each service.
func (s *Server) batch(c *call) error {
	if err := c.parse(&batchParameters); err != nil {
		return err
	}
	if !isJSON(c.ctx) {
		return mediaTypeFailure.because("Content-Type %q: application/json expected", c.ctx.Request.Header.ContentType())
	}
	body, err := s.parseBatch(c.ctx.PostBody())
	if err != nil {
		return err
	}
	if control := c.ctx.Request.Header.PeekBytes(headerCacheControl); len(control) > 0 {
		c.query = body.query
		if err := c.cacheControl(asString(control)); err != nil {
			return err
		}
		body.query = c.query
	}
	c.ctx.Response.Header.SetCanonical(headerCacheControl, valNoCache)
	c.body(typeJSON, s.lookupAll(c, body))
	return nil
}

// parseBatch reads the body strictly.
func (s *Server) parseBatch(raw []byte) (*batchBody, error) {
	b := &batchBody{query: registry.Query{MaxAge: -1, Timeout: s.timeout, Select: registry.DefaultSelect}}
	given := false
	fields := map[string]fieldDecoder{
		"services": func(raw []byte, path string) error {
			given = true
			return decodeArray(maxBatch, b.addKey)(raw, path)
		},
		"tag": func(raw []byte, path string) error {
			add := func(raw []byte, path string) error {
				var tag string
				err := decodeString(&tag)(raw, path)
				b.query.Select.Tags = append(b.query.Select.Tags, tag)
				return err
			}
			if len(raw) > 0 && raw[0] == '"' {
				return add(raw, path)
			}
			return decodeArray(maxBatch, add)(raw, path)
		},
		"version": decodeString(&b.query.Select.Version),
		"zone":    decodeString(&b.query.Select.Zone),
		"port":    decodeString(&b.query.Select.Port),
		"health": decodeVia(func(text string) (err error) {
			b.query.Select.Health, err = parseWorst(text)
			return err
		}),
		"kind":    decodeVia(func(text string) (err error) { b.query.Kind, err = registry.ParseKind(text); return err }),
		"max_age": decodeVia(func(text string) (err error) { b.query.MaxAge, err = parseAge(text); return err }),
		"filter":  decodeVia(func(text string) (err error) { b.query.Select.Expr, err = s.exprs.get(text); return err }),
	}
	if err := decodeObject(raw, "", fields); err != nil {
		return nil, err
	}
	if !given {
		return nil, badRequest("services", `services is missing; {"services":[{"name":"web"}]} expected`)
	}
	return b, nil
}

func (b *batchBody) addKey(raw []byte, path string) error {
	var k registry.Key
	err := decodeObject(raw, path, map[string]fieldDecoder{"name": decodeString(&k.Name), "registry": decodeString(&k.Registry)})
	if err != nil {
		return err
	}
	if err := registry.CheckName(k.Name); err != nil {
		return &bodyError{joinPath(path, "name"), err.Error()}
	}
	b.keys = append(b.keys, k)
	return nil
}

func decodeVia(parse func(text string) error) fieldDecoder {
	return func(raw []byte, path string) error {
		var text string
		if err := decodeString(&text)(raw, path); err != nil {
			return err
		}
		return parse(text)
	}
}

// lookupAll looks all keys up, some at a time and all within one timeout, and
// returns the body: results in the order of the keys.
func (s *Server) lookupAll(c *call, b *batchBody) []byte {
	ctx, cancel := context.WithTimeout(s.base, s.timeout)
	defer cancel()
	items := make([][]byte, len(b.keys))
	attrs := c.fix()
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(batchWorkers, len(b.keys)) {
		workers.Go(func() {
			defer s.guardWorker()
			var result registry.Result
			query := b.query
			for {
				i := int(next.Add(1)) - 1
				if i >= len(b.keys) {
					return
				}
				query.Name, query.Registry = b.keys[i].Name, b.keys[i].Registry
				err := s.resolve(ctx, &query, attrs, &result)
				items[i] = appendItem(nil, &result, err)
			}
		})
	}
	workers.Wait()
	dst := append(c.buffer(), `{"results":[`...)
	for i, item := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		if item == nil { // its worker panicked
			item = appendItem(nil, nil, internalFailure.because("the error is in the log"))
		}
		dst = append(dst, item...)
	}
	return append(dst, "]}"...)
}

// appendItem appends one result.
func appendItem(dst []byte, result *registry.Result, err error) []byte {
	dst = append(dst, `{"status":`...)
	if err != nil {
		p := problemOf(err)
		dst = strconv.AppendInt(dst, int64(p.Status), 10)
		return append(p.append(append(dst, `,"problem":`...)), '}')
	}
	dst = strconv.AppendInt(dst, fasthttp.StatusOK, 10)
	dst = append(dst, `,"service":`...)
	return append(registry.AppendAnswer(dst, result.Record, &result.Selection, result.Age, result.Stale), '}')
}

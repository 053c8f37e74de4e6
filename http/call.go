package http

import (
	"bytes"
	"net/netip"
	"time"
	"unsafe"

	"github.com/valyala/fasthttp"

	"github.com/edgecache/edgecache/registry"
)

// A call is one request in flight. Calls are pooled: nothing of one, and no
// string in it, may be kept after its handler returned.
type call struct {
	ctx   *fasthttp.RequestCtx
	port  *port
	live  *live       // the configuration the call began with
	token *tokenEntry // who asks; nil on routes that need no token
	shard *shard      // where it is counted
	class class
	seen  headerSet
	tick  uint32 // calls this object has served; every 64th is timed

	registry string // {registry} of the path
	name     string // the last {…} of the path
	search   []byte // what follows the ?, still encoded; nil: nothing

	query    registry.Query
	result   registry.Result
	view     view
	wait     time.Duration // < 0: the request does not block
	index    uint64        // of a request that blocks
	hasIndex bool
	tags     []string // backs query.Select.Tags
	params   []param
	scratch  []byte // holds decoded path and query
	text     []byte // holds header values while they are made
	client   netip.Addr
	zone     string // of the client, if zoned
	zoned    bool
}

func (s *Server) acquireCall(ctx *fasthttp.RequestCtx, p *port) *call {
	c := s.calls.Get().(*call)
	c.ctx, c.port, c.live = ctx, p, s.live.Load()
	return c
}

// release makes the call ready for the next request. Buffers stay unless they
// grew beyond what is usual.
func (c *call) release(s *Server) {
	const keep = 64 << 10
	if cap(c.scratch) > keep {
		c.scratch = nil
	}
	c.ctx, c.port, c.live, c.token = nil, nil, nil, nil
	c.registry, c.name, c.search, c.class = "", "", nil, classOther
	c.view, c.wait, c.index, c.hasIndex, c.params = viewRecord, -1, 0, false, c.params[:0]
	c.query = registry.Query{}
	c.result.Answer = registry.Answer{}
	c.client, c.zone, c.zoned = netip.Addr{}, "", false
	s.calls.Put(c)
}

// view is what an answer shows of a record.
type view uint8

const (
	viewRecord view = iota
	viewDocument
	viewAddresses
)

// asString returns b as a string without a copy: good until b changes.
func asString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// asBytes returns s as bytes without a copy. They must not be changed.
func asBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// Header, Query, ClientIP and ClientZone make a call the attributes that
// filters see.

// Header returns the first header of that name.
func (c *call) Header(name string) (string, bool) {
	v := c.ctx.Request.Header.Peek(name)
	return asString(v), v != nil
}

// Query returns the first parameter of that name.
func (c *call) Query(name string) (string, bool) {
	for i := range c.params {
		if c.params[i].key == name {
			return c.params[i].value, true
		}
	}
	return "", false
}

// ClientIP returns the client's address: through trusted proxies, the last
// address that none of them is known by.
func (c *call) ClientIP() netip.Addr {
	if c.client.IsValid() {
		return c.client
	}
	c.client = peerAddr(c.ctx)
	if !contains(c.live.trusted, c.client) {
		return c.client
	}
	forwarded := c.ctx.Request.Header.Peek(fasthttp.HeaderXForwardedFor)
	for len(forwarded) > 0 {
		last := forwarded
		if i := bytes.LastIndexByte(forwarded, ','); i >= 0 {
			forwarded, last = forwarded[:i], forwarded[i+1:]
		} else {
			forwarded = nil
		}
		addr, err := netip.ParseAddr(asString(bytes.TrimSpace(last)))
		if err != nil {
			break
		}
		c.client = addr.Unmap().WithZone("")
		if !contains(c.live.trusted, c.client) {
			break
		}
	}
	return c.client
}

// ClientZone returns what the client says in Edgecache-Zone, else the zone of
// its network, else the node's.
func (c *call) ClientZone() string {
	if !c.zoned { // several filters ask, and each more than once
		c.zone, c.zoned = c.findZone(), true
	}
	return c.zone
}

func (c *call) findZone() string {
	if zone := c.ctx.Request.Header.Peek("Edgecache-Zone"); len(zone) > 0 {
		return asString(zone)
	}
	addr := c.ClientIP()
	for i := range c.live.zones {
		if c.live.zones[i].network.Contains(addr) {
			return c.live.zones[i].zone
		}
	}
	return c.port.server.deps.Zone
}

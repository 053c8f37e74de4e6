package main

import (
	"context"
	"fmt"
)

// plainRegistry is one registry that is asked once an hour.
const plainRegistry = `  - {name: origin, type: httpjson, address: "http://%s", path: "` + originPath + `{name}", ttl: 1h}
`

// earlierRegistry is a registry of files, to stand before another one.
const earlierRegistry = `  - {name: files, type: file, path: %q}
`

func (b *bench) origin() (*origin, error) {
	return once(b, "origin", func() (*origin, error) { return b.newOrigin(nil) })
}

// plain is a node with one registry, which has answered for web.
func (b *bench) plain(ctx context.Context) (*node, error) {
	return once(b, "plain", func() (*node, error) {
		o, err := b.origin()
		if err != nil {
			return nil, err
		}
		n, err := b.startNode(ctx, "plain", fmt.Sprintf(plainRegistry, o.address))
		if err != nil {
			return nil, err
		}
		_, err = n.hits(ctx, n.service(name))
		return n, err
	})
}

// lookup is a contender that asks a node.
func (b *bench) lookup(side, url string) contender { return contender{side, b.wrk(url)} }

func hitFasthttp(ctx context.Context, b *bench) (result, error) {
	n, err := b.plain(ctx)
	if err != nil {
		return result{}, err
	}
	url := n.service(name)
	bare, err := b.startBare(ctx, "bare", url)
	if err != nil {
		return result{}, err
	}
	return b.versus(ctx, b.lookup("edgecache", url), contender{"bare fasthttp", b.wrk(bare)})
}

// hitDocument compares a hit of the document with a peer. The peer is started
// after the node has shown that it serves the origin's bytes.
func hitDocument(ctx context.Context, b *bench, peer func(*origin) (contender, error)) (result, error) {
	o, err := b.origin()
	if err != nil {
		return result{}, err
	}
	n, err := b.plain(ctx)
	if err != nil {
		return result{}, err
	}
	url := n.service(name) + "?view=document"
	if err := serves(url)(); err != nil {
		return result{}, err
	}
	theirs, err := peer(o)
	if err != nil {
		return result{}, err
	}
	return b.versus(ctx, b.lookup("edgecache", url), theirs)
}

func hitNginx(ctx context.Context, b *bench) (result, error) {
	return hitDocument(ctx, b, func(o *origin) (contender, error) {
		url, err := b.startNginx(ctx, o)
		return contender{"nginx", b.wrk(url)}, err
	})
}

func hitVarnish(ctx context.Context, b *bench) (result, error) {
	return hitDocument(ctx, b, func(o *origin) (contender, error) {
		url, err := b.startVarnish(ctx, o)
		return contender{"Varnish", b.wrk(url)}, err
	})
}

func hitRedis(ctx context.Context, b *bench) (result, error) {
	return hitDocument(ctx, b, func(*origin) (contender, error) {
		port, err := b.startRedis(ctx)
		return contender{"Redis GET", b.redisGet(port, name)}, err
	})
}

func hitSelected(ctx context.Context, b *bench) (result, error) {
	n, err := b.plain(ctx)
	if err != nil {
		return result{}, err
	}
	url := n.service(name)
	return b.versus(ctx, b.lookup("edgecache ?tag=v1", url+"?tag=v1"), b.lookup("edgecache", url))
}

func hitResolved(ctx context.Context, b *bench) (result, error) {
	n, err := b.plain(ctx)
	if err != nil {
		return result{}, err
	}
	o, err := b.origin()
	if err != nil {
		return result{}, err
	}
	file, err := b.write("services.yaml", "services:\n  - {name: other, instances: [{address: 10.1.0.1, port: 80}]}\n")
	if err != nil {
		return result{}, err
	}
	second, err := b.startNode(ctx, "second", fmt.Sprintf(earlierRegistry+plainRegistry, file, o.address))
	if err != nil {
		return result{}, err
	}
	if _, err := second.hits(ctx, second.service(name)); err != nil {
		return result{}, err
	}
	return b.versus(ctx, b.lookup("edgecache, second of two", second.service(name)), b.lookup("edgecache, the only one", n.service(name)))
}

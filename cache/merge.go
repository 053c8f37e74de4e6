package cache

import (
	"context"
	"strconv"
	"time"

	"github.com/edgecache/edgecache/registry"
)

// merge answers from a merge registry: what its parts have, united. It is
// stale if a part is and as old as its oldest part; absent parts add nothing,
// a part that is down makes it partial.
func (c *Cache) merge(ctx context.Context, u *upstream, q *registry.Query, now, until time.Duration, f *found) {
	var (
		records [8]*registry.Record
		parts   = records[:0]
		down    found
		isDown  bool
		absent  found
		p       found
		united  = found{class: classFound, hit: true, ttl: 1<<63 - 1}
	)
	for _, part := range u.parts {
		if !part.covers("", q.Name) {
			continue
		}
		p = found{}
		c.one(ctx, part, q, now, until, &p)
		united.hit = united.hit && (p.hit || p.class == classDown && p.fwdStatus == 0)
		switch p.class {
		case classDown:
			if !isDown {
				down, isDown = p, true
			}
		case classAbsent:
			p.index = max(p.index, absent.index)
			absent = p
		case classFound:
			parts = append(parts, p.rec)
			united.add(&p)
		}
		now = c.now()
	}
	switch {
	case len(parts) > 0:
		if isDown {
			united.details |= registry.DetailPartial
		}
		united.rec = c.derived.merged(c, u, q.Name, parts)
		united.index = united.rec.Index
		*f = united
	case isDown:
		*f = down
	default:
		*f = absent
		f.class, f.hit = classAbsent, f.hit || f.fwdStatus == 0
		f.details |= registry.DetailNegative
	}
}

// add makes f as stale and as old as a part of it is too.
func (f *found) add(p *found) {
	f.stale = f.stale || p.stale
	f.age, f.ttl = max(f.age, p.age), min(f.ttl, p.ttl)
	f.details |= p.details
	f.stored, f.collapsed = f.stored || p.stored, f.collapsed || p.collapsed
	f.fwd, f.fwdStatus = max(f.fwd, p.fwd), max(f.fwdStatus, p.fwdStatus)
	f.entry = p.entry
}

// unite makes one record of several: instance ids become part/id, one instance
// per address and port, one value per metadata key, document and versions of
// one part. The earlier part wins.
func unite(key registry.Key, kind registry.Kind, parts []*registry.Record) *registry.Record {
	out := &registry.Record{Key: key, Kind: kind, Wishes: registry.NoWishes}
	type place struct {
		address string
		port    uint16
	}
	taken := map[place]bool{}
	tags, metadata := map[string]bool{}, map[string]string{}
	for _, p := range parts {
		for i := range p.Instances {
			in := p.Instances[i]
			if main := in.Main(); main.Address != "" {
				at := place{main.Address, main.Port}
				if taken[at] {
					continue
				}
				taken[at] = true
			}
			in.ID = p.Key.Registry + "/" + in.ID
			in.Raw = registry.Span{}
			out.Instances = append(out.Instances, in)
		}
		for k, v := range p.Metadata.All() {
			if _, taken := metadata[k]; !taken {
				metadata[k] = v
			}
		}
		for _, t := range p.Tags {
			if !tags[t] {
				tags[t] = true
				out.Tags = append(out.Tags, t)
			}
		}
		if out.Document == nil && p.Document != nil {
			out.Document, out.MediaType = p.Document, p.MediaType
		}
		if out.Versions == nil {
			out.Versions = p.Versions
		}
		if out.Revision.Token != "" {
			out.Revision.Token += " "
		}
		out.Revision.Token += strconv.FormatUint(p.Hash(), 16)
	}
	out.Metadata = registry.MetadataOf(metadata)
	return out
}

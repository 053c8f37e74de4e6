package registry

import (
	"bytes"
	"slices"
	"strings"
)

// compact copies all strings of the record into one and all its lists into a
// few arrays: a record is then a handful of allocations, and no string of it
// keeps the response alive that it was cut out of. What an instance has in
// common with the one before it is there once. Key and Kind are the engine's
// and stay, as do documents, which are large.
func (r *Record) compact() {
	r.Instances, r.Versions = exact(r.Instances), exact(r.Versions)
	r.Document = trim(r.Document)
	var p packer
	p.record(r)
	p.move()
	p.record(r)
	r.size = r.measure(&p)
}

// exact returns a copy of a list without room to grow; nil for an empty one.
func exact[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return append(make([]T, 0, len(list)), list...)
}

// trim returns a copy of a document that is a small part of an array.
func trim(document []byte) []byte {
	if cap(document) > 2*len(document)+64 {
		return slices.Clip(bytes.Clone(document))
	}
	return document
}

// A packer goes over a record twice: first it counts, then it moves what it
// counted.
type packer struct {
	moving    bool
	length    int             // of all strings
	text      strings.Builder // all strings, moved
	endpoints shelf[Endpoint]
	texts     shelf[string]
	pairs     shelf[Pair]
}

// A shelf has the elements of all lists of one type.
type shelf[T comparable] struct {
	count int
	items []T // moved
}

// move makes room for what was counted.
func (p *packer) move() {
	p.moving = true
	p.text.Grow(p.length)
	p.endpoints.items = make([]Endpoint, 0, p.endpoints.count)
	p.texts.items = make([]string, 0, p.texts.count)
	p.pairs.items = make([]Pair, 0, p.pairs.count)
}

func (p *packer) record(r *Record) {
	r.Revision.Token = p.string(r.Revision.Token, "")
	r.MediaType = p.string(r.MediaType, mediaTypeJSON)
	r.Tags = pack(p, &p.texts, r.Tags, nil, (*packer).string)
	r.Metadata = pack(p, &p.pairs, r.Metadata, nil, (*packer).pair)
	before := &Instance{}
	for i := range r.Instances {
		p.instance(&r.Instances[i], before)
		before = &r.Instances[i]
	}
	for i := range r.Versions {
		v := &r.Versions[i]
		v.Version = p.string(v.Version, "")
		v.Status = p.string(v.Status, "")
		v.Labels = pack(p, &p.texts, v.Labels, nil, (*packer).string)
		v.Metadata = pack(p, &p.pairs, v.Metadata, nil, (*packer).pair)
		v.MediaType = p.string(v.MediaType, mediaTypeJSON)
		v.Document = trim(v.Document)
	}
}

func (p *packer) instance(in, before *Instance) {
	in.ID = p.string(in.ID, "")
	in.Version = p.string(in.Version, before.Version)
	in.Node = p.string(in.Node, before.Node)
	in.Region = p.string(in.Region, before.Region)
	in.Zone = p.string(in.Zone, before.Zone)
	in.Endpoints = pack(p, &p.endpoints, in.Endpoints, before.Endpoints, (*packer).endpoint)
	in.Tags = pack(p, &p.texts, in.Tags, before.Tags, (*packer).string)
	in.Metadata = pack(p, &p.pairs, in.Metadata, before.Metadata, (*packer).pair)
}

// pack counts or moves a list and returns it, or the equal one before it.
func pack[T comparable](p *packer, s *shelf[T], list, before []T, each func(p *packer, item, before T) T) []T {
	switch {
	case len(list) == 0:
		return nil
	case slices.Equal(list, before):
		return before
	}
	from := len(s.items)
	for i, item := range list {
		var like T
		if i < len(before) {
			like = before[i]
		}
		item = each(p, item, like)
		if p.moving {
			s.items = append(s.items, item)
		}
	}
	if !p.moving {
		s.count += len(list)
		return list
	}
	return s.items[from:len(s.items):len(s.items)]
}

func (p *packer) endpoint(e, before Endpoint) Endpoint {
	e.Name = p.string(e.Name, before.Name)
	e.Protocol = p.string(e.Protocol, before.Protocol)
	e.Address = p.string(e.Address, before.Address)
	e.URL = p.string(e.URL, before.URL)
	return e
}

func (p *packer) pair(pair, before Pair) Pair {
	return Pair{p.string(pair.Key, before.Key), p.string(pair.Value, before.Value)}
}

func (p *packer) string(s, before string) string {
	switch {
	case s == "":
		return "" // not an empty part of something
	case s == before:
		return before
	case !p.moving:
		p.length += len(s)
		return s
	}
	from := p.text.Len()
	p.text.WriteString(s)
	return p.text.String()[from:]
}

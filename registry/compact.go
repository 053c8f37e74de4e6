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
type shelf[T any] struct {
	count int
	items []T // moved
}

func (s *shelf[T]) add(p *packer, item *T) {
	if p.moving {
		s.items = append(s.items, *item)
	} else {
		s.count++
	}
}

// since returns what was moved of a list since there were so many.
func (s *shelf[T]) since(p *packer, from int, list []T) []T {
	if !p.moving {
		return list
	}
	return s.items[from:len(s.items):len(s.items)]
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
	r.Tags = p.list(r.Tags, nil)
	r.Metadata = p.metadata(r.Metadata, nil)
	before := &Instance{}
	for i := range r.Instances {
		p.instance(&r.Instances[i], before)
		before = &r.Instances[i]
	}
	for i := range r.Versions {
		v := &r.Versions[i]
		v.Version = p.string(v.Version, "")
		v.Status = p.string(v.Status, "")
		v.Labels = p.list(v.Labels, nil)
		v.Metadata = p.metadata(v.Metadata, nil)
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
	in.Endpoints = p.ways(in.Endpoints, before.Endpoints)
	in.Tags = p.list(in.Tags, before.Tags)
	in.Metadata = p.metadata(in.Metadata, before.Metadata)
}

// ways, list and metadata count or move a list and return it, or the equal one
// before it.
func (p *packer) ways(list, before []Endpoint) []Endpoint {
	switch {
	case len(list) == 0:
		return nil
	case slices.Equal(list, before):
		return before
	}
	from := len(p.endpoints.items)
	for i := range list {
		e, like := list[i], &Endpoint{}
		if i < len(before) {
			like = &before[i]
		}
		e.Name = p.string(e.Name, like.Name)
		e.Protocol = p.string(e.Protocol, like.Protocol)
		e.Address = p.string(e.Address, like.Address)
		e.URL = p.string(e.URL, like.URL)
		p.endpoints.add(p, &e)
	}
	return p.endpoints.since(p, from, list)
}

func (p *packer) list(list, before []string) []string {
	switch {
	case len(list) == 0:
		return nil
	case slices.Equal(list, before):
		return before
	}
	from := len(p.texts.items)
	for i, s := range list {
		like := ""
		if i < len(before) {
			like = before[i]
		}
		s = p.string(s, like)
		p.texts.add(p, &s)
	}
	return p.texts.since(p, from, list)
}

func (p *packer) metadata(list, before Metadata) Metadata {
	switch {
	case len(list) == 0:
		return nil
	case slices.Equal(list, before):
		return before
	}
	from := len(p.pairs.items)
	for i := range list {
		var like Pair
		if i < len(before) {
			like = before[i]
		}
		pair := Pair{p.string(list[i].Key, like.Key), p.string(list[i].Value, like.Value)}
		p.pairs.add(p, &pair)
	}
	return p.pairs.since(p, from, list)
}

// string counts or moves a string and returns it, or the equal one before it.
func (p *packer) string(s, before string) string {
	if s == before {
		return before
	}
	return p.other(s)
}

func (p *packer) other(s string) string {
	switch {
	case s == "":
		return "" // not an empty part of something
	case !p.moving:
		p.length += len(s)
		return s
	}
	from := p.text.Len()
	p.text.WriteString(s)
	return p.text.String()[from:]
}

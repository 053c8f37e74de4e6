package consul

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/edgecache/edgecache/registry"
)

var errFiltered = errors.New("empty because of ACL: a token with service:read and node:read expected")

// Lookup returns the record of a name, as [registry.Source] says.
func (s *Source) Lookup(ctx context.Context, name string, have *registry.Record) (*registry.Record, error) {
	var known registry.Revision
	if have != nil {
		known = have.Revision
		s.adopt(known)
	}
	a, err := s.ask(ctx, s.healthRead(name, known))
	if err != nil {
		if a == nil || have != nil {
			return nil, err
		}
		return s.lastResort(a, name, err)
	}
	if have != nil && len(have.Instances) > 0 && a.rev == known {
		return nil, registry.ErrNotModified
	}
	rec, err := s.record(ctx, a, name)
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, fmt.Errorf("registry %s: service %q: %w", s.options.Name, name, registry.ErrNotFound)
	}
	return rec, nil
}

// lastResort makes a record of an answer that may be old, for the callers who
// wait and have nothing else. It is no proof of absence.
func (s *Source) lastResort(a *answer, name string, err error) (*registry.Record, error) {
	rec, bad := s.parse(a, name)
	if bad != nil || len(rec.Instances) == 0 {
		return nil, err
	}
	rec.Wishes.NoStore = true
	return rec, nil
}

func (s *Source) healthRead(name string, known registry.Revision) read {
	q := url.Values{}
	if len(s.options.Tags) > 0 {
		q["tag"] = s.options.Tags
	}
	if s.options.Near != "" {
		q.Set("near", s.options.Near)
	}
	return read{path: "/v1/health/service/" + url.PathEscape(name), name: name, query: q, known: known}
}

// record returns the record that the answer holds, nil if there is no such
// service.
func (s *Source) record(ctx context.Context, a *answer, name string) (*registry.Record, error) {
	rec, err := s.parse(a, name)
	if err != nil {
		return nil, err
	}
	if len(rec.Instances) > 0 {
		return rec, nil
	}
	if a.filtered {
		return nil, s.unreadable(errFiltered)
	}
	listed, err := s.listed(ctx, name)
	if err != nil || !listed {
		return nil, err
	}
	return rec, nil
}

// parse makes a record of the answer; without instances if it is [].
func (s *Source) parse(a *answer, name string) (*registry.Record, error) {
	rec, err := parseHealth(a.body, name)
	if err != nil {
		return nil, s.unreadable(fmt.Errorf("service %q: %w", name, err))
	}
	rec.Revision = a.rev
	if s.options.Documents {
		rec.Document, rec.MediaType = slices.Clone(a.body), "application/json"
	} else {
		for i := range rec.Instances {
			rec.Instances[i].Raw = registry.Span{}
		}
	}
	return rec, nil
}

// listed reports whether the catalog has a service of which no instance has
// the tags. Without tags [] has said that it has none.
func (s *Source) listed(ctx context.Context, name string) (bool, error) {
	if len(s.options.Tags) == 0 {
		return false, nil
	}
	a, err := s.ask(ctx, read{path: "/v1/catalog/service/" + url.PathEscape(name), name: name})
	if err != nil {
		return false, err
	}
	rows, err := parseRows(a.body)
	if err != nil {
		return false, s.unreadable(fmt.Errorf("catalog of service %q: %w", name, err))
	}
	if rows == 0 && a.filtered {
		return false, s.unreadable(errFiltered)
	}
	return rows > 0, nil
}

// List returns the names of all services, Options.Tags aside.
func (s *Source) List(ctx context.Context) ([]string, error) {
	a, err := s.ask(ctx, read{path: catalogPath})
	if err != nil {
		return nil, err
	}
	return s.names(a)
}

const catalogPath = "/v1/catalog/services"

// names returns the names of a list, in order, never nil. Names that cannot be
// asked for are left out.
func (s *Source) names(a *answer) ([]string, error) {
	names, err := parseNames(a.body)
	if err != nil {
		return nil, s.unreadable(fmt.Errorf("list of services: %w", err))
	}
	if len(names) == 0 && a.filtered {
		return nil, s.unreadable(errFiltered)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return registry.CheckName(n) != nil })
	slices.Sort(names)
	return names, nil
}

package registry

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

var endpointFields = []string{"name", "address", "port", "protocol", "tls", "url"}

func (p *parser) endpointList() ([]Endpoint, error) {
	var list []Endpoint
	err := p.array(func(int) error {
		var e Endpoint
		err := p.object(endpointFields, func(field string) error { return p.endpointField(&e, field) })
		list = append(list, e)
		return err
	})
	return list, err
}

func (p *parser) endpointField(e *Endpoint, field string) (err error) {
	switch field {
	case "name":
		e.Name, err = p.string()
	case "address":
		e.Address, err = p.string()
	case "port":
		e.Port, err = p.uint16()
	case "protocol":
		e.Protocol, err = p.string()
	case "tls":
		e.TLS, err = p.bool()
	case "url":
		e.URL, err = p.string()
	}
	return err
}

// unite makes one list of the flat endpoint and the list. An endpoint that gives
// neither address nor URL has the flat one's address. The flat one is the
// first of the list that agrees with it, or else one more.
func (p *parser) unite(flat Endpoint, list []Endpoint) ([]Endpoint, error) {
	if len(list) == 0 { // as mostly
		if err := flat.check(); err != nil {
			return nil, p.errorf("%w", err)
		}
		return p.one(flat), nil
	}
	all := make([]Endpoint, 0, len(list)+1)
	main := -1
	for i := range list {
		e := list[i]
		if e.Address == "" && e.URL == "" {
			e.Address = flat.Address
		}
		if main < 0 && flat.agrees(&e) {
			main = i
		}
		all = append(all, e)
	}
	if main < 0 && (flat.Port != 0 || flat.URL != "" || flat.Protocol != "" || flat.TLS) {
		main = len(all)
		all = append(all, flat)
	}
	if main > 0 {
		e := all[main]
		all = slices.Insert(slices.Delete(all, main, main+1), 0, e)
	}
	for i := range all {
		if err := all[i].check(); err != nil {
			return nil, p.errorf("endpoint %q: %w", all[i].Name, err)
		}
	}
	return all, nil
}

// one returns a list of one, which lies beside others.
func (p *parser) one(e Endpoint) []Endpoint {
	n := len(p.ways)
	if n == cap(p.ways) {
		p.ways, n = make([]Endpoint, 0, min(max(8, 2*n), 256)), 0
	}
	p.ways = append(p.ways, e)
	return p.ways[n : n+1 : n+1]
}

// agrees reports whether e has all that the flat endpoint says.
func (flat *Endpoint) agrees(e *Endpoint) bool {
	return (flat.Address == "" || flat.Address == e.Address) &&
		(flat.Port == 0 || flat.Port == e.Port) &&
		(flat.Protocol == "" || flat.Protocol == e.Protocol) &&
		(!flat.TLS || e.TLS) &&
		(flat.URL == "" || flat.URL == e.URL)
}

func (e *Endpoint) check() error {
	switch {
	case e.Address == "" && e.URL == "":
		return errors.New("address or url expected")
	case e.Protocol == "unix":
		return nil
	case strings.ContainsAny(e.Address, " /[]\t\r\n"):
		return fmt.Errorf("address %q: a host name or an IP address without brackets expected", e.Address)
	case strings.Contains(e.Address, ":"):
		if _, err := netip.ParseAddr(e.Address); err != nil {
			return fmt.Errorf("address %q: a host name or an IP address expected, and the port in the field port", e.Address)
		}
	}
	return nil
}

// defaultID is the id of an instance whose registry gives none.
func (e *Endpoint) defaultID() string {
	switch {
	case e.Address == "":
		return e.URL
	case e.Port == 0:
		return e.Address
	}
	return net.JoinHostPort(e.Address, strconv.Itoa(int(e.Port)))
}

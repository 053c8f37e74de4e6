package edgecache

// An Endpoint is one more way to reach an instance, as it is made. One without an
// address and a URL has the instance's address.
type Endpoint struct {
	name, address, protocol, url string

	port uint16
	tls  bool
}

// Endpoint adds an endpoint, for instances that can be reached in several ways. One
// that says no other than the instance's own address, port, protocol and URL do is
// that one, with a name.
func (in *Instance) Endpoint(name string) *Endpoint {
	e := &Endpoint{name: name}
	in.endpoints = append(in.endpoints, e)
	return e
}

// Address sets a host's name or an IP address.
func (e *Endpoint) Address(address string) *Endpoint {
	e.address = address
	return e
}

// Port sets the port; 0 is none.
func (e *Endpoint) Port(port uint16) *Endpoint {
	e.port = port
	return e
}

// Protocol sets what is spoken there, as an instance's.
func (e *Endpoint) Protocol(protocol string) *Endpoint {
	e.protocol = protocol
	return e
}

// TLS says whether TLS is spoken.
func (e *Endpoint) TLS(tls bool) *Endpoint {
	e.tls = tls
	return e
}

// URL sets where it is, if its registry gives a URL.
func (e *Endpoint) URL(url string) *Endpoint {
	e.url = url
	return e
}

func appendEndpoints(b []byte, list []*Endpoint) []byte {
	if len(list) == 0 {
		return b
	}
	b = append(b, `,"endpoints":[`...)
	for i, e := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"name":`...), e.name)
		b = appendField(b, `,"address":`, e.address)
		if e.port != 0 {
			b = appendInt(appendName(b, "port"), int64(e.port))
		}
		b = appendField(b, `,"protocol":`, e.protocol)
		if e.tls {
			b = append(b, `,"tls":true`...)
		}
		b = append(appendField(b, `,"url":`, e.url), '}')
	}
	return append(b, ']')
}

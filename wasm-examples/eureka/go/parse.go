package main

import (
	"io"

	edgecache "github.com/edgecache/edgecache/pdk/go/adapter"
)

// A summary is what an answer says of all applications.
type summary struct {
	hash    string
	hashed  bool // it says a hash
	version string
}

// readApplication reads the answer about one application.
func readApplication(r io.Reader) (app *application, err error) {
	p := edgecache.NewJSON(r)
	err = p.Object(func(key string) (err error) {
		if key == "application" {
			app, err = parseApplication(p, true)
		}
		return err
	})
	if err == nil && app == nil {
		err = edgecache.Unexpected("application: an object expected, found none")
	}
	return app, err
}

// readApplications reads an answer about all applications, or about changes, and
// calls each with one after the other; their instances are read if they are
// wanted.
func readApplications(r io.Reader, instances bool, each func(*application)) (*summary, error) {
	p := edgecache.NewJSON(r)
	var s *summary
	err := p.Object(func(key string) error {
		if key != "applications" {
			return nil
		}
		s = &summary{}
		return p.Object(func(key string) (err error) {
			switch key {
			case "apps__hashcode":
				s.hash, err = p.Text()
				s.hashed = true
			case "versions__delta":
				s.version, err = p.Text()
			case "application":
				return oneOrMany(p, func() error {
					app, err := parseApplication(p, instances)
					if err == nil {
						each(app)
					}
					return err
				})
			}
			return err
		})
	})
	if err == nil && s == nil {
		err = edgecache.Unexpected("applications: an object expected, found none")
	}
	return s, err
}

// oneOrMany calls f at each element of a list. Encoders write a list of one as that
// one, and one of none as null or an empty string.
func oneOrMany(p *edgecache.JSON, f func() error) error {
	switch p.Kind() {
	case '{':
		return f()
	case 'n':
		return p.Skip()
	case '"':
		if text, err := p.String(); text != "" || err != nil {
			return edgecache.Unexpected("a list expected, found a string")
		}
		return nil
	}
	return p.Array(func(int) error { return f() })
}

func parseApplication(p *edgecache.JSON, instances bool) (*application, error) {
	app := &application{instances: map[string]*instance{}}
	err := p.Object(func(key string) (err error) {
		switch {
		case key == "name":
			app.name, err = text(p)
		case key == "instance" && instances:
			err = oneOrMany(p, func() error {
				app.take(parseInstance(p))
				return p.Err()
			})
		}
		return err
	})
	if err == nil && app.name == "" {
		err = edgecache.Unexpected("a name expected, found none")
	}
	return app, err
}

// A wireInstance is what Eureka says of an instance. Numbers are text: encoders
// differ in how they write them.
type wireInstance struct {
	id, host, ip, status, vip, secureVIP, homePage, updated, action string

	port, securePort           wirePort
	metadata                   [][2]string
	zone, amazonID, registered string // from within dataCenterInfo and leaseInfo
}

type wirePort struct{ number, enabled string }

// parseInstance reads an instance. It reads on after a field of a wrong type.
func parseInstance(p *edgecache.JSON) *instance {
	var w wireInstance
	wrong := p.Object(func(key string) (err error) {
		switch key {
		case "instanceId":
			w.id, err = p.Text()
		case "hostName":
			w.host, err = text(p)
		case "ipAddr":
			w.ip, err = text(p)
		case "status":
			w.status, err = text(p)
		case "port":
			err = w.port.parse(p)
		case "securePort":
			err = w.securePort.parse(p)
		case "vipAddress":
			w.vip, err = text(p)
		case "secureVipAddress":
			w.secureVIP, err = text(p)
		case "homePageUrl":
			w.homePage, err = text(p)
		case "metadata":
			w.metadata, err = parseMetadata(p)
		case "dataCenterInfo":
			err = w.parseDataCenter(p)
		case "leaseInfo":
			err = w.parseLease(p)
		case "lastUpdatedTimestamp":
			w.updated, err = p.Text()
		case "actionType":
			w.action, err = text(p)
		}
		return err
	})
	return newInstance(&w, wrong)
}

func (port *wirePort) parse(p *edgecache.JSON) error {
	return p.Object(func(key string) (err error) {
		switch key {
		case "$":
			port.number, err = p.Text()
		case "@enabled":
			port.enabled, err = p.Text()
		}
		return err
	})
}

func (w *wireInstance) parseDataCenter(p *edgecache.JSON) error {
	if p.Null() {
		return nil
	}
	return p.Object(func(key string) error {
		if key != "metadata" || p.Kind() != '{' {
			return nil
		}
		metadata, err := parseMetadata(p)
		w.zone, w.amazonID = of(metadata, "availability-zone"), of(metadata, "instance-id")
		return err
	})
}

func (w *wireInstance) parseLease(p *edgecache.JSON) error {
	if p.Null() {
		return nil
	}
	return p.Object(func(key string) (err error) {
		if key == "registrationTimestamp" {
			w.registered, err = p.Text()
		}
		return err
	})
}

// parseMetadata reads an object's members: strings as they are, others as JSON.
func parseMetadata(p *edgecache.JSON) ([][2]string, error) {
	switch p.Kind() {
	case 'n':
		return nil, p.Skip()
	case '"': // as some encoders write an empty one
		if text, err := p.String(); text != "" || err != nil {
			return nil, edgecache.Unexpected("an object expected, found a string")
		}
		return nil, nil
	}
	metadata := make([][2]string, 0, 8)
	err := p.Object(func(key string) (err error) {
		pair := [2]string{key}
		if p.Kind() == '"' {
			pair[1], err = p.String()
		} else {
			var raw []byte
			raw, err = p.Raw()
			pair[1] = string(raw)
		}
		metadata = append(metadata, pair)
		return err
	})
	return metadata, err
}

// text reads a string, null being "".
func text(p *edgecache.JSON) (string, error) {
	if p.Null() {
		return "", nil
	}
	return p.String()
}

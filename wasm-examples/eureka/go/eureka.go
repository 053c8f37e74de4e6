// Command eureka is an adapter: it looks applications of Netflix's Eureka up,
// lists them and follows their changes. README.md tells of its configuration.
package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	edgecache "github.com/edgecache/edgecache/pdk/go/adapter"
)

func init() { edgecache.Adapter(start, lookup, list, poll) }

func main() {}

// Servers answer from a cache that is half a minute old.
const defaultPoll = 30 * time.Second

type options struct {
	urls                          []string
	authorization, address, names string
	secure                        bool
	pollMS                        int64
}

var config options

func start() error {
	c := &config
	*c = options{address: "ip", names: "lower", pollMS: defaultPoll.Milliseconds()}
	text, _ := edgecache.Config("")
	p := edgecache.NewJSON(strings.NewReader(text))
	if err := p.Object(func(key string) error { return c.read(p, key) }); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	servers, known, followed = nil, map[string]bool{}, state{}
	for _, url := range c.urls {
		if err := addServer(strings.TrimSpace(url)); err != nil {
			return err
		}
	}
	switch {
	case len(servers) == 0:
		return errors.New("url: the base of a server's API expected, as in http://10.0.0.5:8761/eureka, or a list of those")
	case c.address != "ip" && c.address != "host":
		return fmt.Errorf("address: %q: ip or host expected", c.address)
	case c.names != "lower" && c.names != "upper":
		return fmt.Errorf("names: %q: lower or upper expected", c.names)
	case c.pollMS < 1000:
		return fmt.Errorf("poll_ms: %d: 1000 or more expected", c.pollMS)
	}
	return nil
}

func (c *options) read(p *edgecache.JSON, key string) (err error) {
	switch key {
	case "url":
		if p.Kind() != '[' {
			list, err := p.String()
			c.urls = strings.Split(list, ",") // as clients of Eureka write them
			return err
		}
		return p.Array(func(int) error {
			url, err := p.String()
			c.urls = append(c.urls, url)
			return err
		})
	case "authorization":
		c.authorization, err = p.String()
	case "address":
		c.address, err = p.String()
	case "secure":
		c.secure, err = p.Bool()
	case "names":
		c.names, err = p.String()
	case "poll_ms":
		c.pollMS, err = p.Int()
	default:
		return edgecache.Unexpected("unknown; url, authorization, address, secure, names, poll_ms expected")
	}
	return err
}

func addServer(url string) error {
	scheme, rest, _ := strings.Cut(url, "://")
	host, _, _ := strings.Cut(rest, "/")
	switch {
	case scheme != "http" && scheme != "https" || host == "" || strings.ContainsAny(url, " ?#"):
		return fmt.Errorf("url: %q: the base of a server's API expected, as in http://10.0.0.5:8761/eureka", url)
	case strings.Contains(host, "@"):
		return errors.New(`url: a name and password have no place here: give authorization: "Basic ${secret.NAME}", the secret being base64 of name:password`)
	}
	servers = append(servers, strings.TrimRight(url, "/"))
	return nil
}

// nameOf is what lists and polls call an application. Eureka has all in capitals,
// and Spring's clients use small letters.
func nameOf(app string) string {
	if config.names == "upper" {
		return strings.ToUpper(app)
	}
	return strings.ToLower(app)
}

func lookup(name, _ string) (edgecache.Answer, error) {
	var answer edgecache.Answer
	_, err := ask("/apps/"+edgecache.Escape(strings.ToUpper(name)), func(server string, r *edgecache.Response) error {
		switch r.Status() {
		case 404:
			answer = edgecache.NotFound()
			return isEureka(server)
		case 403:
			return errRefused
		}
		app, err := readApplication(r)
		if err != nil {
			return err
		}
		if !strings.EqualFold(app.name, name) {
			return fmt.Errorf("application.name: %q expected, found %q", strings.ToUpper(name), app.name)
		}
		if app.unreadable() {
			return errors.New("none of its instances can be read, see the log")
		}
		answer = edgecache.Found(app.record(name), "")
		return nil
	})
	return answer, err
}

func list(string) (names []string, next string, err error) {
	_, err = ask("/apps", func(_ string, r *edgecache.Response) error {
		names = nil
		if r.Status() != 200 {
			return refusal(r.Status())
		}
		_, err := readApplications(r, false, func(app *application) {
			if name := nameOf(app.name); nameable(name) {
				names = append(names, name)
			}
		})
		return err
	})
	return names, "", err
}

// nameable reports whether edgecache takes a name.
func nameable(name string) bool {
	bad := name == "" || len(name) > 512 || strings.ContainsFunc(name, func(c rune) bool { return c < 0x20 || c >= 0x7f && c <= 0x9f })
	for _, segment := range strings.Split(name, "/") {
		bad = bad || segment == "" || segment == "." || segment == ".."
	}
	if bad {
		edgecache.Log(edgecache.Warn, fmt.Sprintf("the application %q is left out: edgecache has no such names", name))
	}
	return !bad
}

package main

import (
	"errors"
	"strings"
	"time"

	edgecache "github.com/edgecache/edgecache/pdk/go/adapter"
)

var (
	servers []string        // in the configuration's order
	first   int             // the one that answered last: the next request begins with it
	known   map[string]bool // servers that answered as Eureka does
)

var (
	errNoAPI   = edgecache.Failed(edgecache.ErrUnsupported, "404: url should end in the path of Eureka's API, as in http://10.0.0.5:8761/eureka")
	errRefused = edgecache.Failed(edgecache.ErrUnavailable, "403, as of a server that is starting")
)

func refusal(status int) error {
	if status == 404 {
		return errNoAPI
	}
	return errRefused
}

// ask sends a request to one server after the other until read understands an
// answer, and returns which one's. read gets answers 200, and 404 and 403.
func ask(path string, read func(server string, r *edgecache.Response) error) (server string, err error) {
	var failures []string
	var code edgecache.Code
	for i := range servers {
		at := (first + i) % len(servers)
		server := servers[at]
		var share time.Duration // the last one has all that is left
		if left := len(servers) - i; left > 1 {
			share = edgecache.Deadline() / time.Duration(left)
		}
		if err := askOne(server, path, share, read); err != nil {
			failures = append(failures, err.Error())
			if code == 0 {
				errors.As(err, &code)
			}
			continue
		}
		first = at
		return server, nil
	}
	return "", edgecache.Failed(code, "%s", strings.Join(failures, "; "))
}

func askOne(server, path string, timeout time.Duration, read func(string, *edgecache.Response) error) error {
	request := edgecache.NewRequest("GET", server+path).Header("Accept", "application/json").Timeout(timeout)
	if config.authorization != "" {
		request.Header("Authorization", config.authorization)
	}
	r, err := request.Send()
	if err != nil {
		return err
	}
	defer r.Close()
	where := "GET " + server + path
	switch status := r.Status(); status {
	case 200, 403, 404:
		if err := read(server, r); err != nil {
			return told(where, err)
		}
		known[server] = known[server] || status == 200
		return nil
	case 401:
		return edgecache.Failed(edgecache.ErrDenied, "%s: 401: authorization is missing, or wrong", where)
	case 429:
		return edgecache.Failed(edgecache.ErrRateLimited, "%s: 429", where)
	default:
		return edgecache.Failed(edgecache.ErrUnavailable, "%s: %d", where, status)
	}
}

// told says whose answer was not understood. What is no failure of the host's has
// the code of an answer that makes no sense.
func told(where string, err error) error {
	code := edgecache.ErrInternal
	errors.As(err, &code)
	return edgecache.Failed(code, "%s: %v", where, err)
}

// isEureka checks that a server which knows nothing of an application knows
// Eureka's API: any web server answers 404.
func isEureka(server string) error {
	if known[server] {
		return nil
	}
	return askOne(server, "/apps/delta", 0, func(_ string, r *edgecache.Response) error {
		switch r.Status() {
		case 403: // changes are switched off, or the server is starting
			return nil
		case 404:
			return errNoAPI
		}
		_, err := readApplications(r, false, func(*application) {})
		return err
	})
}

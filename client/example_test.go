package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/edgecache/edgecache/client"
)

// node stands for a running edgecache node.
func node() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/services/web" {
			problem(w, http.StatusNotFound, `{"type":"urn:edgecache:not-found","detail":"no registry has it"}`)
			return
		}
		io.WriteString(w, webJSON)
	}))
}

func ExampleClient_Lookup() {
	server := node()
	defer server.Close()
	c, err := client.New(client.Options{Address: server.URL})
	if err != nil {
		panic(err)
	}
	defer c.Close()

	web, err := c.Lookup(context.Background(), "web", client.Query{Zone: "eu-1a"})
	if err != nil {
		panic(err)
	}
	for _, in := range web.Instances {
		fmt.Println(in.ID, in.Address, in.Port, "known", web.Freshness.Age, "ago")
	}
	_, err = c.Lookup(context.Background(), "absent", client.Query{})
	fmt.Println(errors.Is(err, client.ErrNotFound), err)
	// Output:
	// web-1 10.0.0.1 8080 known 412ms ago
	// true no registry has it (404 not-found)
}

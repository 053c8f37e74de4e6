// Package client speaks to an edgecache node: lookups, lists, watches and,
// on the admin port, invalidations and the node's state. It needs the standard
// library and, for the types of what a node says of itself, package registry.
//
// A node's refusal is a [*Problem]; one that says that something does not
// exist matches [ErrNotFound].
//
//	c, err := client.New(client.Options{Address: "127.0.0.1:7400"})
//	…
//	web, err := c.Lookup(ctx, "web", client.Query{Zone: "eu-1a"})
//	switch {
//	case errors.Is(err, client.ErrNotFound):
//	case err != nil:
//	default:
//		for _, in := range web.Instances { … }
//	}
package client

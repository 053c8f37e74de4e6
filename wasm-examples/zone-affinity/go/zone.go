// Command zone is a filter: instances in the client's zone first, or only those.
//
// Configuration: {"strict": true} drops the others where there are any in the
// zone; otherwise they follow.
package main

import edgecache "github.com/edgecache/edgecache/pdk/go"

// zone is its place in the manifest's needs.
const zone = 0

var strict bool

func init() { edgecache.Filter(start, decide) }

func start() error {
	value, _ := edgecache.Config("/strict")
	strict = value == "true"
	return nil
}

func decide(call *edgecache.Call) edgecache.Verdict {
	place, ok := call.Place(zone)
	if !ok {
		return edgecache.Pass.Cacheable()
	}
	keep := call.KeepZone(place)
	switch {
	case keep.Len() == 0:
		return edgecache.Pass.Cacheable()
	case strict:
		return keep.Verdict().Cacheable()
	}
	return keep.First().Cacheable()
}

func main() {}

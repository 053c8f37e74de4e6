// Command zone is a filter: instances in the client's zone first, or only those.
//
// Configuration: {"strict": true} drops the others where there are any in the
// zone; otherwise they follow.
package main

import edgecache "github.com/edgecache/edgecache/pdk/go"

// The manifest's needs.
const (
	zoneHash = iota
	zoneText
)

var strict bool

func init() { edgecache.Filter(start, decide) }

func start() error {
	value, _ := edgecache.Config("/strict")
	strict = value == "true"
	return nil
}

func decide(call *edgecache.Call) edgecache.Verdict {
	hash, ok := call.Number(zoneHash)
	if !ok {
		return edgecache.Pass.Cacheable()
	}
	zone, _ := call.Attribute(zoneText)
	keep := call.Keep()
	for i := range call.Count() {
		if near(call.At(i), hash, zone) {
			keep.Add(i)
		}
	}
	switch {
	case keep.Len() == 0:
		return edgecache.Pass.Cacheable()
	case strict:
		return keep.Verdict().Cacheable()
	}
	return keep.First().Cacheable()
}

// near compares the text too: two zones may share a hash.
func near(in *edgecache.Instance, hash uint32, zone string) bool {
	return in.ZoneHash() == hash && edgecache.Same(in.Zone(), zone)
}

func main() {}

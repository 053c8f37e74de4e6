package registry

import "time"

// A Copy is what one node knows of a key, for another node. Its entry has the
// strictest mode of what covers it there; Began and Verified say nothing.
type Copy struct {
	Entry
	Age   time.Duration // since its registry confirmed it
	Fresh bool          // it is, there
	// Provisional says that its registry said the same after an invalidation as
	// before, and is asked again soon.
	Provisional bool
}

// A PeerCopy is the copy of one peer.
type PeerCopy struct {
	Name string // of the peer
	Copy
}

// An Ask is a question for a Copy.
type Ask struct {
	Key
	Owner   Key           // whose owner is asked
	Source  string        // fingerprint of the registry: only from the same one
	Younger time.Duration // it must be; below 0: any fresh one will do
	Any     bool          // any peer's will do, and a stale one too
}

// Suits reports whether a copy is what a asks for.
func (c *Copy) Suits(a Ask) bool {
	return a.Any || c.Fresh && (a.Younger < 0 || c.Age < a.Younger)
}

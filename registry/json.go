package registry

// Fragments is the native JSON of a record, built at first use and shared by
// all answers. An answer is
//
//	{"age_ms":412,"stale":false, + All
//
// or, for a selection, Head + the picked instances with commas between + Tail.
type Fragments struct {
	All       []byte   // `"name":"web",…,"index":1,"instances":[…],…}`: everything after age and stale
	Head      int      // All[:Head] ends with `"instances":[`
	Tail      int      // All[Tail:] begins with `]`
	ends      []uint32 // instance i ends before All[ends[i]], without a comma
	ETag      string   // weak, of the whole record: `W/"…"`
	IndexText string   // Index in decimal, for headers
}

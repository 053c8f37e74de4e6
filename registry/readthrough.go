package registry

import "context"

type readThroughKey struct{}

// ReadThrough returns a context whose lookups must be answered by the
// registry's own latest state and by no replica or mirror that may lag: the
// engine asks so after an invalidation. A source that has no such choice
// ignores it.
func ReadThrough(ctx context.Context) context.Context {
	return context.WithValue(ctx, readThroughKey{}, true)
}

// IsReadThrough reports whether ctx came from [ReadThrough].
func IsReadThrough(ctx context.Context) bool {
	wanted, _ := ctx.Value(readThroughKey{}).(bool)
	return wanted
}

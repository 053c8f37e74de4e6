package registry

import "context"

// A Sink takes what a feed or an administrator says of the outside world.
// Both methods return once the node has it on disk: then a feed commits its
// offset. An error matching [ErrNotDurable] means applied and sent, but not
// on this disk.
type Sink interface {
	// Invalidate applies inv and gives it its id. Mode and Selectors must be set.
	Invalidate(ctx context.Context, inv *Invalidation) error
	// Upsert offers a record that a feed carried, as a watch would.
	Upsert(ctx context.Context, rec *Record) error
}

package registry

import "context"

// A Trace starts a span of the given name ("lookup", "fill", "upstream") and
// returns the context that carries it and a function that ends it. A nil Trace
// means that tracing is off: check before calling, so that it costs nothing.
type Trace func(ctx context.Context, span string, key Key) (context.Context, func(error))

// Start starts a span if t is not nil.
func (t Trace) Start(ctx context.Context, span string, key Key) (context.Context, func(error)) {
	if t == nil {
		return ctx, func(error) {}
	}
	return t(ctx, span, key)
}

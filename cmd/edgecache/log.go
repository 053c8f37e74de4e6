package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
)

// logOptions are the config section `log`.
type logOptions struct {
	Level  string `yaml:"level"`  // debug, info, warn, error
	Format string `yaml:"format"` // text, json
}

// Validate returns all mistakes at once.
func (o logOptions) Validate() error {
	var errs []error
	var level slog.Level
	if o.Level == "" || level.UnmarshalText([]byte(o.Level)) != nil {
		errs = append(errs, fmt.Errorf("level: %q: debug, info, warn or error expected", o.Level))
	}
	if o.Format != "text" && o.Format != "json" {
		errs = append(errs, fmt.Errorf("format: %q: text or json expected", o.Format))
	}
	return errors.Join(errs...)
}

// A logHandler writes records as text or JSON. Loggers made from it follow
// when level and format change.
type logHandler struct {
	state      *logState
	text, json slog.Handler
}

type logState struct {
	level slog.LevelVar
	json  atomic.Bool
}

// newLogHandler returns a handler that writes to w. o must be valid.
func newLogHandler(w io.Writer, o logOptions) *logHandler {
	state := &logState{}
	opts := &slog.HandlerOptions{Level: &state.level}
	h := &logHandler{state, slog.NewTextHandler(w, opts), slog.NewJSONHandler(w, opts)}
	h.apply(o)
	return h
}

// apply changes level and format of all loggers made from h. o must be valid.
func (h *logHandler) apply(o logOptions) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.Level)); err == nil {
		h.state.level.Set(level)
	}
	h.state.json.Store(o.Format == "json")
}

func (h *logHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.state.level.Level() }

func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	if h.state.json.Load() {
		return h.json.Handle(ctx, r)
	}
	return h.text.Handle(ctx, r)
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{h.state, h.text.WithAttrs(attrs), h.json.WithAttrs(attrs)}
}

func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{h.state, h.text.WithGroup(name), h.json.WithGroup(name)}
}

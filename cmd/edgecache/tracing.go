package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/edgecache/edgecache/registry"
)

// tracingOptions are the config section `tracing`.
type tracingOptions struct {
	Endpoint string         `yaml:"endpoint"` // base URL of an OTLP/HTTP receiver; "": off
	Sample   registry.Share `yaml:"sample"`   // of the lookups
}

// Validate returns all mistakes at once.
func (o tracingOptions) Validate() error {
	u, err := url.Parse(o.Endpoint)
	if o.Endpoint != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		return fmt.Errorf("endpoint: %q: a URL like http://127.0.0.1:4318 expected", o.Endpoint)
	}
	return nil
}

// flushTimeout bounds how long the last spans may hold up the end.
const flushTimeout = 3 * time.Second

// A tracing sends spans to an OTLP receiver. Off, trace and inject are nil.
type tracing struct {
	log      *slog.Logger
	provider *sdktrace.TracerProvider
	trace    registry.Trace
	inject   func(ctx context.Context, h http.Header)
}

func newTracing(o tracingOptions, node string, log *slog.Logger) (*tracing, error) {
	if o.Endpoint == "" {
		return &tracing{}, nil
	}
	endpoint, err := url.Parse(o.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("tracing.endpoint: %w", err)
	}
	if endpoint.Path == "" || endpoint.Path == "/" {
		endpoint.Path = "/v1/traces"
	}
	exporter, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(endpoint.String()))
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	// The SDK offers no other way to hear of spans that could not be sent.
	otel.SetErrorHandler(&lossLogger{log: log})
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(float64(o.Sample)))),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "edgecache"),
			attribute.String("service.version", version()),
			attribute.String("service.instance.id", node),
		)),
	)
	tracer := provider.Tracer("github.com/edgecache/edgecache")
	headers := propagation.TraceContext{}
	return &tracing{
		log: log, provider: provider,
		trace: func(ctx context.Context, span string, key registry.Key) (context.Context, func(error)) {
			return startSpan(ctx, tracer, span, key)
		},
		inject: func(ctx context.Context, h http.Header) { headers.Inject(ctx, propagation.HeaderCarrier(h)) },
	}, nil
}

func startSpan(ctx context.Context, tracer trace.Tracer, name string, key registry.Key) (context.Context, func(error)) {
	kind := trace.SpanKindInternal
	switch name {
	case "lookup":
		kind = trace.SpanKindServer
	case "upstream":
		kind = trace.SpanKindClient
	}
	ctx, span := tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithAttributes(
		attribute.String("edgecache.name", key.Name),
		attribute.String("edgecache.registry", key.Registry)))
	return ctx, func(err error) {
		if err != nil && !errors.Is(err, registry.ErrNotFound) && !errors.Is(err, registry.ErrNotModified) {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

// close sends what is left and ends. Spans that cannot be sent are lost: the
// node goes on, and ends, without a receiver.
func (t *tracing) close() {
	if t.provider == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.log.Warn("last spans not sent", "err", err)
	}
}

// A lossLogger tells, at most once a minute, that spans could not be sent.
type lossLogger struct {
	log  *slog.Logger
	next atomic.Int64 // Unix seconds
}

// Handle implements otel.ErrorHandler.
func (l *lossLogger) Handle(err error) {
	now, next := time.Now().Unix(), l.next.Load()
	if now >= next && l.next.CompareAndSwap(next, now+60) {
		l.log.Warn("spans not sent", "err", err)
	}
}

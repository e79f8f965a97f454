package node

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/openspine/openspine/fault"
)

// tracer sends one span for each request to an OpenTelemetry collector, when one is configured; nil sends none. A span says what
// the log record says: the pattern, never the URL.
type tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// newTracer sends to an OTLP/HTTP collector, for example http://127.0.0.1:4318; empty means nil.
// What goes wrong on the way there is logged: nobody's request waits for it.
func newTracer(ctx context.Context, collector, name string, log *slog.Logger) (*tracer, error) {
	if collector == "" {
		return nil, nil //nolint:nilnil // no collector, no tracer; every method of a nil tracer does nothing
	}
	where, err := url.Parse(collector)
	if err != nil || (where.Scheme != "http" && where.Scheme != "https") || where.Host == "" {
		return nil, fault.New(fault.Invalid, "otlp: %q is not the URL of a collector; one is http://127.0.0.1:4318", collector)
	}
	if strings.Trim(where.Path, "/") == "" {
		where.Path = "/v1/traces" // OTLP specification, OTLP/HTTP request
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces cannot be sent", "cause", err) }))
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(where.String()))
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "otlp: %s cannot be used: %v", collector, err)
	}
	about := resource.NewSchemaless(attribute.String("service.name", "openspine"), attribute.String("service.instance.id", name))
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter, sdk.WithBatchTimeout(time.Second)), sdk.WithResource(about))
	return &tracer{provider, provider.Tracer("openspine/node")}, nil
}

// span is one request on its way; its zero value is of no trace.
type span struct{ trace.Span }

// begin starts the span of a request, below the caller's own when it names one (W3C traceparent).
func (t *tracer) begin(ctx context.Context, r *http.Request) (context.Context, span) {
	if t == nil {
		return ctx, span{}
	}
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
	ctx, s := t.tracer.Start(ctx, "request", trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attribute.String("http.request.method", printable(r.Method))))
	return ctx, span{s}
}

// end finishes the span with what the request came to.
func (s span) end(v *visit, status int) {
	if s.Span == nil {
		return
	}
	if v.pattern != "" {
		s.SetName(v.pattern)
	}
	s.SetAttributes(attribute.String("http.route", v.pattern), attribute.Int("http.response.status_code", status), attribute.String("openspine.request.id", v.id))
	if v.err != nil {
		kind := fault.KindOf(v.err)
		s.SetAttributes(attribute.String("error.type", kind.String()))
		if kind.HTTPStatus() >= 500 {
			s.SetStatus(codes.Error, kind.String())
		}
	}
	s.End()
}

// stop sends what has not been sent.
func (t *tracer) stop(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

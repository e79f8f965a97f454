package node

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/record"
)

// metrics are the node's own figures, in a registry of its own so that two nodes in one process do not mix.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	faults   *prometheus.CounterVec
	jobs     *prometheus.CounterVec
}

func (n *Node) newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "openspine_request_seconds", Help: "Time to answer a request, by method, route pattern and status.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .25, .5, 1, 5, 30},
		}, []string{"pattern", "status"}),
		faults: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "openspine_faults_total", Help: "Failures, by kind."}, []string{"kind"}),
		jobs:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "openspine_job_runs_total", Help: "Rounds of each job, by outcome."}, []string{"job", "outcome"}),
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	limits := func(state string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "openspine_referral_limits", ConstLabels: prometheus.Labels{"state": state},
			Help: "Referrals whose patient is near the limit of their wait, or is booked after it (near), or has passed it (passed); 0 on a node that keeps none."}, value)
	}
	refusals := func(why string, count func() int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "openspine_token_refusals_total", ConstLabels: prometheus.Labels{"why": why},
			Help: "Requests for tokens that were not looked at: rate, more than the client may send; shut, after too many wrong proofs."}, func() float64 { return float64(count()) })
	}
	m.registry.MustRegister(m.requests, m.faults, m.jobs, n.newLinkFigures(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		gauge("openspine_audit_unsealed", "Audit entries that are not yet sealed in the log.", n.unsealed),
		gauge("openspine_audit_online", "Audit entries in the database.", func() float64 { return n.kept(func(k audit.Kept) int64 { return k.Online }) }),
		gauge("openspine_audit_archived", "Audit entries in archives.", func() float64 { return n.kept(func(k audit.Kept) int64 { return k.Archived }) }),
		gauge("openspine_audit_archive_bytes", "Bytes of the archives of the account.", func() float64 { return n.kept(func(k audit.Kept) int64 { return k.Bytes }) }),
		gauge("openspine_post_waiting", "Messages that no recipient's queue has acknowledged or handled yet, held ones included.", func() float64 { return n.posted().waiting }),
		gauge("openspine_post_parked", "Messages that wait for a person.", func() float64 { return n.posted().parked }),
		gauge("openspine_post_oldest_seconds", "Age of the oldest message that waits or is held; 0 when none is.", func() float64 { return n.posted().oldest }),
		gauge("openspine_booking_differences", "What hospitals on this node and the spine know otherwise of slots and referrals; the target is 0.", n.differing),
		limits("near", func() float64 { return n.flagged(false) }), limits("passed", func() float64 { return n.flagged(true) }),
		gauge("openspine_parked_changes", "Changes of the record that a watch could not handle, or that wait behind one.", func() float64 { return n.parked(func(s record.ParkedSum) float64 { return float64(s.Count) }) }),
		gauge("openspine_parked_oldest_seconds", "Age of the oldest parked change; 0 when none is.", func() float64 {
			return n.parked(func(s record.ParkedSum) float64 {
				if s.Count == 0 {
					return 0
				}
				return n.clock.Now().Sub(s.Oldest).Seconds()
			})
		}),
		refusals("rate", func() int64 { return n.door.Tokens().Refused().Rate }), refusals("shut", func() int64 { return n.door.Tokens().Refused().Shut }),
		gauge("openspine_requests_working", "Requests that are being worked on.", func() float64 { return float64(n.edge.working.now()) }),
		gauge("openspine_streams_open", "Streams that are open.", func() float64 { return float64(n.edge.open.now()) }),
		gauge("openspine_held_bytes", "Bytes of requests and answers beyond the first 64 KB of each that are held in memory.", func() float64 { return float64(n.edge.scales.held.Load()) }),
		gauge("openspine_disk_low", "1 while the disk is nearly full and changes are refused.", func() float64 {
			if n.low.Load() {
				return 1
			}
			return 0
		}))
	return m
}

// unsealed is -1 when the account cannot be asked.
func (n *Node) unsealed() float64 {
	count, err := n.kernel.Audit.Unsealed(context.Background())
	if err != nil {
		return -1
	}
	return float64(count)
}

// differing is -1 when it cannot be counted.
func (n *Node) differing() float64 {
	count, err := n.clinics.Differing(context.Background())
	if err != nil {
		return -1
	}
	return float64(count)
}

// flagged counts the referrals near the limit of their wait, or past it; -1 when they cannot be counted.
func (n *Node) flagged(passed bool) float64 {
	if n.referrals == nil {
		return 0
	}
	near, over, err := n.referrals.Flagged(context.Background())
	switch {
	case err != nil:
		return -1
	case passed:
		return float64(over)
	}
	return float64(near)
}

// parked is a figure of what is parked, -1 when the record cannot be asked.
func (n *Node) parked(figure func(record.ParkedSum) float64) float64 {
	sum, err := n.kernel.Records.ParkedSum(context.Background())
	if err != nil {
		return -1
	}
	return figure(sum)
}

// observe counts and logs one request.
func (n *Node) observe(r *http.Request, v *visit, w *countingWriter, took time.Duration) {
	pattern := v.pattern
	if pattern == "" {
		pattern = "none"
	}
	n.metrics.requests.WithLabelValues(pattern, strconv.Itoa(w.status)).Observe(took.Seconds())
	if v.err != nil {
		n.metrics.faults.WithLabelValues(fault.KindOf(v.err).String()).Inc()
	}
	logVisit(n.log, r, v, w, took)
}

// logVisit leaves the one wide record of a request. It names the pattern, never the URL: paths hold patients' numbers.
func logVisit(log *slog.Logger, r *http.Request, v *visit, w *countingWriter, took time.Duration) {
	level := slog.LevelInfo
	if v.err != nil && fault.KindOf(v.err) == fault.Internal {
		level = slog.LevelError
	}
	if !log.Enabled(r.Context(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("id", v.id), slog.String("method", printable(r.Method)), slog.String("pattern", v.pattern), slog.String("tenant", v.tenant.String()),
		slog.Int("status", w.status), slog.Int("bytes", w.bytes), slog.Duration("took", took),
	}
	if v.correlation != "" {
		attrs = append(attrs, slog.String("correlation", v.correlation))
	}
	if v.principal != nil {
		attrs = append(attrs, slog.String("actor", v.principal.ID), slog.String("role", string(v.principal.Role)))
	}
	if v.cut {
		attrs = append(attrs, slog.Bool("cut", true))
	}
	if v.err != nil {
		attrs = append(attrs, slog.String("fault", fault.KindOf(v.err).String()))
		if level == slog.LevelError {
			attrs = append(attrs, slog.String("cause", v.err.Error()))
		}
	}
	log.LogAttrs(r.Context(), level, "request", attrs...)
}

// countingWriter knows what was sent, for the log and the metrics.
type countingWriter struct {
	http.ResponseWriter
	status, bytes int
}

// WriteHeader notes the status.
func (c *countingWriter) WriteHeader(status int) {
	if c.status == 0 && status >= 200 {
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes.
func (c *countingWriter) Write(p []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	n, err := c.ResponseWriter.Write(p)
	c.bytes += n
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (c *countingWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// operations serves figures and profiles on a port of its own: never on the one that patients' data leaves by.
func (n *Node) operations() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// requestID is the caller's X-Request-ID when it is a UUID in its usual form, or a new one.
func requestID(r *http.Request) string {
	given := r.Header.Get("X-Request-Id")
	if len(given) == 36 {
		if id, err := uuid.Parse(given); err == nil {
			return id.String()
		}
	}
	return uuid.NewString()
}

// correlationID is the caller's X-Correlation-ID, which is given back and logged, when it is at most 100 letters, digits and
// -_.:~ and holds no number as long as a patient's; otherwise there is none.
func correlationID(r *http.Request) string {
	given := r.Header.Get("X-Correlation-Id")
	if len(given) > 100 || hasNumber(given) {
		return ""
	}
	for _, c := range given {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && !strings.ContainsRune("-_.:~", c) {
			return ""
		}
	}
	return given
}

// printable is a method as it may be shown: what a caller made up is not.
func printable(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT":
		return method
	}
	return "another method"
}

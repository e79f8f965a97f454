package node

import (
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/openspine/openspine/fault"
)

// metrics are the node's own figures, in a registry of its own so that two nodes in one process do not mix.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	faults   *prometheus.CounterVec
	jobs     *prometheus.CounterVec
}

func newMetrics(unsealed func() float64) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "openspine_request_seconds", Help: "Time to answer a request, by route pattern and status.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .25, .5, 1, 5},
		}, []string{"pattern", "status"}),
		faults: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "openspine_faults_total", Help: "Failures, by kind."}, []string{"kind"}),
		jobs:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "openspine_job_runs_total", Help: "Rounds of each job, by outcome."}, []string{"job", "outcome"}),
	}
	m.registry.MustRegister(m.requests, m.faults, m.jobs, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "openspine_audit_unsealed", Help: "Audit entries that are not yet sealed in the log."}, unsealed))
	return m
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

// requestID is the caller's X-Request-ID when it is a UUID, or a new one.
func requestID(r *http.Request) string {
	if id, err := uuid.Parse(r.Header.Get("X-Request-ID")); err == nil {
		return id.String()
	}
	return uuid.NewString()
}

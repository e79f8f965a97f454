package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
)

// bodyLimit bounds what one request may send, in bytes.
const bodyLimit = 64 << 20

// edge receives requests: it says who asks, lets the route's rule decide, accounts for what is shown, words what failed
// in the protocol of the route, and leaves one log record.
type edge struct {
	node *Node
	mux  *http.ServeMux
	csrf *http.CrossOriginProtection
}

// face words failures in one protocol.
type face interface {
	// Refuse writes err as the protocol says it.
	Refuse(w http.ResponseWriter, r *http.Request, err error)
}

// visit is what the edge knows of one request.
type visit struct {
	id        string
	principal *access.Principal
	asked     bool // whether the credentials have been looked at
	failure   error
	grants    []access.Grant
	scopes    []access.Scope
	pattern   string
	err       error
}

type visitKey struct{}

func visitOf(r *http.Request) *visit {
	v, ok := r.Context().Value(visitKey{}).(*visit)
	if !ok {
		panic("node: a request outside the edge")
	}
	return v
}

// RequestID is the id under which a request is logged and accounted.
func RequestID(ctx context.Context) string {
	if v, ok := ctx.Value(visitKey{}).(*visit); ok {
		return v.id
	}
	return ""
}

func newEdge(n *Node, services []catalogue.Service) *edge {
	e := &edge{node: n, mux: http.NewServeMux(), csrf: http.NewCrossOriginProtection()}
	for _, s := range services {
		for _, rt := range s.API {
			e.mux.Handle(rt.Pattern(), e.asAPI(e.handler(rt, n.apiFace)))
		}
		for _, rt := range s.Pages {
			e.mux.Handle(rt.Pattern(), e.asPage(e.handler(rt, n.pageFace)))
		}
	}
	return e
}

// ServeHTTP gives the request its id and tenant, runs the route and logs one record.
func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := e.node.clock.Now()
	v := &visit{id: requestID(r)}
	w.Header().Set("X-Request-ID", v.id)
	if c := r.Header.Get("X-Correlation-ID"); c != "" && len(c) <= 100 {
		w.Header().Set("X-Correlation-ID", c)
	}
	ctx := context.WithValue(r.Context(), visitKey{}, v)
	ctx = access.WithRequestID(ctx, v.id)
	counted := &countingWriter{ResponseWriter: w}
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			v.err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			if counted.status == 0 {
				e.faceFor(r).Refuse(counted, r.WithContext(ctx), fault.New(fault.Internal, "panic"))
			}
		}
		e.node.observe(r, v, counted, e.node.clock.Now().Sub(start))
	}()
	r, err := e.address(r.WithContext(ctx))
	if err != nil {
		v.err = err
		e.faceFor(r).Refuse(counted, r, err)
		return
	}
	r.Body = http.MaxBytesReader(counted, r.Body, bodyLimit)
	if _, pattern := e.mux.Handler(r); pattern == "" {
		e.unrouted(counted, r)
		return
	}
	e.mux.ServeHTTP(counted, r)
}

// address peels /o/{ods} off the path and marks the request with its tenant. What is percent-encoded in the path stays so until
// a route has taken its parts, so that an encoded slash never makes another address; an API's address may end with a slash.
func (e *edge) address(r *http.Request) (*http.Request, error) {
	tenant, escaped := e.node.kernel.National, r.URL.EscapedPath()
	rest, own := strings.CutPrefix(escaped, "/o/")
	if own {
		code, below, _ := strings.Cut(rest, "/")
		var err error
		if tenant, err = ident.ParseODSCode(code); err != nil || !e.node.hosts(tenant) {
			return r, fault.New(fault.NotFound, "this node keeps no records for that organisation; its address is /o/{ODS code}/FHIR/R4")
		}
		escaped = "/" + below
	}
	api := strings.HasPrefix(escaped, "/FHIR/")
	if (own || api) && path.Clean(escaped) != strings.TrimSuffix(escaped, "/") && escaped != "/" {
		return r, fault.New(fault.NotFound, "there is nothing at this address: it has empty parts, or parts that lead up")
	}
	if api {
		escaped = strings.TrimSuffix(escaped, "/")
	}
	clone := r.WithContext(catalogue.WithTenant(r.Context(), tenant))
	if !own && escaped == r.URL.EscapedPath() {
		return clone, nil
	}
	address := *r.URL
	var err error
	if address.Path, err = url.PathUnescape(escaped); err != nil {
		return r, fault.New(fault.Invalid, "the address cannot be read: check what follows each percent sign")
	}
	address.RawPath = escaped
	clone.URL = &address
	return clone, nil
}

// unrouted answers a path or method that no route has.
func (e *edge) unrouted(w http.ResponseWriter, r *http.Request) {
	v := visitOf(r)
	v.err = fault.New(fault.NotFound, "there is nothing at this address")
	var allowed []string
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		probe := r.Clone(r.Context())
		probe.Method = method
		if _, pattern := e.mux.Handler(probe); pattern != "" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		v.err = fault.New(fault.MethodNotAllowed, "%s is not possible here; there are: %s", r.Method, strings.Join(allowed, ", "))
	}
	e.faceFor(r).Refuse(w, r, v.err)
}

// faceFor guesses the protocol of a request that reached no route.
func (e *edge) faceFor(r *http.Request) face {
	if strings.Contains(r.URL.Path, "/FHIR/") {
		return e.node.apiFace
	}
	return stray{e}
}

func (e *edge) handler(rt catalogue.Route, f face) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := visitOf(r)
		v.pattern = rt.Pattern()
		buffered := &answer{header: make(http.Header)}
		err := e.serve(rt, buffered, r)
		if err == nil {
			err = e.node.kernel.Gate.Account(r.Context(), v.grants, v.scopes) // what changed something is on the account already
		}
		if err != nil {
			v.err = worded(err)
			buffered.reset()
			f.Refuse(buffered, r, v.err)
		}
		buffered.send(w, r)
	})
}

// serve runs a route. What only looks does so in one snapshot: what was decided is what is read.
func (e *edge) serve(rt catalogue.Route, w http.ResponseWriter, r *http.Request) error {
	if rt.Method() != http.MethodGet {
		return rt.Serve(e, w, r)
	}
	return e.node.kernel.DB.View(r.Context(), func(ctx context.Context) error { return rt.Serve(e, w, r.WithContext(ctx)) })
}

// asAPI keeps a script or form of another site from calling an API in the name of whoever is signed in here.
func (e *edge) asAPI(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		if err := e.csrf.Check(r); err != nil {
			v := visitOf(r)
			v.err = fault.Wrap(err, fault.Forbidden, "This request came from another web site and was refused.")
			e.node.apiFace.Refuse(w, r, v.err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// worded gives a kind to failures that the standard library makes.
func worded(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return fault.Wrap(err, fault.TooLarge, "what was sent is over %d MB", bodyLimit>>20)
	case errors.Is(err, context.DeadlineExceeded) && fault.KindOf(err) == fault.Internal:
		return fault.Wrap(err, fault.Timeout, "this took too long and was stopped; nothing was changed")
	}
	return err
}

// Principal says who asks: a bearer token first, then a session, then the open principal.
func (e *edge) Principal(r *http.Request) (access.Principal, error) {
	v := visitOf(r)
	if !v.asked {
		v.asked = true
		p, err := e.node.authenticate(r)
		if err != nil {
			v.failure = err
		} else {
			v.principal = &p
		}
	}
	if v.failure != nil {
		return access.Principal{}, v.failure
	}
	return *v.principal, nil
}

// Gate decides and accounts.
func (e *edge) Gate() *access.Gate { return e.node.kernel.Gate }

// Locate names the place of a resource before its row is read.
func (e *edge) Locate(ctx context.Context, tenant ident.ODSCode, typ, id string) (access.Place, error) {
	return e.node.locate(ctx, tenant, typ, id)
}

// Disclose remembers what has to be on the account before the answer leaves.
func (e *edge) Disclose(r *http.Request, grants []access.Grant, scopes []access.Scope) {
	v := visitOf(r)
	v.grants = append(v.grants, grants...)
	v.scopes = append(v.scopes, scopes...)
}

// countingWriter knows what was sent, for the log and the metrics.
type countingWriter struct {
	http.ResponseWriter
	status, bytes int
}

// WriteHeader notes the status.
func (c *countingWriter) WriteHeader(status int) {
	if c.status == 0 {
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

// logVisit leaves the one wide record of a request. It names the pattern, never the URL: paths hold patients' numbers.
func logVisit(log *slog.Logger, r *http.Request, v *visit, w *countingWriter, took time.Duration) {
	attrs := []slog.Attr{
		slog.String("id", v.id), slog.String("method", r.Method), slog.String("pattern", v.pattern), slog.String("tenant", catalogue.TenantOf(r).String()),
		slog.Int("status", w.status), slog.Int("bytes", w.bytes), slog.Duration("took", took),
	}
	if v.principal != nil {
		attrs = append(attrs, slog.String("actor", v.principal.ID), slog.String("role", string(v.principal.Role)))
	}
	level := slog.LevelInfo
	if v.err != nil {
		attrs = append(attrs, slog.String("fault", fault.KindOf(v.err).String()))
		if fault.KindOf(v.err) == fault.Internal {
			level = slog.LevelError
			attrs = append(attrs, slog.String("cause", v.err.Error()))
		}
	}
	log.LogAttrs(r.Context(), level, "request", attrs...)
}

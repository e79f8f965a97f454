package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/signin/limit"
)

// edge receives requests: it says who asks, lets the route's rule decide, accounts for what is shown, words what failed
// in the protocol of the route, and leaves one log record.
type edge struct {
	node    *Node
	mux     *http.ServeMux
	csrf    *http.CrossOriginProtection
	working *turnstile // requests
	open    *turnstile // streams
	rate    *limit.Guard
	scales  *scales
	spoken  []spoken
}

// face words failures in one protocol.
type face = catalogue.Face

// spoken is the face of every address below a base that no route has.
type spoken struct {
	base string
	face face
}

// visit is what the edge knows of one request.
type visit struct {
	id, correlation string
	tenant          ident.ODSCode
	principal       *access.Principal
	asked           bool // whether the credentials have been looked at
	failure         error
	grants          []access.Grant
	scopes          []access.Scope
	pattern         string
	err             error
	weight          *weight
	streams         bool
	body            io.ReadCloser // as it came, before it was bounded
	cut             bool          // the answer was begun and cannot be finished
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

// newEdge lays the routes of every service. Errors: fault.Internal when two services ask for the same addresses; the message names them.
func newEdge(n *Node, services []catalogue.Service) (*edge, error) {
	l := n.limits
	e := &edge{node: n, mux: http.NewServeMux(), csrf: http.NewCrossOriginProtection(),
		working: newTurnstile(l.AtOnce, l.CallerAtOnce), open: newTurnstile(l.Streams, l.CallerStreams), scales: &scales{limit: l.HeldBytes},
		rate: limit.New(n.clock, limit.Rates{Client: l.CallerRate})}
	for _, s := range services {
		for _, rt := range s.API {
			if err := e.lay(s, rt, e.asAPI(e.handler(rt, n.apiFace), n.apiFace)); err != nil {
				return nil, err
			}
		}
		for _, p := range s.Published {
			if err := e.layPublished(s, p); err != nil {
				return nil, err
			}
		}
		for _, rt := range s.Pages {
			if err := e.lay(s, rt, e.asPage(e.handler(rt, n.pageFace))); err != nil {
				return nil, err
			}
		}
	}
	return e, nil
}

// layPublished lays the routes of an API with a wording of its own.
func (e *edge) layPublished(s catalogue.Service, p catalogue.Published) error {
	if p.Base != "" {
		e.spoken = append(e.spoken, spoken{p.Base, p.Face})
	}
	preflights := map[string]bool{}
	for _, rt := range p.Routes {
		h := e.asAPI(e.handler(rt, p.Face), p.Face)
		if p.Posted {
			h = e.handler(rt, p.Face)
		}
		if p.Foreign {
			h = asForeign(e.handler(rt, p.Face))
			if !preflights[rt.Path()] {
				preflights[rt.Path()] = true
				e.mux.HandleFunc("OPTIONS "+rt.Path(), preflight)
			}
		}
		if err := e.lay(s, rt, h); err != nil {
			return err
		}
	}
	return nil
}

// lay is ServeMux.Handle, which panics when two patterns overlap and neither is the more specific.
func (e *edge) lay(s catalogue.Service, rt catalogue.Route, h http.Handler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.Wrap(fmt.Errorf("%v", p), fault.Internal, "service %s cannot have the route %s", s.Name, rt.Pattern())
		}
	}()
	e.mux.Handle(rt.Pattern(), h)
	return nil
}

// ServeHTTP gives the request its id and tenant, runs the route and leaves one log record.
func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := e.node.clock.Now()
	v := &visit{id: requestID(r), correlation: correlationID(r), weight: e.scales.weigh()}
	defer v.weight.release()
	w.Header().Set("X-Request-Id", v.id) // as net/http spells it, which saves spelling it anew
	if v.correlation != "" {
		w.Header().Set("X-Correlation-Id", v.correlation)
	}
	ctx := access.WithRequestID(context.WithValue(r.Context(), visitKey{}, v), v.id)
	if strings.HasPrefix(e.node.cfg.BaseURL, "https://") {
		ctx = access.TLSInFront(ctx)
		w.Header().Set("Strict-Transport-Security", "max-age=31536000") // RFC 6797; only where whoever runs the node says that https is its address
	}
	ctx, span := e.node.trace.begin(ctx, r)
	r = r.WithContext(ctx)
	r.RemoteAddr = e.node.proxies.caller(r)
	out := &countingWriter{ResponseWriter: w}
	defer func() {
		if p := recover(); p != nil {
			e.collapse(out, r, v, p)
		}
		e.node.observe(r, v, out, e.node.clock.Now().Sub(start))
		span.end(v, out.status)
		if v.cut {
			panic(http.ErrAbortHandler)
		}
	}()
	e.receive(out, r)
}

// aborted reports whether a handler gave the answer up on purpose.
func aborted(cause any) bool {
	err, ok := cause.(error)
	return ok && errors.Is(err, http.ErrAbortHandler)
}

// collapse answers a request whose handling panicked. What was disclosed to it was not shown; what it changed is on the account.
func (e *edge) collapse(w *countingWriter, r *http.Request, v *visit, cause any) {
	if aborted(cause) {
		v.cut = true
		return
	}
	v.err = fault.Wrap(fmt.Errorf("panic: %v\n%s", cause, debug.Stack()), fault.Internal, "panic")
	if w.status != 0 {
		v.cut = true
		return
	}
	e.faceFor(r).Refuse(w, r, v.err)
}

// receive finds the tenant and the route.
func (e *edge) receive(w *countingWriter, r *http.Request) {
	v := visitOf(r)
	if strings.HasPrefix(r.URL.Path, "/assets/") {
		v.pattern = "/assets/"
		e.node.site.Assets().ServeHTTP(w, r)
		return
	}
	r, err := e.address(r)
	if err != nil {
		v.err = err
		e.faceFor(r).Refuse(w, r, err)
		return
	}
	if err := e.node.meant(r.Host); err != nil {
		v.err = err
		e.faceFor(r).Refuse(w, r, err)
		return
	}
	v.tenant = catalogue.TenantOf(r)
	v.body = r.Body
	r.Body = weighed{http.MaxBytesReader(w, r.Body, e.node.limits.BodyBytes), v.weight}
	if _, pattern := e.mux.Handler(r); pattern == "" {
		e.unrouted(w, r)
		return
	}
	e.mux.ServeHTTP(w, r)
}

// plainBody refuses a body in a coding that nothing here undoes: a small one can unfold to any size.
func plainBody(r *http.Request) error {
	if c := r.Header.Get("Content-Encoding"); c != "" && !strings.EqualFold(c, "identity") {
		return fault.New(fault.UnsupportedMedia, "Send the body as it is, without Content-Encoding.")
	}
	return nil
}

// address peels /o/{ods} off the path and marks the request with its tenant. What is percent-encoded in the path stays so until
// a route has taken its parts, so that an encoded slash never makes another address; an API's address may end with a slash.
func (e *edge) address(r *http.Request) (*http.Request, error) {
	tenant, escaped := e.node.home(), r.URL.EscapedPath()
	rest, own := strings.CutPrefix(escaped, "/o/")
	if own {
		code, below, _ := strings.Cut(rest, "/")
		var err error
		if tenant, err = ident.ParseODSCode(code); err != nil || !e.node.hosts(tenant) {
			return r, fault.New(fault.NotFound, "this node keeps no records for that organisation; its address is /o/{ODS code}/FHIR/R4")
		}
		escaped = "/" + below
	}
	api := isFHIR(escaped)
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
		v.err = fault.New(fault.MethodNotAllowed, "%s is not possible here; there are: %s", printable(r.Method), strings.Join(allowed, ", "))
	}
	e.faceFor(r).Refuse(w, r, v.err)
}

// isFHIR reports whether a path is one of the FHIR interface or of a published API that speaks FHIR.
func isFHIR(path string) bool { return strings.Contains(path, "/FHIR/R4") }

// faceFor guesses the protocol of a request that reached no route.
func (e *edge) faceFor(r *http.Request) face {
	for _, s := range e.spoken {
		if strings.HasPrefix(r.URL.Path, s.base) {
			return s.face
		}
	}
	if strings.Contains(r.URL.Path, "/FHIR/") {
		return e.node.apiFace
	}
	return stray{e}
}

func (e *edge) handler(rt catalogue.Route, f face) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := visitOf(r)
		v.pattern = rt.Pattern()
		gate, caller := e.working, callerOf(r)
		if rt.Streams() {
			gate = e.open
		}
		err := e.turn(w, caller)
		if err == nil {
			if err = gate.enter(caller); err == nil {
				defer gate.leave(caller)
				err = e.node.room(rt)
			}
		}
		switch {
		case err == nil && rt.Uploads() > 0:
			r.Body = e.uploaded(rt, w, r)
		case err == nil:
			err = plainBody(r)
		}
		switch {
		case err != nil:
			v.err = err
			f.Refuse(w, r, err)
		case rt.Streams():
			e.streamed(rt, f, w, r)
		default:
			e.buffered(rt, f, w, r)
		}
	})
}

// buffered runs a route, puts what its answer shows on the account, and then sends the answer.
func (e *edge) buffered(rt catalogue.Route, f face, w http.ResponseWriter, r *http.Request) {
	v, within := visitOf(r), e.node.limits.Request
	if rt.Uploads() > 0 {
		within = e.node.limits.Stream
	}
	ctx, cancel := context.WithTimeout(r.Context(), within)
	defer cancel()
	out := &answer{header: make(http.Header), body: answers.Get().(*bytes.Buffer), limit: e.node.limits.AnswerBytes, weight: v.weight}
	out.body.Reset()
	defer out.release()
	limited := r.WithContext(ctx)
	err := e.serve(rt, out, limited)
	if err == nil {
		err = e.account(limited) // what changed something is on the account already
	}
	if err != nil {
		v.err = worded(err)
		out.reset()
		f.Refuse(out, r, v.err)
	}
	if rt.Uploads() > 0 {
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(e.node.limits.Request)); err != nil {
			v.err = fault.Wrap(err, fault.Internal, "the answer cannot be timed")
		}
	}
	out.send(w, r)
}

// serve runs a route. What only looks at records does so in one snapshot: what was decided is what is read. There are few
// snapshots at a time, so that what looks at no record never holds one.
func (e *edge) serve(rt catalogue.Route, w http.ResponseWriter, r *http.Request) error {
	if rt.Method() != http.MethodGet || rt.Rule() == catalogue.RulePublic || rt.Rule() == catalogue.RuleRole {
		return e.run(rt, w, r)
	}
	return e.node.kernel.DB.View(r.Context(), func(ctx context.Context) error { return e.run(rt, w, r.WithContext(ctx)) })
}

// run runs a route; a panic in it is a failure like any other, and the node goes on.
func (e *edge) run(rt catalogue.Route, w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if aborted(p) {
				panic(p)
			}
			err = fault.Wrap(fmt.Errorf("panic: %v\n%s", p, debug.Stack()), fault.Internal, "panic")
		}
	}()
	return rt.Serve(e, w, r)
}

// account commits an entry for what was disclosed and is not on the account yet.
func (e *edge) account(r *http.Request) error {
	v := visitOf(r)
	if v.streams && len(v.scopes) > 0 {
		return fault.New(fault.Internal, "a stream may not show what a scope finds")
	}
	if err := e.node.kernel.Gate.Account(r.Context(), v.grants, v.scopes); err != nil {
		return err
	}
	v.grants, v.scopes = nil, nil
	return nil
}

// asAPI keeps a script or form of another site from calling an API in the name of whoever is signed in here.
func (e *edge) asAPI(next http.Handler, f face) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		if err := e.csrf.Check(r); err != nil {
			v := visitOf(r)
			v.err = fault.Wrap(err, fault.Forbidden, "This request came from another web site and was refused.")
			f.Refuse(w, r, v.err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// preflight tells a browser that a page of another site may call (Fetch section 3.2.2); it looks at nothing.
func preflight(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Request-ID, X-Correlation-ID, If-Match, Prefer")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}

// asForeign lets the pages of other sites call an API that looks at no session (CORS, Fetch section 3.2): what the caller holds
// is in the request itself.
func asForeign(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Expose-Headers", "X-Request-ID, X-Correlation-ID, WWW-Authenticate, Retry-After")
		r.Header.Del("Cookie")
		next.ServeHTTP(w, r)
	})
}

// worded gives a kind to failures that the standard library makes.
func worded(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return fault.Wrap(err, fault.TooLarge, "What was sent is over %d MB.", tooLarge.Limit>>20)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fault.Wrap(err, fault.Timeout, "What was sent came too slowly, and was not waited for.")
	case fault.KindOf(err) != fault.Internal:
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(err, fault.Timeout, "This took too long and was stopped. If it was a change, look whether it was made before you send it again.")
	case errors.Is(err, context.Canceled):
		return fault.Wrap(err, fault.Unavailable, "The caller went away, or the node is stopping.")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault.Wrap(err, fault.Invalid, "What was sent ended early.")
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

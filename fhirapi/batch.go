package fhirapi

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/catalogue"
)

// batch: "the actions may be performed in any order, and the success or failure of one action does not affect another"
// (https://hl7.org/fhir/R4/http.html#brules). Each entry is a request of its own, through the same routes and rules, in a
// transaction's order: DELETE, POST, PUT and PATCH, GET.
func (a *api) batch(r *http.Request, ask catalogue.Asker, entries []entry) []answered {
	answers := make([]answered, len(entries))
	for _, methods := range inOrder() {
		for _, e := range entries {
			if slices.Contains(methods, e.method) {
				answers[e.at] = a.alone(r, ask, e)
			}
		}
	}
	return answers
}

// inOrder is the order in which the entries of a Bundle are done (https://hl7.org/fhir/R4/http.html#trules).
func inOrder() [][]string {
	return [][]string{{"DELETE"}, {"POST"}, {"PUT", "PATCH"}, {"GET", "HEAD"}}
}

// alone runs one entry through the interface's own routes.
func (a *api) alone(r *http.Request, ask catalogue.Asker, e entry) answered {
	inner, err := e.request(r)
	if err != nil {
		return refused(err)
	}
	rec := &recorder{header: http.Header{}, ask: ask}
	a.routes.ServeHTTP(rec, inner.WithContext(context.WithValue(inner.Context(), recorderKey{}, rec)))
	if rec.err == nil && !rec.routed {
		rec.err = e.fault(fault.New(fault.NotFound, "There is no such interaction here."))
	}
	if rec.err != nil {
		return refused(rec.err)
	}
	h := rec.header
	ans := answered{status: rec.status, location: h.Get("Location"), etag: h.Get("ETag")}
	if at, err := http.ParseTime(h.Get("Last-Modified")); err == nil {
		ans.lastModified = fhir.Instant(at)
	}
	if rec.body.Len() > 0 && e.method != "HEAD" {
		ans.resource = rec.body.Bytes()
	}
	return ans
}

func refused(err error) answered {
	return answered{status: fault.KindOf(err).HTTPStatus(), outcome: outcome(fault.IssuesOf(err)...).JSON()}
}

// request is the entry as an HTTP request to this interface.
func (e entry) request(r *http.Request) (*http.Request, error) {
	path, _, _ := strings.Cut(e.url, "?")
	if strings.Trim(path, "/") == "" && e.method == "POST" {
		return nil, e.fault(fault.New(fault.Invalid, "A batch or transaction does not go inside another."))
	}
	address, err := url.Parse(Base + "/" + e.url)
	if err != nil {
		return nil, e.fault(fault.Wrap(err, fault.Invalid, "The url cannot be read."))
	}
	address.Path = strings.TrimSuffix(address.Path, "/")
	var body []byte
	contentType := mimeJSON
	if e.resource != nil {
		body = e.resource.JSON()
		if e.method == "PATCH" && e.resource.Type() == "Binary" {
			if body, err = binaryData(e.resource); err != nil {
				return nil, e.fault(err)
			}
			contentType = e.resource.Get("contentType").String()
		}
	}
	inner, err := http.NewRequestWithContext(r.Context(), e.method, address.String(), bytes.NewReader(body))
	if err != nil {
		return nil, e.fault(fault.Wrap(err, fault.Invalid, "The entry cannot be made into a request."))
	}
	inner.Header.Set("Accept", mimeJSON)
	if body != nil {
		inner.Header.Set("Content-Type", contentType)
	}
	for name, value := range map[string]string{"If-Match": e.ifMatch, "If-None-Exist": e.ifNoneExist, "If-None-Match": e.ifNoneMatch,
		"If-Modified-Since": e.modifiedSince(), "Prefer": r.Header.Get("Prefer"), reasonHeader: r.Header.Get(reasonHeader)} {
		if value != "" {
			inner.Header.Set(name, value)
		}
	}
	return inner, nil
}

type recorderKey struct{}

// recorder keeps what one entry's route answered.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
	ask    catalogue.Asker
	err    error
	routed bool
}

// Header is the header of the entry's answer.
func (c *recorder) Header() http.Header { return c.header }

// WriteHeader keeps the first status.
func (c *recorder) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
	}
}

// Write keeps the body.
func (c *recorder) Write(p []byte) (int, error) {
	c.WriteHeader(http.StatusOK)
	if !c.routed {
		return len(p), nil // the mux's own words for no route
	}
	return c.body.Write(p)
}

// routed serves the interface's routes to the entries of a batch.
func routed(routes []catalogue.Route) *http.ServeMux {
	mux := http.NewServeMux()
	for _, rt := range routes {
		mux.HandleFunc(rt.Pattern(), func(w http.ResponseWriter, r *http.Request) {
			rec := r.Context().Value(recorderKey{}).(*recorder)
			rec.routed = true
			rec.err = rec.ask.Dispatch(rt, rec, r)
		})
	}
	return mux
}

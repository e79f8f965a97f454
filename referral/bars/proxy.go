package bars

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/store"
)

// Bounds of what is sent on.
const (
	proxyWithin = 25 * time.Second
	mostAnswer  = 4 << 20 // bytes
)

// sentOnHeaders are those of a request that go with it. The program's token is for this API and stays here.
func sentOnHeaders() []string {
	return []string{"Accept", "Content-Type", "NHSD-Target-Identifier", "NHSD-End-User-Organisation", "NHSD-Requesting-Practitioner", "NHSD-Requesting-Software", "X-Request-Id", "X-Correlation-Id", "use-context"}
}

// sendOn sends a request to the address of a service elsewhere, and its answer back. That it was sent is on the account first: what a program asks about a person
// there is told by this node's account and by theirs.
func (c *call) sendOn() error {
	if err := c.accountFor(); err != nil {
		return err
	}
	path := strings.TrimPrefix(c.r.URL.EscapedPath(), Base)
	address, err := url.Parse(c.target.Address + path)
	if err != nil {
		return refuse(http.StatusInternalServerError, between, "exception", "The directory's address for this service is none.")
	}
	address.RawQuery = c.r.URL.RawQuery
	out, err := http.NewRequestWithContext(c.r.Context(), c.r.Method, address.String(), c.r.Body)
	if err != nil {
		return refuse(http.StatusInternalServerError, between, "exception", "The directory's address for this service cannot be called.")
	}
	for _, h := range sentOnHeaders() {
		if v := c.r.Header.Values(h); len(v) > 0 {
			out.Header[http.CanonicalHeaderKey(h)] = v
		}
	}
	out.Header.Set("User-Agent", "OpenSpine")
	resp, err := c.a.client.Do(out)
	if err != nil {
		return unreached(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer+1))
	if err != nil {
		return unreached(err)
	}
	return c.answerFor(resp, body)
}

// accountFor puts on the account that a request was sent on.
func (c *call) accountFor() error {
	p := c.ask.Principal
	return c.a.k.DB.Write(c.r.Context(), []store.Lane{c.a.k.Gate.DeedLane(p)}, func(tx *store.Tx) error {
		return c.a.k.Gate.Record(c.r.Context(), tx, p, access.Deed{Action: access.ActMessage, Basis: "bars", Detail: c.r.Method + " " + strings.SplitN(strings.TrimPrefix(c.r.URL.Path, Base+"/"), "/", 2)[0] + " to " + c.target.ID + " " + c.r.Header.Get("X-Request-Id")})
	})
}

// unreached words why nothing came back.
func unreached(err error) error {
	var refused *fault.Error
	var slow interface{ Timeout() bool }
	switch {
	case errors.As(err, &refused) && refused.Kind() == fault.Forbidden:
		return refuse(http.StatusInternalServerError, between, "exception", "The directory's address for this service is none that may be called.")
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &slow) && slow.Timeout():
		return refuse(http.StatusRequestTimeout, receiver, "timeout", "The receiver did not answer in time. What was asked may have been done: ask it what is so, or send the same message again.")
	}
	return refuse(http.StatusServiceUnavailable, receiver, "transient", "The receiver is not reached. What was asked may have been done: ask it what is so, or send the same message again.")
}

// answerFor hands back an answer. What is no FHIR is worded as published for its status.
func (c *call) answerFor(resp *http.Response, body []byte) error {
	if len(body) > mostAnswer {
		return refuse(http.StatusInternalServerError, receiver, "exception", "The receiver's answer is longer than %d bytes.", mostAnswer)
	}
	kind := resp.Header.Get("Content-Type")
	if isFHIR(kind, body) {
		for _, h := range []string{"Location", "ETag", "Retry-After"} {
			if v := resp.Header.Get(h); v != "" {
				c.w.Header().Set(h, v)
			}
		}
		c.w.Header().Set("Content-Type", kind)
		c.w.WriteHeader(resp.StatusCode)
		_, err := c.w.Write(body)
		return err
	}
	status := resp.StatusCode
	switch {
	case status == http.StatusUnsupportedMediaType:
		status = http.StatusNotAcceptable
	case status == http.StatusGatewayTimeout:
		status = http.StatusRequestTimeout
	case status == http.StatusBadGateway:
		status = http.StatusServiceUnavailable
	case status < 300 && len(body) == 0:
		c.w.WriteHeader(status)
		return nil
	case status < 400 || codeOf(status) == "":
		status = http.StatusInternalServerError
	}
	issue := map[int]string{400: "invalid", 401: "security", 403: "forbidden", 404: "not-found", 405: "not-supported", 406: "processing", 408: "timeout", 409: "conflict", 422: "processing", 429: "throttled", 501: "not-supported", 503: "transient"}[status]
	if issue == "" {
		issue = "exception"
	}
	return refuse(status, receiver, issue, "The receiver answered %d, and no more.", resp.StatusCode)
}

// isFHIR reports whether an answer is a FHIR document, by its name and by a look at it.
func isFHIR(contentType string, body []byte) bool {
	if !strings.Contains(contentType, "json") {
		return strings.Contains(contentType, "fhir+xml") && len(body) > 0
	}
	_, err := fhir.Parse(body)
	return err == nil
}

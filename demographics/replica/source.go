package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
)

// answer is what the authority says of a number.
type answer struct {
	what    outcome
	number  ident.NHSNumber // that speaks for the person: another than was asked about when that one is superseded
	version int64
	person  *fhir.Resource // as published: of a restricted person without where they are
}

// outcome is how the authority answered.
type outcome uint8

const (
	somebody outcome = iota + 1
	nobody           // RESOURCE_NOT_FOUND; and INVALID_RESOURCE_ID, for what is no number at all
	unusable         // INVALIDATED_RESOURCE
	several          // of a search: TOO_MANY_MATCHES, or more than one
)

// answerBytes bounds one answer.
const answerBytes = 1 << 20

// unreachable is a failure of the way to the authority, or of the authority: nothing is known of the person.
type unreachable struct {
	why   string        // without anything of a person
	after time.Duration // not before then, if the authority said so
	cause error
}

func (u *unreachable) Error() string { return u.why }
func (u *unreachable) Unwrap() error { return u.cause }

// read asks about a number: GET Patient/{id} of the published API. Error: *unreachable, or that of ctx.
func (f *follower) read(ctx context.Context, number ident.NHSNumber) (answer, error) {
	status, head, doc, err := f.get(ctx, "/Patient/"+number.String())
	if err != nil {
		return answer{}, err
	}
	switch code := errorCode(doc); {
	case status == http.StatusOK && doc.Type() == "Patient":
		return person(doc, head)
	case status == http.StatusNotFound && code == "INVALIDATED_RESOURCE":
		return answer{what: unusable}, nil
	case status == http.StatusNotFound && code == "RESOURCE_NOT_FOUND", status == http.StatusBadRequest && code == "INVALID_RESOURCE_ID":
		return answer{what: nobody}, nil
	default:
		return answer{}, refusedBy(status, head, code)
	}
}

// person takes an answer with a Patient apart.
func person(doc *fhir.Resource, head http.Header) (answer, error) {
	n, err := ident.ParseNHSNumber(doc.Get("id").String())
	if err != nil {
		return answer{}, &unreachable{why: "The answer is of no NHS number.", cause: err}
	}
	tag := strings.Trim(strings.TrimPrefix(head.Get("ETag"), "W/"), `"`)
	if tag == "" {
		tag = doc.Get("meta.versionId").String()
	}
	version, err := strconv.ParseInt(tag, 10, 64)
	if err != nil || version < 1 {
		return answer{}, &unreachable{why: "The answer has no version.", cause: err}
	}
	return answer{somebody, n, version, doc}, nil
}

// wanted is whom a clerk looks for nationally.
type wanted struct{ Family, Given, Gender, Born, Postcode string }

// find looks for one person by their details: a search of the published API. The system is shown one match, or none where there are several.
func (f *follower) find(ctx context.Context, w wanted) (answer, error) {
	q := url.Values{"family": {w.Family}, "birthdate": {"eq" + w.Born}}
	for name, v := range map[string]string{"given": w.Given, "gender": w.Gender, "address-postalcode": w.Postcode} {
		if v != "" {
			q.Set(name, v)
		}
	}
	status, head, doc, err := f.get(ctx, "/Patient?"+q.Encode())
	if err != nil {
		return answer{}, err
	}
	code := errorCode(doc)
	switch n := doc.Get("entry").Len(); {
	case status != http.StatusOK && status < 500 && status != http.StatusUnauthorized && status != http.StatusForbidden && status != http.StatusTooManyRequests && code != "":
		return answer{}, fault.New(fault.Invalid, "The national register does not take the question: %s", doc.Get("issue.0.diagnostics").String())
	case status != http.StatusOK:
		return answer{}, refusedBy(status, head, code)
	case code == "TOO_MANY_MATCHES" || n > 1:
		return answer{what: several}, nil
	case doc.Type() != "Bundle":
		return answer{}, refusedBy(status, head, code)
	case n == 0:
		return answer{what: nobody}, nil
	}
	number, err := ident.ParseNHSNumber(doc.Get("entry.0.resource.id").String())
	if err != nil {
		return answer{}, &unreachable{why: "The answer is of no NHS number.", cause: err}
	}
	return f.read(ctx, number) // the search shows less than the record has
}

// errorCode is the published code of a failure: the one of the spine's own code system, of the first issue.
func errorCode(doc *fhir.Resource) string {
	if doc.Type() != "OperationOutcome" {
		return ""
	}
	return doc.Get("issue.0.details.coding.0.code").String()
}

func refusedBy(status int, head http.Header, code string) error {
	u := &unreachable{why: fmt.Sprintf("The national register answered %d %s.", status, code)}
	u.why = strings.Replace(u.why, " .", ".", 1)
	if s, err := strconv.Atoi(head.Get("Retry-After")); err == nil && s > 0 {
		u.after = min(time.Duration(s)*time.Second, againMost)
	}
	return u
}

// get makes one request. What cannot be understood is *unreachable: a gateway's page passes for no answer.
func (f *follower) get(ctx context.Context, path string) (int, http.Header, *fhir.Resource, error) {
	within, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(within, http.MethodGet, f.Base+path, nil)
	if err != nil {
		return 0, nil, nil, fault.Wrap(err, fault.Internal, "the address of the national register is none")
	}
	req.Header.Set("Accept", "application/fhir+json")
	req.Header.Set("X-Request-ID", uuid.NewString())
	req.Header.Set("NHSD-End-User-Organisation-ODS", f.Tenant.String())
	resp, err := f.Transport.RoundTrip(req)
	if err != nil {
		if ctx.Err() != nil {
			return 0, nil, nil, ctx.Err()
		}
		why := "The national register cannot be reached."
		if m := fault.MessageOf(err); m != "" && fault.KindOf(err) != fault.Internal {
			why = m
		}
		return 0, nil, nil, &unreachable{why: why, cause: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, answerBytes+1))
	if err != nil || len(text) > answerBytes {
		return 0, nil, nil, &unreachable{why: "The answer was cut off, or too long.", cause: err}
	}
	doc, err := fhir.Parse(text)
	if err != nil {
		return 0, nil, nil, &unreachable{why: fmt.Sprintf("The national register answered %d with what is no FHIR.", resp.StatusCode), cause: err}
	}
	return resp.StatusCode, resp.Header, doc, nil
}

// InProcess is the way to an authority on the same node: its own handler, with a token from mint for each request.
func InProcess(node http.Handler, mint func(ctx context.Context) (token string, err error)) http.RoundTripper {
	return &inProcess{node, mint}
}

type inProcess struct {
	node http.Handler
	mint func(ctx context.Context) (string, error)
}

// RoundTrip hands the request to the node's edge, as if it had come over the network: with its rules and on its account.
func (t *inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := t.mint(r.Context())
	if err != nil {
		return nil, err
	}
	in := r.Clone(r.Context())
	in.Header.Set("Authorization", "Bearer "+token)
	in.RequestURI, in.RemoteAddr, in.Host = in.URL.RequestURI(), "127.0.0.1:0", in.URL.Host
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := &answering{head: http.Header{}}
	if err := w.by(t.node, in); err != nil {
		return nil, err
	}
	if r.Context().Err() != nil {
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: w.status, Status: http.StatusText(w.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: w.head,
		Body: io.NopCloser(bytes.NewReader(w.body.Bytes())), ContentLength: int64(w.body.Len()), Request: r}, nil
}

// answering takes an answer in memory.
type answering struct {
	head   http.Header
	status int
	body   bytes.Buffer
}

// errCut is an answer that the handler gave up.
var errCut = errors.New("the answer was cut off")

func (w *answering) by(h http.Handler, r *http.Request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errCut
		}
	}()
	h.ServeHTTP(w, r)
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return nil
}

func (w *answering) Header() http.Header { return w.head }

func (w *answering) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
}

func (w *answering) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.body.Len()+len(p) > answerBytes {
		return 0, errCut
	}
	return w.body.Write(p)
}

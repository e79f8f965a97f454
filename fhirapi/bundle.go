package fhirapi

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/catalogue"
)

// maxEntries bounds a batch or transaction.
const maxEntries = 5000

// entry is one request inside a Bundle.
type entry struct {
	at          int // place in the Bundle, from 0
	fullURL     string
	method      string
	url         string
	resource    *fhir.Resource // as sent; nil when there is none
	ifMatch     string
	ifNoneExist string
	ifNoneMatch string
	ifModified  string
}

// answered is what became of one entry.
type answered struct {
	status       int
	location     string
	etag         string
	lastModified string
	resource     []byte // JSON; nil for none
	outcome      []byte // OperationOutcome as JSON; nil for none
}

// bundle: "submits a set of actions to perform on a server in a single HTTP request"
// (https://hl7.org/fhir/R4/http.html#transaction). A batch's entries stand alone; a transaction's are one change.
func (a *api) bundle(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	if _, err := wanted(r); err != nil {
		return err
	}
	res, err := a.readResource(r)
	if err != nil {
		return err
	}
	if res.Type() != "Bundle" {
		return fault.New(fault.Invalid, "A Bundle of type batch or transaction is sent here, not another resource.")
	}
	entries, err := readEntries(res, a.base(r))
	if err != nil {
		return err
	}
	var answers []answered
	kind := res.Get("type").String()
	switch kind {
	case "batch":
		answers = a.batch(r, ask, entries)
	case "transaction":
		if answers, err = a.transaction(r, ask, entries); err != nil {
			return err
		}
	default:
		return fault.New(fault.Invalid, "A Bundle that is sent here is of type batch or transaction; not of another.")
	}
	var list []any
	for _, ans := range answers {
		list = append(list, ans.entry())
	}
	return a.send(w, r, http.StatusOK, fhir.Obj("resourceType", "Bundle", "type", kind+"-response",
		"link", fhir.Arr(fhir.Obj("relation", "self", "url", a.base(r))), "entry", fhir.Arr(list...)))
}

func (ans answered) entry() fhir.Value {
	status := fmt.Sprintf("%d %s", ans.status, http.StatusText(ans.status))
	var resource, issues fhir.Value
	if ans.resource != nil {
		resource = fhir.RawValue(ans.resource)
	}
	if ans.outcome != nil {
		issues = fhir.RawValue(ans.outcome)
	}
	return fhir.Obj("resource", resource,
		"response", fhir.Obj("status", status, "location", ans.location, "etag", ans.etag, "lastModified", ans.lastModified, "outcome", issues))
}

// readEntries reads each entry's request.
func readEntries(res *fhir.Resource, base string) ([]entry, error) {
	list := res.Get("entry")
	if list.Len() > maxEntries {
		return nil, fault.New(fault.TooLarge, "A Bundle may hold %d entries at the most; send it in parts.", maxEntries)
	}
	var entries []entry
	for n := range list.Items() {
		e := entry{at: len(entries), fullURL: n.Field("fullUrl").String()}
		request := n.Field("request")
		e.method, e.url = request.Field("method").String(), strings.TrimPrefix(strings.TrimPrefix(request.Field("url").String(), base), "/")
		e.ifMatch, e.ifNoneExist = request.Field("ifMatch").String(), request.Field("ifNoneExist").String()
		e.ifNoneMatch, e.ifModified = request.Field("ifNoneMatch").String(), request.Field("ifModifiedSince").String()
		if !request.Exists() {
			return nil, e.fault(fault.New(fault.Invalid, "The entry has no request; each entry says its method and url."))
		}
		switch e.method {
		case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE":
		default:
			return nil, e.fault(fault.New(fault.Invalid, "The entry's method is GET, HEAD, POST, PUT, PATCH or DELETE; not %q.", e.method))
		}
		if body := n.Field("resource"); body.Exists() {
			parsed, err := fhir.Parse(body.Raw())
			if err != nil {
				return nil, e.fault(err)
			}
			e.resource = parsed
		}
		if e.resource == nil && (e.method == "POST" && !strings.Contains(e.url, "_search") || e.method == "PUT" || e.method == "PATCH") {
			return nil, e.fault(fault.New(fault.Invalid, "A %s needs a resource in its entry.", e.method))
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// fault says which entry err is about.
func (e entry) fault(err error) error {
	if fault.Is(err, fault.Internal) {
		return err
	}
	at := fmt.Sprintf("Bundle.entry[%d]", e.at)
	var issues []fault.Issue
	for _, i := range fault.IssuesOf(err) {
		i.Expression = append([]string{at}, i.Expression...)
		issues = append(issues, i)
	}
	return fault.WithIssues(fault.KindOf(err), at+": "+fault.MessageOf(err), issues...)
}

// modifiedSince is the entry's ifModifiedSince, an instant, as the header of HTTP writes it.
func (e entry) modifiedSince() string {
	at, err := time.Parse(time.RFC3339Nano, e.ifModified)
	if err != nil {
		return ""
	}
	return at.UTC().Format(http.TimeFormat)
}

// path splits the entry's url into type, id, the rest and query.
func (e entry) path() (typ, id, query string, err error) {
	path, query, _ := strings.Cut(e.url, "?")
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case len(parts) == 1 && isTypeName(parts[0]):
		return parts[0], "", query, nil
	case len(parts) == 2 && isTypeName(parts[0]) && parts[1] != "":
		return parts[0], parts[1], query, nil
	}
	return "", "", "", e.fault(fault.New(fault.Invalid, "The url of a %s is Type, Type/id or Type?criteria, relative to the base.", e.method))
}

// checked makes sure that what an entry writes keeps to R4.
func (a *api) checked(ctx context.Context, e entry, typ string) error {
	if err := a.writable(typ); err != nil {
		return e.fault(err)
	}
	if err := a.accept(ctx, typ, e.resource); err != nil {
		return e.fault(err)
	}
	return nil
}

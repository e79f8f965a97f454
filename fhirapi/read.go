package fhirapi

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/record"
)

// read: "The read interaction accesses the current contents of a resource" (https://hl7.org/fhir/R4/http.html#read).
// A resource that was deleted is 410, one that never was (or is a secret) 404. With If-None-Match or If-Modified-Since the
// answer is 304 when nothing is newer; that too is on the account, since it tells that the caller's copy is right.
func (a *api) read(w http.ResponseWriter, r *http.Request, g access.Grant) error {
	if r.PathValue("type") == "AuditEvent" {
		return a.auditRead(w, r, g)
	}
	v, err := a.k.Records.Read(r.Context(), g, ref(r))
	if err != nil {
		return err
	}
	if unchanged(r, v) {
		validators(w, v)
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return a.answer(w, r, http.StatusOK, v)
}

// vread: "performs a version specific read of the resource" (https://hl7.org/fhir/R4/http.html#vread).
func (a *api) vread(w http.ResponseWriter, r *http.Request, g access.Grant) error {
	ver, err := strconv.ParseInt(r.PathValue("vid"), 10, 64)
	if err != nil || ver < 1 {
		return fault.New(fault.NotFound, "There is no such version; versions are numbered from 1.")
	}
	v, err := a.k.Records.ReadVersion(r.Context(), g, ref(r), ver)
	if err != nil {
		return err
	}
	if v.Deleted {
		return fault.New(fault.Gone, "This resource was deleted in this version.")
	}
	return a.answer(w, r, http.StatusOK, v)
}

// answer sends one version, whole or as _summary and _elements ask.
func (a *api) answer(w http.ResponseWriter, r *http.Request, status int, v record.Version) error {
	view, err := a.viewOf(r.URL.Query())
	if err != nil {
		return err
	}
	if _, err := wanted(r); err != nil {
		return err
	}
	validators(w, v)
	a.located(w, r, v)
	body, err := view.render(v)
	if err != nil {
		return err
	}
	return a.sendJSON(w, r, status, body)
}

// located says which version the body is (RFC 9110 section 8.7).
func (a *api) located(w http.ResponseWriter, r *http.Request, v record.Version) {
	w.Header().Set("Content-Location", a.base(r)+"/"+v.Ref.String()+"/_history/"+v.VersionID())
}

// validators are ETag and Last-Modified (RFC 9110 section 8.8).
func validators(w http.ResponseWriter, v record.Version) {
	w.Header().Set("ETag", etag(v.Ver))
	w.Header().Set("Last-Modified", v.At.UTC().Format(http.TimeFormat))
}

// unchanged reports whether the caller's copy is current (https://hl7.org/fhir/R4/http.html#cread).
// If-None-Match wins over If-Modified-Since (RFC 9110 section 13.1.3).
func unchanged(r *http.Request, v record.Version) bool {
	if tags := r.Header.Values("If-None-Match"); len(tags) > 0 {
		for tag := range strings.SplitSeq(strings.Join(tags, ","), ",") {
			if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(etag(v.Ver), "W/") {
				return true
			}
		}
		return false
	}
	since, err := http.ParseTime(r.Header.Get("If-Modified-Since"))
	return err == nil && !v.At.Truncate(time.Second).After(since)
}

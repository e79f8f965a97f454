// Package patients is where somebody who cares finds a person, reads what is written about them, puts right what is
// wrong, and can see who else has looked.
//
//	find ──► found ──► record ──► an entry and its history
//	  │                  │             │
//	  │                  │             ├── correct ──► check ──► corrected ── undo ──► as it was, as a new version
//	  │                  │             └── entered in error ──► struck out ── undo ──► stands again
//	  │                  └── who looked, and why
//	  │
//	  ├── found, but not looked after ── "I look after them", with a reason ──► record (the privacy officer is told)
//	  └── not to be found ── break the glass, with a reason ──► record for half an hour (the privacy officer is told)
//
// A person may have a record at several organisations. A page is about one of them, says which, and leads to the others
// that this reader may know of. Nothing is overwritten: a correction is a new version with its reason, and so is its undoing.
package patients

import (
	"net/http"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/web"
)

// face is the pages of one node.
type face struct{ k catalogue.Kernel }

// carers are those who find and open records.
func carers() []access.Role { return []access.Role{access.Clinician, access.Clerk, access.Pharmacist} }

// Service is the home page and the pages about people.
func Service(k catalogue.Kernel) catalogue.Service {
	f := &face{k}
	return catalogue.Service{Name: "patients", Summary: "Find a person, read and correct their record, see who looked.",
		Pages: []catalogue.Route{
			catalogue.ForRole("GET /{$}", f.home),
			catalogue.OnBody("GET /find", f.find, carers()...),
			catalogue.OnBody("GET /patients/{person}", f.record),
			catalogue.OnBody("GET /patients/{person}/timeline", f.timeline),
			catalogue.OnBody("GET /patients/{person}/results/{code}", f.trend),
			catalogue.OnBody("GET /patients/{person}/seen", f.seen),
			catalogue.OnBody("GET /patients/{person}/record/{type}/{id}", f.entry),
			catalogue.OnBody("GET /patients/{person}/record/{type}/{id}/undo", f.askUndo),
			catalogue.OnBody("POST /patients/{person}/record/{type}/{id}/undo", f.undo),
			catalogue.OnBody("GET /patients/{person}/record/{type}/{id}/wrong", f.askWrong),
			catalogue.OnBody("POST /patients/{person}/record/{type}/{id}/wrong", f.wrong),
			catalogue.OnBody("GET /patients/{person}/correct", f.askCorrect),
			catalogue.OnBody("POST /patients/{person}/correct", f.correct),
			catalogue.OnBody("GET /patients/{person}/claim", f.askClaim),
			catalogue.OnBody("POST /patients/{person}/claim", f.claim),
			catalogue.ForRole("GET /break-glass", f.askBreakGlass, access.Clinician, access.Pharmacist),
			catalogue.ForRole("POST /break-glass", f.breakGlass, access.Clinician, access.Pharmacist),
			catalogue.ForRole("GET /me", f.me, access.Patient),
			catalogue.ForRole("GET /me/seen", f.meSeen, access.Patient),
			catalogue.ForRole("GET /me/object", f.meObject, access.Patient),
			catalogue.ForRole("POST /me/object", f.meAsk, access.Patient),
		},
		Links: []catalogue.Link{
			{Key: "patients.nav.home", Path: "/"},
			{Key: "patients.nav.find", Path: "/find", Roles: carers()},
			{Key: "patients.nav.me", Path: "/me", Roles: []access.Role{access.Patient}},
			{Key: "patients.nav.me-seen", Path: "/me/seen", Roles: []access.Role{access.Patient}},
		}}
}

// base is how the pages of a tenant's records begin.
func base(tenant ident.ODSCode) string { return "/o/" + tenant.String() }

// chartURL is the page of a person's record at a tenant.
func chartURL(tenant ident.ODSCode, person string) string {
	return base(tenant) + "/patients/" + person
}

// addressed reports whether the request names whose records it is about; where it does not, the reader's own are meant.
func addressed(r *http.Request) bool { return strings.HasPrefix(r.RequestURI, "/o/") }

// whole is the request with the path that the reader's browser shows, for lists that keep their state in the URL.
func whole(r *http.Request) *http.Request {
	if !addressed(r) {
		return r
	}
	clone, address := *r, *r.URL
	address.Path = base(catalogue.TenantOf(r)) + r.URL.Path
	clone.URL = &address
	return &clone
}

// homeOf is the tenant whose records a principal works in: their own organisation's where this node keeps it, else the national one.
func (f *face) homeOf(p access.Principal) catalogue.Tenant {
	for _, t := range f.k.Tenants {
		if t.Code == p.Organisation {
			return t
		}
	}
	return f.tenant(f.k.National)
}

func (f *face) tenant(code ident.ODSCode) catalogue.Tenant {
	for _, t := range f.k.Tenants {
		if t.Code == code {
			return t
		}
	}
	return catalogue.Tenant{Code: code, Name: code.String()}
}

// within is the tenants in which a principal may look: their own organisation's, those they were given, and the national one.
func (f *face) within(p access.Principal) []catalogue.Tenant {
	all := []catalogue.Tenant{f.homeOf(p)}
	for _, t := range f.k.Tenants {
		given := t.Code == f.k.National
		for _, c := range p.Tenants {
			given = given || c == t.Code
		}
		if given && t.Code != all[0].Code {
			all = append(all, t)
		}
	}
	return all
}

// done is the key of the words for what was just done, when the URL says that it was one of keys.
func done(r *http.Request, keys ...string) string {
	for _, k := range keys {
		if r.URL.Query().Get("done") == k {
			return "patients.done." + k
		}
	}
	return ""
}

func link(text, url string) web.Link { return web.Link{Text: text, URL: url} }

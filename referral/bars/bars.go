// Package bars is the Booking and Referral Standard (BaRS), version 1.4: programs of any care setting find free times, book, change and cancel them, and refer, by FHIR R4
// messages. It is served at /booking-and-referral/FHIR/R4.
//
//	token ──► who ──► headers: on whose behalf, with what, to which service (NHSD-Target-Identifier)
//	                        │
//	                        ├── a service whose bookings this node keeps ──► the acts of package referral: hold, book, move, cancel, refer …
//	                        └── a service with an Endpoint elsewhere ──► sent on as it came (proxy.go); what fails on the way is said as published
//
// A message is done once, however often it is sent: it is known by its Bundle's id, of the program's organisation, which is noted in the write that does it. The second one gets 409 REC_CONFLICT, and where to
// read what the first one made. What a booking message does is what pages do: one transaction, and the hospital is told by the post.
//
// The other direction is Client: hospitals' systems that keep their slots to themselves are asked by BaRS (package referral, "asked").
//
// Source: Booking and Referral FHIR API 1.4.0-alpha, https://digital.nhs.uk/developer/api-catalogue/booking-and-referral-fhir.
package bars

import (
	"embed"
	"net/http"
	"sync"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/network/outward"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/store"
)

// Base is where the API is served.
const Base = "/booking-and-referral/FHIR/R4"

//go:embed schema/*.sql
var schemaFiles embed.FS

// API is the API of one node.
type API struct {
	k         catalogue.Kernel
	places    *directory.Directory
	referrals *referral.Referrals
	client    *http.Client // to services elsewhere
	// publishing is held by whoever writes in the catalogue: nothing is there twice.
	publishing sync.Mutex
}

// New is the API over a kernel, the directory and the referrals.
func New(k catalogue.Kernel, d *directory.Directory, r *referral.Referrals) *API {
	out := k.Outward
	out.Within = proxyWithin
	return &API{k: k, places: d, referrals: r, client: outward.Client(out)}
}

// Service is the API as the node runs it.
func (a *API) Service() catalogue.Service {
	return catalogue.Service{Name: "bars", Summary: "The Booking and Referral Standard, for programs that book and refer.",
		Schema:    store.Embedded("bars", schemaFiles, "schema"),
		Jobs:      []catalogue.Job{{Name: "prune-bars", Every: time.Hour, Run: a.prune}},
		Published: []catalogue.Published{{Base: Base, Face: face{}, Foreign: true, Routes: a.routes()}},
	}
}

func (a *API) routes() []catalogue.Route {
	list := []catalogue.Route{
		a.route("GET", "/metadata", (*call).metadata),
		a.route("GET", "/MessageDefinition", (*call).definitions),
		a.route("GET", "/Slot", (*call).slots),
		a.route("POST", "/$process-message", (*call).process),
		a.route("GET", "/Appointment", (*call).appointments),
		a.route("GET", "/Appointment/{id}", (*call).appointment),
		a.route("PUT", "/Appointment/{id}", (*call).putAppointment),
		a.route("PATCH", "/Appointment/{id}", (*call).putAppointment),
		a.route("DELETE", "/Appointment/{id}", (*call).deleteAppointment),
		a.route("POST", "/Appointment", (*call).postAppointment),
		a.route("GET", "/ServiceRequest", (*call).requests),
		a.route("GET", "/ServiceRequest/{id}", (*call).request),
		a.route("PUT", "/ServiceRequest/{id}", (*call).putRequest),
		a.route("PATCH", "/ServiceRequest/{id}", (*call).putRequest),
		a.route("DELETE", "/ServiceRequest/{id}", (*call).deleteRequest),
		a.route("POST", "/ServiceRequest", (*call).postRequest),
	}
	return append(list, a.catalogueRoutes()...)
}

// call is one request under way.
type call struct {
	a   *API
	w   http.ResponseWriter
	r   *http.Request
	ask catalogue.Asker
	head
	// target is the service that the request is for; its zero value for a request to this API itself.
	target directory.Target
}

// who is the caller, as the referrals know callers.
func (c *call) who() referral.Caller { return referral.CallerOf(c.ask) }

// base is the address of the API, without a final slash.
func (a *API) base() string { return a.k.BaseURL() + Base }

// route is one operation. It is for programs (application-restricted access); what one may do with a person's record is decided when it is known whose it is.
func (a *API) route(method, path string, do func(c *call) error) catalogue.Route {
	return catalogue.OnBody(method+" "+Base+path, func(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
		mirror(w, r)
		c := &call{a: a, w: w, r: r, ask: ask}
		var err error
		if c.head, err = readHead(r, ask.Principal, path == "/metadata"); err != nil {
			return err
		}
		if c.head.target.Value == "" {
			return do(c)
		}
		if c.target, err = a.find(r.Context(), c.head.target); err != nil {
			return err
		}
		if c.target.Address != "" && c.target.Address != a.base() {
			return c.sendOn()
		}
		return received(do(c))
	}, access.SystemClient)
}

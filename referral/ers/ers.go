// Package ers is the e-Referral Service FHIR API: programs of practices and hospitals refer, book, review and cancel through it, as the pages of package referral let
// people do. It is served at /referrals/FHIR, in STU3 and R4 as published.
//
//	token ──► who, in which role ──► business function and organisation of the headers: may they act so? ──► operation (A004 … A044)
//	                                    └── no: 403, and why                                                  └── the errors of its table
//
// A program names the function in which its user acts, and the organisation; what a function may do is what is published of each operation. What somebody may see of
// a person is decided by the rules of package access, here as everywhere.
//
// Source: e-Referral Service FHIR API, https://digital.nhs.uk/developer/api-catalogue/e-referral-service-fhir.
package ers

import (
	"context"
	"net/http"
	"slices"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/referral"
)

// Base is where the API is served.
const Base = "/referrals/FHIR"

// Directory is what the API asks about organisations.
type Directory interface {
	// Provides reports whether an organisation offers services that patients can be referred to.
	Provides(ctx context.Context, organisation ident.ODSCode) (bool, error)
	Refers(ctx context.Context, organisation ident.ODSCode) (bool, error)
	// Organisation is one organisation or site by its ODS code, closed ones included.
	Organisation(ctx context.Context, code ident.ODSCode) (directory.Organisation, error)
	// ServiceResources are services by their ids; those that are not there are left out.
	ServiceResources(ctx context.Context, ids ...string) ([]record.Version, error)
}

// API is the API of one node.
type API struct {
	k         catalogue.Kernel
	dir       Directory
	referrals *referral.Referrals
	locks     *locks
}

// New is the API over a kernel, the directory and the referrals.
func New(k catalogue.Kernel, d Directory, r *referral.Referrals) *API {
	return &API{k: k, dir: d, referrals: r, locks: &locks{held: map[ident.UBRN]bool{}}}
}

// published is the API's routes with its wording of failures.
func (a *API) published() catalogue.Published {
	return catalogue.Published{Base: Base, Face: face{a.k.Clock.Now}, Foreign: true, Routes: slices.Concat(a.fileRoutes(), a.adviceRoutes(), a.triageRoutes(), a.changeRoutes(), a.worklistRoutes(), a.serviceRoutes(), a.letterRoutes(), []catalogue.Route{
		a.forRole("GET", "/STU3/CodeSystem/{system}", a.referenceData, anyClinical()...),
		a.forRole("GET", "/R4/PractitionerRole", a.businessFunctions),
		a.forAdmin("GET", "/R4/Practitioner", a.onBehalfOf),
		a.onPerson("GET", "/STU3/ReferralRequest/{ubrn}", typed((*call).retrieve), anyClinical()...),
		a.onPerson("GET", "/STU3/ReferralRequest/{ubrn}/_history/{version}", typed((*call).retrieveVersion), anyClinical()...),
		a.onPerson("POST", "/STU3/ReferralRequest/$ers.createReferral", (*call).create, ReferringClinician, ReferringClinicianAdmin),
		a.onPerson("POST", "/STU3/ReferralRequest/{ubrn}/$ers.acceptReferral", (*call).accept, ProviderClinician, ProviderClinicianAdmin, ProviderApplication),
		a.onPerson("POST", "/STU3/ReferralRequest/{ubrn}/$ers.rejectReferral", (*call).reject, ProviderClinician, ProviderClinicianAdmin),
		a.onPerson("POST", "/STU3/ReferralRequest/{ubrn}/$ers.cancelReferral", (*call).cancel, ReferringClinician, ReferringClinicianAdmin, ProviderClinician, ProviderClinicianAdmin, ProviderApplication),
		a.forRole("GET", "/STU3/Slot", a.slots, ReferringClinician, ReferringClinicianAdmin),
		a.onPerson("POST", "/STU3/Appointment", (*call).book, ReferringClinician, ReferringClinicianAdmin),
		a.onPerson("GET", "/STU3/Appointment/{id}", (*call).visit, anyClinical()...),
		a.onPerson("GET", "/STU3/Appointment/{id}/_history/{version}", (*call).visitVersion, anyClinical()...),
	})}
}

// onPerson is an operation about a referral, for callers who act in one of functions. It asks for what it needs once it knows whose referral it is.
func (a *API) onPerson(method, path string, do func(c *call) error, functions ...Function) catalogue.Route {
	return catalogue.OnBody(method+" "+Base+path, func(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
		mirror(w, r)
		c, err := a.caller(r, ask.Principal, functions)
		if err == nil {
			err = acceptable(r)
		}
		if err != nil {
			return err
		}
		return do(&call{a, w, r, ask, c})
	}, access.Clinician, access.Clerk, access.SystemClient)
}

// forRole is an operation about no person, for callers who act in one of functions; none means that the operation takes no function.
func (a *API) forRole(method, path string, h func(w http.ResponseWriter, r *http.Request, c caller) error, functions ...Function) catalogue.Route {
	return catalogue.ForRole(method+" "+Base+path, func(w http.ResponseWriter, r *http.Request, p access.Principal) error {
		mirror(w, r)
		c, err := a.caller(r, p, functions)
		if err == nil {
			err = acceptable(r)
		}
		if err != nil {
			return err
		}
		return h(w, r, c)
	}, access.Clinician, access.Clerk, access.SystemClient)
}

// forAdmin is an operation of a provider's administrator, who does not say yet on whose behalf they act.
func (a *API) forAdmin(method, path string, h func(w http.ResponseWriter, r *http.Request, c caller) error) catalogue.Route {
	return catalogue.ForRole(method+" "+Base+path, func(w http.ResponseWriter, r *http.Request, p access.Principal) error {
		mirror(w, r)
		c, err := a.acting(r, p, []Function{ProviderClinicianAdmin})
		if err == nil {
			err = acceptable(r)
		}
		if err != nil {
			return err
		}
		return h(w, r, c)
	}, access.Clinician, access.Clerk, access.SystemClient)
}

// Service is the API as the node runs it.
func (a *API) Service() catalogue.Service {
	return catalogue.Service{Name: "ers", Summary: "The e-Referral Service API, for the programs of practices and hospitals.", Published: []catalogue.Published{a.published()}}
}

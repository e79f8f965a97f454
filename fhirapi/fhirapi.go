// Package fhirapi is the record as any FHIR client meets it: FHIR R4's REST interface (https://hl7.org/fhir/R4/http.html)
// at /FHIR/R4 for the node's national tenant and at /o/{ODS code}/FHIR/R4 for each organisation.
//
//	request ─▶ who asks ─▶ read the body, prepare ─▶ every Grant first ─▶ one commit: act and account ─▶ answer
//
// There is one file for each interaction. Nothing here decides who may see what, and nothing here touches a table:
// access decides, record keeps. An unknown parameter, element or format is refused, never ignored, unless the caller
// says Prefer: handling=lenient.
package fhirapi

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
)

// Base is the path below a tenant at which FHIR R4 is served.
const Base = "/FHIR/R4"

// api is the interface over one node's record.
type api struct {
	k    catalogue.Kernel
	defs *definition.Set
	// routes are the interface's own, for the entries of a batch.
	routes *http.ServeMux
}

// Service is the FHIR interface over the kernel.
func Service(k catalogue.Kernel) catalogue.Service {
	a := &api{k: k, defs: k.Definitions}
	resource := func(r *http.Request) catalogue.Resource {
		return catalogue.Resource{Type: r.PathValue("type"), ID: r.PathValue("id")}
	}
	oneType := func(r *http.Request) []string { return []string{r.PathValue("type")} }
	all := func(*http.Request) []string { return nil }
	const typ, instance = Base + "/{type}", Base + "/{type}/{id}"
	service := catalogue.Service{
		Name: "fhirapi", Summary: "FHIR R4 over the record: read, write, search, history, transactions.",
		API: []catalogue.Route{
			catalogue.Public("GET "+Base+"/metadata", a.capabilities),

			catalogue.OnResource("GET "+instance, access.Read, resource, a.read),
			catalogue.OnResource("GET "+instance+"/_history", access.History, resource, a.historyOfInstance),
			catalogue.OnResource("GET "+instance+"/_history/{vid}", access.History, resource, a.vread),
			catalogue.OnSet("GET "+typ+"/_history", access.History, oneType, a.historyOfSet),
			catalogue.OnSet("GET "+Base+"/_history", access.History, all, a.historyOfSet),

			catalogue.OnBody("POST "+typ, a.create),
			catalogue.OnBody("PUT "+instance, a.update),
			catalogue.OnBody("PUT "+typ, a.updateWhere),
			catalogue.OnBody("PATCH "+instance, a.patch),
			catalogue.OnBody("PATCH "+typ, a.patchWhere),
			catalogue.OnBody("DELETE "+instance, a.delete),
			catalogue.OnBody("DELETE "+typ, a.deleteWhere),
			catalogue.OnBody("POST "+Base, a.bundle),
			catalogue.OnBody("POST "+Base+"/{$}", a.bundle),

			catalogue.OnSet("GET "+typ, access.Search, oneType, a.searchType),
			catalogue.OnSet("POST "+typ+"/_search", access.Search, oneType, a.searchType),
			catalogue.OnSet("GET "+Base, access.Search, all, a.searchSystem),
			catalogue.OnSet("GET "+Base+"/{$}", access.Search, all, a.searchSystem),
			catalogue.OnSet("POST "+Base+"/_search", access.Search, all, a.searchSystem),
			catalogue.OnSet("GET "+instance+"/{related}", access.Search, all, a.searchCompartment),
			catalogue.OnSet("POST "+instance+"/{related}/_search", access.Search, all, a.searchCompartment),

			catalogue.OnSet("GET "+Base+"/Patient/$everything", access.Export, all, a.everythingOfAll, access.SystemClient, access.Patient),
			catalogue.OnSet("POST "+Base+"/Patient/$everything", access.Export, all, a.everythingOfAll, access.SystemClient, access.Patient),
			catalogue.OnBody("GET "+Base+"/Patient/{id}/$everything", a.everything),
			catalogue.OnBody("POST "+Base+"/Patient/{id}/$everything", a.everything),
			catalogue.OnBody("GET "+Base+"/AuditEvent", a.auditSearch),
			catalogue.OnBody("POST "+Base+"/AuditEvent/_search", a.auditSearch),
			catalogue.OnBody("GET "+instance+"/$validate", a.validate),
			catalogue.OnBody("POST "+typ+"/$validate", a.validate),
			catalogue.OnBody("POST "+instance+"/$validate", a.validate),
			catalogue.OnResource("GET "+instance+"/$meta", access.Read, resource, a.meta),
			catalogue.OnBody("POST "+instance+"/$meta-add", a.metaAdd),
			catalogue.OnBody("POST "+instance+"/$meta-delete", a.metaDelete),
			catalogue.OnSet("GET "+typ+"/$meta", access.Search, oneType, a.metaOfSet),
			catalogue.OnSet("GET "+Base+"/$meta", access.Search, all, a.metaOfSet),
		},
	}
	a.routes = routed(service.API)
	return service
}

// ref is the resource that a path names.
func ref(r *http.Request) record.Ref {
	return record.Ref{Tenant: catalogue.TenantOf(r), Type: r.PathValue("type"), ID: r.PathValue("id")}
}

// base is the absolute address of the tenant's FHIR interface, as the caller reached it.
func (a *api) base(r *http.Request) string {
	tenant := catalogue.TenantOf(r)
	if tenant == a.k.National {
		return a.k.BaseURL() + Base
	}
	return a.k.BaseURL() + "/o/" + tenant.String() + Base
}

// known refuses a type that R4 does not have, in words that help.
func (a *api) known(typ string) error {
	if t := a.defs.Type(typ); t == nil || t.Kind != definition.Resource || t.Abstract {
		return fault.New(fault.NotFound, "There is no such resource type in FHIR R4; see %s/metadata for those there are.", Base)
	}
	return nil
}

// etag is the version as an entity tag (https://hl7.org/fhir/R4/http.html#versioning).
func etag(ver int64) string { return `W/"` + strconv.FormatInt(ver, 10) + `"` }

// ifMatch is the version that If-Match names; 0 when there is none or it is *.
func ifMatch(r *http.Request) (int64, error) { return versionTag(r.Header.Get("If-Match")) }

func versionTag(tag string) (int64, error) {
	tag = strings.TrimSpace(tag)
	if tag == "" || tag == "*" {
		return 0, nil
	}
	text, ok := strings.CutPrefix(strings.TrimPrefix(tag, "W/"), `"`)
	if ok {
		text, ok = strings.CutSuffix(text, `"`)
	}
	ver, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || ver < 1 {
		return 0, fault.New(fault.Invalid, `If-Match must be a version as ETag gave it, for example W/"3".`)
	}
	return ver, nil
}

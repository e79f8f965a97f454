package fhirapi

import (
	"net/http"
	"slices"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
)

// capabilities: "information about a system's capabilities" (https://hl7.org/fhir/R4/http.html#capabilities), made from the
// definitions and the routes, so that it cannot promise what is not there.
func (a *api) capabilities(w http.ResponseWriter, r *http.Request) error {
	if mode := queryValue(r, "mode"); mode != "" && mode != "full" && mode != "normative" && mode != "terminology" {
		return fault.New(fault.Invalid, "mode is full, normative or terminology; not %s", mode)
	}
	if _, err := wanted(r); err != nil {
		return err
	}
	var resources []any
	types := slices.Sorted(slices.Values(a.defs.ResourceTypes()))
	for _, typ := range types {
		if t := a.defs.Type(typ); t != nil && !t.Abstract && typ != "Parameters" {
			resources = append(resources, a.capability(typ))
		}
	}
	code := func(codes ...string) fhir.Value {
		var list []any
		for _, c := range codes {
			list = append(list, fhir.Obj("code", c))
		}
		return fhir.Arr(list...)
	}
	operation := func(name, url string) fhir.Value { return fhir.Obj("name", name, "definition", url) }
	base := a.base(r)
	statement := fhir.Obj("resourceType", "CapabilityStatement", "url", base+"/metadata", "name", "OpenSpine", "title", "OpenSpine FHIR R4",
		"status", "active", "date", a.k.Clock.Now().UTC().Format("2006-01-02"), "kind", "instance",
		"software", fhir.Obj("name", "OpenSpine"),
		"implementation", fhir.Obj("description", "Records of one organisation on an OpenSpine node", "url", base),
		"fhirVersion", "4.0.1", "format", fhir.Arr(mimeJSON, mimeXML, "json", "xml"), "patchFormat", fhir.Arr(mimePatch, mimeJSON, mimeXML),
		"rest", fhir.Arr(fhir.Obj("mode", "server",
			"security", fhir.Obj("service", fhir.Arr(fhir.Obj("coding", fhir.Arr(fhir.Obj("system", "http://terminology.hl7.org/CodeSystem/restful-security-service", "code", "SMART-on-FHIR")))),
				"description", "A bearer token (JWT, ES256 or RS512) or a signed-in session. Every read and write is on the account."),
			"resource", fhir.Arr(resources...),
			"interaction", code("transaction", "batch", "search-system", "history-system"),
			"searchParam", params(a.defs.SearchParameters("Resource")),
			"operation", fhir.Arr(operation("validate", "http://hl7.org/fhir/OperationDefinition/Resource-validate"), operation("meta", "http://hl7.org/fhir/OperationDefinition/Resource-meta"),
				operation("meta-add", "http://hl7.org/fhir/OperationDefinition/Resource-meta-add"), operation("meta-delete", "http://hl7.org/fhir/OperationDefinition/Resource-meta-delete")),
			"compartment", fhir.Arr("http://hl7.org/fhir/CompartmentDefinition/patient", "http://hl7.org/fhir/CompartmentDefinition/encounter",
				"http://hl7.org/fhir/CompartmentDefinition/relatedPerson", "http://hl7.org/fhir/CompartmentDefinition/practitioner", "http://hl7.org/fhir/CompartmentDefinition/device"))))
	send(w, r, http.StatusOK, statement)
	return nil
}

func (a *api) capability(typ string) fhir.Value {
	var interactions []any
	for _, c := range []string{"read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type"} {
		interactions = append(interactions, fhir.Obj("code", c))
	}
	own := a.defs.SearchParameters(typ)
	var includes, reverse []any
	for _, p := range own {
		if p.Type == "reference" {
			includes = append(includes, typ+":"+p.Code)
		}
	}
	pairs := []any{"type", typ, "profile", "http://hl7.org/fhir/StructureDefinition/" + typ, "interaction", fhir.Arr(interactions...),
		"versioning", "versioned-update", "readHistory", true, "updateCreate", true, "conditionalCreate", true, "conditionalRead", "full-support",
		"conditionalUpdate", true, "conditionalDelete", "single", "searchInclude", fhir.Arr(append([]any{"*"}, includes...)...),
		"searchRevInclude", fhir.Arr(reverse...), "searchParam", params(own)}
	if typ == "Patient" {
		pairs = append(pairs, "operation", fhir.Arr(fhir.Obj("name", "everything", "definition", "http://hl7.org/fhir/OperationDefinition/Patient-everything")))
	}
	return fhir.Obj(pairs...)
}

func params(list []definition.SearchParameter) fhir.Value {
	var out []any
	for _, p := range list {
		out = append(out, fhir.Obj("name", p.Code, "definition", p.URL, "type", p.Type))
	}
	return fhir.Arr(out...)
}

// smartConfiguration says how to get a token (SMART App Launch 2.0, section 1.8.1.2). Until the identity provider is there,
// tokens come from the developer's page, and it says no more than that.
func (a *api) smartConfiguration(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	_, err := w.Write(fhir.Obj("issuer", a.k.BaseURL(), "jwks_uri", a.k.BaseURL()+"/jwks", "capabilities", fhir.Arr("permission-user", "permission-v1", "permission-v2"),
		"scopes_supported", fhir.Arr("user/*.read", "user/*.write", "system/*.read", "system/*.write", "user/*.cruds", "system/*.cruds")).JSON())
	return err
}
